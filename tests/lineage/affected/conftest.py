"""One desk of five days with two models, only to be read."""

from typing import Any

import pytest

from assay.features.tables.lake import open_lake
from tests.lineage.conftest import Desk, embed


@pytest.fixture(scope="module")
def full_desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(open_lake(folder / "lake"), folder / "landing", embed)
    desk.until(4)
    desk.train("1", range(2))
    desk.train("2", range(4))
    desk.predict(3, "1")
    desk.predict(4, "2")
    return desk
