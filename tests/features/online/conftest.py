"""Every kind of online store: the tests here ask the same of each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.features.online.backend import Backend
from assay.features.online.generations import Generations

BACKENDS: dict[str, Callable[[Path], Backend]] = {"files": Generations}


@pytest.fixture(scope="session", params=sorted(BACKENDS))
def new_backend(request: pytest.FixtureRequest) -> Callable[[Path], Backend]:
    """Makes an empty store; the folder is for what it keeps, or its name."""
    return BACKENDS[request.param]
