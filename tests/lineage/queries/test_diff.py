"""Two versions side by side."""

import shutil

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.queries.diff import diff


def make(lake: Lake, recorder: EventRecorder, frame: pl.DataFrame, code: str, passed: bool, contract: str) -> None:
    with transaction(lake, recorder, Work("raw")) as tx:
        tx.write("raw", frame)
    with transaction(lake, recorder, Work("clean", code_version=code)) as tx:
        read = tx.read("raw").collect()
        tx.contract = {"name": "c", "version": contract}
        tx.check(CheckResult("a.range", "clean", passed, "warn", "a", read.height))
        tx.check(CheckResult("other", "raw", not passed, "warn"))
        tx.write("clean", read)


@pytest.mark.parametrize("with_lake", [True, False])
def test_what_differs_is_told_and_nothing_else(lake: Lake, recorder: EventRecorder, with_lake: bool) -> None:
    make(lake, recorder, pl.DataFrame({"a": [1]}), "one", True, "1.0")
    make(lake, recorder, pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "two", False, "1.1")
    latest = lake.table("clean").at().version
    store, given = recorder.store, lake if with_lake else None
    found = diff(store, given, "dataset:assay:clean@1", f"dataset:assay:clean@{latest}")
    assert found.schema == {"b": (None, "String")}
    assert (found.rows, found.contract, found.code) == ((1, 2), ("c@1.0", "c@1.1"), ("one", "two"))
    assert found.checks == {"a.range": ("held", "warned")}
    assert found.inputs == {"raw": (("1",), (str(lake.table("raw").at().version),))}
    assert found.unknown == ()
    same = diff(store, given, "dataset:assay:clean@1", "dataset:assay:clean@1")
    assert not any((same.schema, same.rows, same.contract, same.checks, same.code, same.inputs, same.unknown))


def test_what_nobody_knows_is_named(recorder: EventRecorder) -> None:
    recorder.store.put(
        b'{"eventTime": "2026-09-01T10:00:00Z", "eventType": "COMPLETE", "job": {"namespace": "n", "name": "j"},'
        b' "run": {"runId": "0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"},'
        b' "inputs": [{"namespace": "n", "name": "x"}], "outputs": [{"namespace": "n", "name": "y", "facets": []}]}'
    )
    found = diff(recorder.store, None, "dataset:n:x", "dataset:n:y")
    assert found.unknown == ("schema", "rows", "contract", "checks", "code", "inputs")
    assert found.same, "of what is known"
    for wrong in ("dataset:n:z", "clean/tickets@3", "run:0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"):
        with pytest.raises(AssayError, match=r"no dataset .* assay lineage search"):
            diff(recorder.store, None, "dataset:n:x", wrong)


def test_short_names_and_data_without_types(lake: Lake, recorder: EventRecorder) -> None:
    make(lake, recorder, pl.DataFrame({"a": [1]}), "one", True, "1.0")
    make(lake, recorder, pl.DataFrame({"a": [1, 2]}), "one", True, "1.0")
    latest = lake.table("clean").at().version
    found = diff(recorder.store, lake, "clean@1", f"clean@{latest}")
    assert found == diff(recorder.store, lake, "dataset:assay:clean@1", "clean")
    assert found.to_dict() == {
        "a": "dataset:assay:clean@1",
        "b": f"dataset:assay:clean@{latest}",
        "same": False,
        "schema": {},
        "rows": (1, 2),
        "contract": None,
        "checks": {},
        "code": None,
        "inputs": {"raw": (("1",), (str(lake.table("raw").at().version),))},
        "unknown": (),
    }


def test_a_version_that_is_gone_is_compared_by_what_its_run_wrote(lake: Lake, recorder: EventRecorder) -> None:
    for day in ("d1", "d2"):
        with transaction(lake, recorder, Work("clean", day)) as tx:
            tx.write("clean", pl.DataFrame({"a": [1, 2]}))
    store, (first, second) = recorder.store, (commit.version for commit in lake.table("clean").history()[-2:])
    assert diff(store, lake, f"clean@{first}", f"clean@{second}").rows == (2, 4), "both are there: what they hold"
    shutil.rmtree(f"{lake.storage.root}/clean")
    assert diff(store, lake, f"clean@{first}", f"clean@{second}").rows is None, "each run wrote two"
