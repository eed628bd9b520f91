"""Columns are followed through the commits of a real lake, version by version, in both directions."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.columns.graph import ColumnEdge, ColumnNode, column_downstream, column_upstream


def write(
    lake: Lake, table: str, columns: str, value: int, lineage: Any = None, read: Any = (), partition: str | None = None
) -> int:
    """A commit of one row; `read` are (table, version, partitions, lookup). Returns its version."""
    with transaction(lake, NullRecorder(), Work(table, partition, code_version="1")) as tx:
        for name, version, partitions, lookup in read:
            tx.read(name, partitions, version=version, lookup=lookup)
        frame = pl.DataFrame({name: [value] for name in columns.split()})
        tx.write(table, frame, column_lineage=lineage)
    assert tx.done is not None
    return tx.done.writes[0].snapshot.version


def from_(table: str, direct: str, indirect: str = "") -> dict[str, Any]:
    return {
        "direct": [(table, name) for name in direct.split()],
        "indirect": [(table, name) for name in indirect.split()],
    }


@pytest.fixture
def desk(lake: Lake) -> dict[str, int]:
    """raw/t (two days) → clean/t → features/f, which reads an old version of the second day."""
    versions = {}
    for number, day in enumerate(["d1", "d2"]):
        versions[f"raw {day}"] = write(lake, "raw/t", "a b", number, partition=day)
    own = {name: from_("raw/t", name) for name in ("a", "b")}
    for number, day in enumerate(["d1", "d2"]):
        read = [("raw/t", None, [day], False)]
        versions[f"clean {day}"] = write(lake, "clean/t", "a b", number, own, read, day)
    versions["raw again"] = write(lake, "raw/t", "a b", 7, partition="d2")
    versions["clean again"] = write(lake, "clean/t", "a b", 7, own, [("raw/t", None, ["d2"], False)], "d2")
    said = {"x": from_("clean/t", "a", "b"), "y": from_("clean/t", "b", "b"), "z": "unknown"}
    old = [("clean/t", versions["clean d2"], ["d1", "d2"], False)]
    versions["features"] = write(lake, "features/f", "x y z w", 1, said, old)
    return versions


def test_upstream_leads_to_raw_through_the_versions_that_were_read(lake: Lake, desk: dict[str, int]) -> None:
    found = column_upstream(lake, "features/f", "x")
    x = ColumnNode("features/f", desk["features"], "x")
    expected = set()
    for day in ("d1", "d2"):
        for name, direct in (("a", True), ("b", False)):
            clean = ColumnNode("clean/t", desk[f"clean {day}"], name)
            expected |= {ColumnEdge(clean, x, direct)}
            expected |= {ColumnEdge(ColumnNode("raw/t", desk[f"raw {day}"], name), clean, True)}
    assert set(found.edges) == expected
    assert found.complete and found.origin == (x,)
    assert found.to_dict()["edges"][0]["source"] == {"table": "clean/t", "version": desk["clean d1"], "column": "a"}


def test_the_latest_rows_and_those_of_an_older_version_differ(lake: Lake, desk: dict[str, int]) -> None:
    now = column_upstream(lake, "clean/t", "a")
    then = column_upstream(lake, "clean/t", "a", desk["clean d2"])
    assert {edge.source.version for edge in now.edges} == {desk["raw d1"], desk["raw again"]}
    assert {edge.source.version for edge in then.edges} == {desk["raw d1"], desk["raw d2"]}


def test_downstream_leads_to_the_columns_made_from_it_and_no_others(lake: Lake, desk: dict[str, int]) -> None:
    found = column_downstream(lake, "raw/t", "a", desk["raw d1"])
    assert {(edge.target.table, edge.target.column, edge.direct) for edge in found.edges} == {
        ("clean/t", "a", True),
        ("features/f", "x", True),
    }
    assert {(node.table, node.column) for node in found.unknown} == {("features/f", "z"), ("features/f", "w")}
    assert not found.complete
    again = column_downstream(lake, "raw/t", "a", desk["raw again"])
    assert {edge.target for edge in again.edges} == {ColumnNode("clean/t", desk["clean again"], "a")}
    assert again.complete


def test_both_directions_give_the_same_edges(lake: Lake, desk: dict[str, int]) -> None:
    up = {edge for name in "xy" for edge in column_upstream(lake, "features/f", name).edges}
    down = {edge for name in "ab" for edge in column_downstream(lake, "raw/t", name).edges}
    newest = ColumnNode("clean/t", desk["clean again"], "a")._replace
    assert up == {e for e in down if e.target not in (newest(column="a"), newest(column="b"))}


@pytest.mark.parametrize("column", ["z", "w"])
def test_what_no_one_said_is_unknown_and_has_no_edges(lake: Lake, desk: dict[str, int], column: str) -> None:
    found = column_upstream(lake, "features/f", column)
    assert not found.edges
    assert found.unknown == (ColumnNode("features/f", desk["features"], column),)


def test_the_name_of_a_partition_comes_from_no_column(lake: Lake, desk: dict[str, int]) -> None:
    found = column_upstream(lake, "clean/t", "partition_key")
    assert found.complete and not found.edges


def test_lineage_from_a_table_that_was_not_read_is_unknown(lake: Lake, desk: dict[str, int]) -> None:
    write(lake, "features/g", "x", 1, {"x": from_("clean/elsewhere", "a")}, [("clean/t", None, None, False)])
    assert [node.column for node in column_upstream(lake, "features/g", "x").unknown] == ["x"]
    assert ("features/g", "x") in {node[::2] for node in column_downstream(lake, "clean/t", "a").unknown}


def test_a_lookup_counts_only_where_it_is_said(lake: Lake, desk: dict[str, int]) -> None:
    write(lake, "features/g", "x y", 1, {"x": from_("clean/t", "a")}, [("clean/t", None, None, True)])
    found = column_downstream(lake, "clean/t", "a")
    assert "features/g" in {edge.target.table for edge in found.edges}
    assert "features/g" not in {node.table for node in found.unknown}


def test_a_table_made_anew_truncates(lake: Lake, desk: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "lake" / "clean" / "t").rename(tmp_path / "old")
    up = column_upstream(lake, "features/f", "x")
    assert not up.complete and not up.edges
    assert "clean/t was deleted or made anew" in up.reasons[0]
    assert not column_downstream(lake, "raw/t", "a").complete


def test_a_damaged_log_truncates(lake: Lake, desk: dict[str, int], tmp_path: Path) -> None:
    log = tmp_path / "lake" / "features" / "f" / "_delta_log" / f"{desk['features']:020d}.json"
    log.write_bytes(b"\xff" + log.read_bytes()[1:])
    found = column_downstream(lake, "raw/t", "a")
    assert any("features/f is damaged" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("table", "column", "version", "message"),
    [
        ("raw/nothing", "a", None, "no table raw/nothing"),
        ("raw/t", "nothing", None, "no column 'nothing'"),
        ("raw/t", "a", 99, "no version 99"),
    ],
)
def test_a_column_that_is_not_there(
    lake: Lake, desk: dict[str, int], table: str, column: str, version: int | None, message: str
) -> None:
    for ask in (column_upstream, column_downstream):
        with pytest.raises(AssayError, match=message):
            ask(lake, table, column, version)
