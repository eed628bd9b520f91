"""Columns that the contract does not know stop nothing, whatever their types are, in a file, between files and between days."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.assets.ingestion import ingest
from assay.assets.sources.source import Files, Source
from assay.assets.sources.undeclared import kept_of
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

DAYS = ("2026-09-24", "2026-09-25", "2026-09-26")
AT = datetime(2026, 9, 24, 9, tzinfo=UTC)
WALL = datetime(2026, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None)


class Things(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()

    class Config(Contract.Config):
        version, owner = "1.0.0", "shop"


things = Source(
    "things",
    Files("things/{day}/*", (".parquet", ".csv")),
    Things,
    ("id",),
    "at",
    partitioning=Partitioning.daily("2026-09-01"),
)


@pytest.fixture
def env(tmp_path: Path) -> Resources:
    return assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path), landing=str(tmp_path / "landing")).env()


def deliver(env: Resources, name: str, extra: pl.Series | None, day: str = DAYS[0], rows: int = 2) -> None:
    frame = pl.DataFrame(
        {"id": [f"{name}{number}" for number in range(rows)], "at": [AT] * rows},
        schema={"id": pl.String, "at": pl.Datetime("us", "UTC")},
    )
    file = env.settings.landing_path / "things" / day / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    (frame if extra is None else frame.with_columns(extra.alias("extra"))).write_parquet(file)


def raw(env: Resources, day: str = DAYS[0]) -> pl.DataFrame:
    execute(raw_step(things), env, day)
    return env.lake.table("raw/things").at().scan([day]).collect().sort("id")


def remark(env: Resources) -> str:
    (check,) = [one for one in env.lake.table("raw/things").at().last_commit.checks if one["name"] == "delivery"]
    assert check["passed"]
    return check["message"]


DTYPES: list[tuple[pl.Series, list[Any]]] = [
    (pl.Series([1, None]), [1, None]),
    (pl.Series([AT, None], dtype=pl.Datetime("us", "UTC")), [AT, None]),
    (pl.Series([1, None]).cast(pl.Datetime("ns", "UTC")), ["1970-01-01T00:00:00.000000001Z", None]),
    (pl.Series([WALL, None]), ["2026-01-01T12:00:00", None]),
    (pl.Series([AT, None], dtype=pl.Datetime("ms", "Europe/Berlin")), ["2026-09-24T09:00:00Z", None]),
    (pl.Series([time(1, 2, 3, 4), None]), ["01:02:03.000004", None]),
    (pl.Series([timedelta(hours=1), None]), ["PT1H", None]),
    (pl.Series([None, None]), [None, None]),
    (pl.Series([2**63, None], dtype=pl.UInt64), [Decimal(2**63), None]),
    (pl.Series([[], None], dtype=pl.List(pl.Null)), ["[]", None]),
    (pl.Series([[timedelta(seconds=1)], None]), ['["PT1S"]', None]),
    (pl.Series([{"a": time(1), "b": [1]}, None]), ['{"a": "01:00:00", "b": [1]}', None]),
    (pl.Series([b"\x00", None]), [b"\x00", None]),
    (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
    (pl.Series([[1], None], dtype=pl.List(pl.Int8)), [[1], None]),
    (pl.Series([Decimal("1.5"), None]), [Decimal("1.5"), None]),
    (pl.Series([date(2026, 1, 1), None]), [date(2026, 1, 1), None]),
]


@pytest.mark.parametrize(("extra", "values"), DTYPES, ids=[str(extra.dtype) for extra, _ in DTYPES])
def test_a_column_of_any_type_is_kept(env: Resources, extra: pl.Series, values: list[Any]) -> None:
    deliver(env, "a", extra)
    assert raw(env)["extra"].to_list() == values
    assert remark(env) == ""
    assert raw(env)["extra"].to_list() == values, "and again"


def test_files_that_disagree_are_kept_as_text(env: Resources) -> None:
    deliver(env, "a", pl.Series([1, 2]))
    deliver(env, "b", pl.Series([1.5, None]))
    deliver(env, "c", pl.Series([None, None]))
    deliver(env, "d", None)
    assert raw(env)["extra"].to_list() == ["1", "2", "1.5", None, None, None, None, None]
    assert remark(env) == (
        "Column 'extra', which the contract does not know, is Int64, Float64, Null in different files: kept as text."
    )


def test_a_type_that_changes_between_days_gets_a_column_of_its_own_and_stays_there(env: Resources) -> None:
    for day, extra in zip(DAYS, (pl.Series([1, 2]), pl.Series(["n/a", "3"]), pl.Series([None, None])), strict=True):
        deliver(env, "a", extra, day)
    for _ in range(2):
        assert raw(env, DAYS[0])["extra"].to_list() == [1, 2]
        second = raw(env, DAYS[1])
        assert (second["extra"].to_list(), second["extra__string"].to_list()) == ([None, None], ["n/a", "3"])
        assert raw(env, DAYS[2])["extra"].to_list() == [None, None]
    deliver(env, "b", pl.Series(["later"] * 2), DAYS[1])
    assert raw(env, DAYS[1])["extra__string"].to_list() == ["n/a", "3", "later", "later"]
    assert remark(env) == "Column 'extra', which the contract does not know, was Int64: kept as 'extra__string'."


def test_what_is_text_takes_everything(env: Resources) -> None:
    deliver(env, "a", pl.Series(["x", None]))
    raw(env)
    deliver(env, "b", pl.Series([True, None]), DAYS[1])
    assert raw(env, DAYS[1])["extra"].to_list() == ["true", None]
    assert remark(env) == ""


def test_a_part_without_rows_is_taken_and_a_batch_of_none_is_refused(env: Resources) -> None:
    deliver(env, "a", None)
    deliver(env, "b", None, rows=0)
    assert raw(env)["id"].to_list() == ["a0", "a1"]
    deliver(env, "c", pl.Series([], dtype=pl.Int64), DAYS[1], rows=0)
    with pytest.raises(
        AssayError, match=r"c\.parquet: has no rows \(.* bytes\); ask the upstream to re-send it as c\.r1\."
    ):
        raw(env, DAYS[1])


def test_rows_that_are_handed_over_too(env: Resources) -> None:
    rows = {"id": ["a"], "at": [AT], "wall": [WALL], "none": [None]}
    done = ingest(things, env, pl.DataFrame(rows, schema_overrides={"at": pl.Datetime("us", "UTC")}), DAYS[0])
    assert (done.rows_in, done.rows_clean) == (1, 1)
    assert set(env.lake.table("clean/things").at().schema) & {"wall", "none"} == set()


def test_declared_columns_and_ours_are_not_looked_at() -> None:
    kept = kept_of([pl.Schema({"id": pl.Int64(), "x": pl.Null()}), pl.Schema({"id": pl.String()})], {"id"}, {})
    assert kept.columns == {"x": ("x", pl.String())}
    assert kept.remarks == ()
