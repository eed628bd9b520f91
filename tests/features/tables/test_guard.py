"""The guard is asked at every read and write, and what it denies leaves the tables as they were."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.retention.pins import pin, pins, unpin
from assay.features.retention.vacuum import vacuum
from assay.features.serving.as_of_join import as_of_join
from assay.features.tables.guard import Action, Denied
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.reader import Reader
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import run, transaction
from assay.lineage.predictions.prediction_log import log_predictions
from assay.lineage.tracing.trace import trace

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
ROWS = pl.DataFrame({"id": ["a"], "event_time": [datetime(2026, 1, 1, tzinfo=UTC)], "n": [1]})
SPINE = pl.DataFrame({"id": ["a"], "event_time": [MOMENT]})
SERVING = {"entity": "e", "keys": ["id"], "event_time": "event_time"}
VIEW = {"name": "v", "features": [{"name": "n"}]}


@dataclass
class Watch:
    """Counts what it is asked, and denies some of it."""

    denies: Collection[tuple[str, Action, str]] = ()
    asked: Counter[tuple[str, Action, str]] = field(default_factory=Counter)

    def check(self, actor: str, action: Action, table: str) -> None:
        self.asked[actor, action, table] += 1
        if (actor, action, table) in self.denies:
            raise Denied(f"{actor} may not {action} {table}.")


@pytest.fixture
def filled(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path / "lake")
    with transaction(lake, NullRecorder(), Work("raw/t")) as tx:
        tx.write("raw/t", ROWS)
    with transaction(lake, NullRecorder(), Work("features/v")) as tx:
        tx.describe(serving=SERVING, view=VIEW)
        tx.write("features/v", tx.read("raw/t").collect())
    return lake


def seen_by(lake: Lake, actor: str, *denies: tuple[Action, str]) -> tuple[Lake, Watch]:
    watch = Watch({(actor, action, table) for action, table in denies})
    return open_lake(lake.storage.root, actor=actor, guard=watch), watch


def state_of(lake: Lake) -> dict[str, int]:
    return {name: lake.table(name).at().version for name in lake.tables()}


def test_every_read_and_write_is_asked_for_by_actor_action_and_table(filled: Lake) -> None:
    lake, watch = seen_by(filled, "ada")
    lake.table("raw/t").scan().collect()
    assert watch.asked == {("ada", "read", "raw/t"): 1}
    watch.asked.clear()
    with transaction(lake, NullRecorder(), Work("clean/t")) as tx:
        tx.write("clean/t", tx.read("raw/t").collect())
    assert set(watch.asked) == {("ada", "read", "raw/t"), ("ada", "write", "clean/t")}
    with transaction(lake, NullRecorder(), Work("clean/t", actor="a job")) as tx:
        tx.write("clean/t", ROWS)
    assert watch.asked["a job", "write", "clean/t"], "the work's own actor, where it names one"
    assert lake.table("clean/t").at().commits[-1].actor == "ada", "unchanged rows make no commit"


def test_a_denied_write_publishes_nothing(filled: Lake) -> None:
    lake, _ = seen_by(filled, "ada", ("write", "clean/u"))
    before = state_of(filled)
    with (
        pytest.raises(Denied, match="ada may not write clean/u"),
        transaction(lake, NullRecorder(), Work("clean/t")) as tx,
    ):
        tx.write("clean/t", ROWS)
        tx.write("clean/u", ROWS)
    assert state_of(filled) == before
    with pytest.raises(Denied):
        run(lake, NullRecorder(), Work("clean/u"), lambda tx: tx.write("clean/u", ROWS))
    assert state_of(filled) == before


def test_a_denied_read_stops_work_joins_and_traces(filled: Lake) -> None:
    options = {"model": "m", "model_version": "1", "keys": ["id"]}
    inputs = [filled.table("features/v").at().snapshot]
    (made,) = log_predictions(
        filled, NullRecorder(), frame=SPINE.with_columns(out=pl.lit("x")), inputs=inputs, **options
    )
    before = state_of(filled)
    lake, _ = seen_by(filled, "ada", ("read", "features/v"))
    with pytest.raises(Denied, match="ada may not read features/v"):
        Reader(lake).read("features/v")
    with pytest.raises(Denied):
        as_of_join(SPINE, ["v:n"], lake=lake)
    with pytest.raises(Denied):
        trace(lake, made)
    with pytest.raises(Denied), transaction(lake, NullRecorder(), Work("clean/t")) as tx:
        tx.write("clean/t", tx.read("features/v").collect())
    with pytest.raises(Denied):
        trace(seen_by(filled, "ada", ("read", "predictions/m"))[0], made)
    assert state_of(filled) == before and trace(filled, made).prediction_id == made


def test_a_remembering_lake_asks_every_time(filled: Lake) -> None:
    lake, watch = seen_by(filled, "ada")
    again = lake.remembering()
    again.table("raw/t").at()
    again.table("raw/t").at()
    assert watch.asked["ada", "read", "raw/t"] == 2


def test_freeing_files_and_removing_pins_is_deleting(filled: Lake) -> None:
    snapshot = filled.table("raw/t").at().snapshot
    pin(filled, "kept", [snapshot], owner="o", reason="r")
    lake, _ = seen_by(filled, "ada", ("delete", "raw/t"))
    assert vacuum(lake, "raw/t").deleted is False, "a dry run deletes nothing"
    with pytest.raises(Denied, match="ada may not delete raw/t"):
        vacuum(lake, "raw/t", dry_run=False)
    with pytest.raises(Denied):
        unpin(lake, "kept")
    assert [item.name for item in pins(filled)] == ["kept"]
    blind, _ = seen_by(filled, "eve", ("read", "raw/t"))
    with pytest.raises(Denied):
        pin(blind, "mine", [snapshot], owner="eve", reason="r")
    assert [item.name for item in pins(filled)] == ["kept"]


def test_a_denied_model_hides_no_prediction_of_another(filled: Lake) -> None:
    inputs = [filled.table("features/v").at().snapshot]
    rows = SPINE.with_columns(out=pl.lit("x"))
    made = {
        model: log_predictions(
            filled, NullRecorder(), model=model, model_version="1", keys=["id"], frame=rows, inputs=inputs
        )[0]
        for model in ("mine", "other")
    }
    lake, _ = seen_by(filled, "ada", ("read", "predictions/other"))
    assert trace(lake, made["mine"]).prediction_id == made["mine"]
    with pytest.raises(Denied, match="ada may not read predictions/other"):
        trace(lake, made["other"])


@pytest.mark.parametrize("name", [" ", "a\nb", "\x1b[31mred", "a\x00b", "\ud800"])
def test_an_actor_is_one_line_of_text(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssayError, match="give a name in one line"):
        open_lake(tmp_path, actor=name)
    assert open_lake(tmp_path, actor="Zoë, nightly <job>").actor == "Zoë, nightly <job>"
