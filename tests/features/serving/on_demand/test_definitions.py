"""Definitions of on-demand views: versions of a table, checked against what they are computed of."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.catalogue.catalogue import catalogue
from assay.features.serving.on_demand.definitions import define
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder
from assay.features.tables.serving import Serving
from assay.features.views.row_wise import Feature


def defined(lake: Lake, name: str, expr: pl.Expr, uses: list[str], inputs: dict[str, Any] | None = None) -> Any:
    return define(lake, NullRecorder(), OnDemandView(name, [Feature("x", expr)], inputs or {}, uses, owner="shop"))


@pytest.fixture
def world(lake: Lake, write: Any) -> Lake:
    rows = pl.DataFrame({"c": [1], "at": [datetime(2026, 1, 1, tzinfo=UTC)], "n": [1], "word": ["a"]})
    write(lake, "features/activity", rows, "d1", extra={"serving": Serving.as_of(["c"], "at").to_dict()})
    defined(lake, "more", pl.col("n") + pl.col("extra"), ["activity:n"], {"extra": int})
    defined(lake, "most", pl.col("x") * 2.0, ["more:x"])
    return lake


def test_a_definition_is_a_table_of_one_row_with_types_and_lineage(world: Lake) -> None:
    state = world.table("features/more").at()
    assert dict(state.schema) == {"x": pl.Int64, "_definition": pl.String}
    assert state.rows() == 1
    commit = state.last_commit
    assert commit.serving == {"kind": "on_demand", "keys": ["c"]}
    assert commit.column_lineage == {
        "x": {
            "direct": [["features/activity", "n"]],
            "indirect": [["features/activity", "c"], ["features/activity", "at"]],
        }
    }
    assert [(item.snapshot.table, item.lookup, item.partitions) for item in commit.inputs] == [
        ("features/activity", True, None)
    ]
    infos = {info.reference: info for info in catalogue(world)}
    assert (infos["more:x"].kind, infos["more:x"].dtype, infos["more:x"].owner) == ("on-demand", "Int64", "shop")
    assert (infos["most:x"].kind, infos["most:x"].keys, infos["most:x"].reads) == (
        "composed",
        ("c",),
        ("features/more.x",),
    )
    assert infos["most:x"].newest is None


@pytest.mark.parametrize(
    ("name", "expr", "uses", "said"),
    [
        ("other", pl.col("n"), ["activty:n"], "no feature view.*Did you mean 'activity'"),
        ("other", pl.col("m"), ["activity:m"], "has no feature 'm'"),
        ("other", pl.col("c"), ["activity:c"], "has no feature 'c'"),
        ("other", pl.col("n").str.len_chars(), ["activity:n"], r"does not fit what it reads \(n is Int64\)"),
        ("more", pl.col("x"), ["most:x"], "uses most:x, which is computed of it"),
        ("more", pl.col("x"), ["more:x"], "uses more:x, which is computed of it"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_it_is_written(
    world: Lake, name: str, expr: pl.Expr, uses: list[str], said: str
) -> None:
    before = world.table("features/more").at().version
    with pytest.raises(AssayError, match=said):
        defined(world, name, expr, uses)
    assert world.table("features/more").at().version == before
    assert not world.table("features/other").exists()
