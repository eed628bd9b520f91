"""While `assay up` runs, declarations that are added or changed are loaded by themselves, and broken ones stop nothing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.cli.init import project_files
from tests.declared import IMPORTS, daily_source
from tests.served import Served

ASSETS = "{ assetNodes { assetKey { path } } }"
FRESH = """{ assetNodeOrError(assetKey: {path: ["clean", "orders"]}) { ... on AssetNode { assetChecksOrError {
    ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation { description } } } } } } } }"""
RETURNS = IMPORTS + daily_source(
    "returns", "return_id: str = Field(key=True)", "at: Timestamp = Field()", start="2026-09-02", event_time="at"
)


@pytest.fixture
def place(new_place: Callable[..., Any], tmp_path: Path) -> Any:
    """A new project, as `assay init` writes it."""
    folder = tmp_path / "my-reloaded-shop"
    for path, text in project_files(folder.name, "my_reloaded_shop"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return new_place(tmp_path, {"ASSAY_PROJECT": str(folder), "ASSAY_LANDING": str(folder / "var" / "landing")})


@pytest.fixture
def served(place: Any) -> Iterator[Served]:
    made = Served(place)
    yield made
    made.process.terminate()
    made.process.wait(60)


def until(done: Callable[[], Any], served: Served, seconds: float = 180) -> Any:
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends, served.log.read_text()[-4000:]
        time.sleep(0.5)
    return found


def tables(served: Served) -> set[str]:
    return {"/".join(node["assetKey"]["path"]) for node in served.graphql(ASSETS)["assetNodes"]}


def age(served: Served) -> str:
    """What Dagster shows of the check; nothing while it says "Not evaluated"."""
    checks = served.graphql(FRESH)["assetNodeOrError"]["assetChecksOrError"]["checks"]
    (shown,) = [check["executionForLatestMaterialization"] for check in checks if check["name"] == "data_freshness"]
    return shown["evaluation"]["description"] if shown and shown["evaluation"] else ""


def test_what_is_declared_while_it_runs_is_loaded_and_what_is_broken_stops_nothing(place: Any, served: Served) -> None:
    file = place.folder / "my-reloaded-shop" / "my_reloaded_shop" / "declarations" / "returns.py"
    until(lambda: "clean/orders" in tables(served), served)
    delivered = place.folder / "my-reloaded-shop" / "var" / "landing" / "returns" / "2026-09-02" / "a.csv"
    delivered.parent.mkdir(parents=True)
    delivered.write_text("return_id,at\nr1,2026-09-02T10:00:00Z\n")
    file.write_text(RETURNS)
    until(lambda: "clean/returns" in tables(served), served)

    until(lambda: "newest event 2026-09-02" in age(served), served)
    assert age(served).endswith("days old, allowed 1 day.")

    made = place.home / "lake" / "clean" / "returns"
    until(made.exists, served)  # by a job that was not there before
    log = served.log.read_text()
    assert "raw__returns: raw/returns@1" in log, "what was written is printed,"
    assert " - DEBUG - " not in log, "and not every event"

    file.write_text(RETURNS.replace("Field(key=True)", "Field(key=True"))
    until(
        lambda: (
            "The declarations of before stay; runs are requested again when it is corrected." in served.log.read_text()
        ),
        served,
    )
    assert (
        "my_reloaded_shop.declarations.returns cannot be loaded: line 5: '(' was never closed" in served.log.read_text()
    )
    assert "clean/returns" in tables(served), "the ones of before run"
    told = until(lambda: place.json("status", code=3)["outdated"], served)
    assert "returns.py changed since" in told
    doctor = {item["what"]: item for item in place.json("doctor", code=3)}
    assert doctor["declarations"]["detail"] == told

    file.unlink()
    until(lambda: "clean/returns" not in tables(served), served)
    assert "clean/orders" in tables(served)

    file.write_text("x = (")
    assert "returns.py changed since" in until(lambda: place.json("status", code=3)["outdated"], served)
    served.process.terminate()
    served.process.wait(60)
    # Dagster's process for the declarations may end a moment later.
    assert until(lambda: not place.json("status", code=3)["outdated"], served, 60), "nothing runs any more"
