"""Deliveries that are read frame by frame make the raw table that they make when they are read at once."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay.assets import Delivery, DeliveryError, SourceReader
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.steps import delivered_rows
from assay.assets.steps.delivered_rows import DeliveredRows, _as_agreed
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import execute
from assay.checks import validate
from assay.features import AuditFailed, Partitioning
from assay.features.storage.parquet_files import encode

DAY = "2026-03-01"


class Things(assay.Contract):
    thing: str = assay.Field(key=True)
    size: int = assay.Field(ge=0)


@dataclass(frozen=True)
class InMemory(SourceReader):
    """Deliveries that are held by name; `rows` in a frame (0: all at once), and a fault after so many frames of a name."""

    rows: int = 0
    fault: str = ""
    after: int = 0

    def partitions(self, settings: Any, partitioning: Partitioning) -> list[str]:
        return [DAY]

    def deliveries(self, reading: Any) -> list[Delivery]:
        return [
            Delivery.of_bytes(f"things/{name}", repr(rows.to_dict(as_series=False)).encode(), DAY, frame=rows)
            for name, rows in DELIVERED.items()
        ]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        assert delivery.frame is not None
        return delivery.frame

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        if not self.rows:
            yield self.read(delivery)
            return
        whole = self.read(delivery)
        for number, start in enumerate(range(0, max(whole.height, 1), self.rows)):
            if self.fault == delivery.path and number == self.after:
                raise DeliveryError(delivery.path, "is cut off", "send it again")
            yield whole.slice(start, self.rows)


DELIVERED: dict[str, pl.DataFrame] = {}


def things(count: int, **more: Any) -> pl.DataFrame:
    values = {"thing": [f"t{number}" for number in range(count)], "size": [f"{number}" for number in range(count)]}
    types = {name: pl.String if isinstance(value, str) else pl.Int64 for name, value in more.items()}
    schema = {"thing": pl.String, "size": pl.String} | types
    return pl.DataFrame(values | {name: [value] * count for name, value in more.items()}, schema=schema)


def source(reader: SourceReader) -> assay.Source:
    return assay.Source(
        name="things",
        reader=reader,
        contract=Things,
        key=("thing",),
        event_time="",
        partitioning=Partitioning.daily(date(2026, 3, 1)),
    )


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Any]:
    store = assay.open(home=tmp_path, lake=str(tmp_path / "lake"))
    yield store.env()
    store.recorder.close()


def raw(env: Any, reader: SourceReader) -> tuple[set[str], Mapping[str, int]]:
    """The files of the raw table, without when they came in, and the rows of each delivery."""
    execute(raw_step(source(reader)), env, DAY, force=True)
    state = env.lake.table("raw/things").at()
    return {file.path for file in state.files}, {item.path: item.rows for item in state.last_commit.sources}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([{}, {"note": "x"}, {"extra": 1}])), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from([0, 1 << 28]),
)
def test_the_files_are_the_same_however_a_reader_cuts_its_rows(
    made: list[tuple[int, dict[str, Any]]], rows: int, at_once: int
) -> None:
    DELIVERED.clear()
    DELIVERED.update({f"{number}": things(count, **more, n=number) for number, (count, more) in enumerate(made)})
    deliveries = InMemory().deliveries(None)
    arrived = {one.sha256: datetime(2026, 3, 1, tzinfo=UTC) for one in deliveries}

    def files(reader: SourceReader) -> list[str]:
        delivered = DeliveredRows(source(reader), deliveries, FileHashes(), lambda *_: None)
        paths = [file.path for file in encode(delivered.linked("batch", arrived), DAY)]
        assert delivered.rows == {one.sha256: count for one, (count, _) in zip(deliveries, made, strict=True)}
        assert delivered.problems == []
        return paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.features.storage.parquet_files.ROWS_PER_FILE", 4)
        patch.setattr(delivered_rows, "AT_ONCE", at_once)
        assert files(InMemory(rows)) == files(InMemory())
        linked = pl.concat(
            DeliveredRows(source(InMemory(rows)), deliveries, FileHashes(), lambda *_: None).linked("b", arrived)
        )
    for one, (count, more) in zip(deliveries, made, strict=True):
        mine = linked.filter(pl.col("_source_sha256") == one.sha256)
        assert mine["_row_number"].to_list() == list(range(1, count + 1))
        assert all(
            mine[name].null_count() == (0 if name in more else count) for name in {"note", "extra"} & {*mine.columns}
        )


def test_what_is_wrong_at_the_end_of_a_delivery_refuses_the_partition_and_the_others_are_still_looked_at(
    env: Any,
) -> None:
    DELIVERED.clear()
    DELIVERED.update({"a": things(9), "b": things(3).drop("size"), "c": things(5).cast({"size": pl.Int64})})
    reader = InMemory(2, fault="things/a", after=3)
    with pytest.raises(AuditFailed) as refused:
        execute(raw_step(source(reader)), env, DAY)
    said = str(refused.value)
    assert "things/a: is cut off" in said
    assert "things/b, column size: the contract's column 'size' is missing" in said
    assert "things/c, column size: is Int64 here and String in things/a" in said
    assert env.lake.tables() == []


@pytest.mark.parametrize("name", ["a\0b", "*", "^.*$"])
def test_a_name_that_no_table_can_hold_refuses_the_delivery_by_its_position(env: Any, name: str) -> None:
    DELIVERED.clear()
    DELIVERED.update({"a": things(2), "b": things(3).with_columns(pl.lit(1).alias(name))})
    with pytest.raises(AuditFailed, match="things/b, column #3: this column has a ") as refused:
        execute(raw_step(source(InMemory())), env, DAY)
    assert "\0" not in str(refused.value)
    assert env.lake.tables() == []


@dataclass(frozen=True)
class Odd(InMemory):
    """A reader with a mistake in it."""

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        if self.rows:
            yield things(1)
            yield things(1, other=1)


@pytest.mark.parametrize(("rows", "says"), [(1, "frames with different columns"), (0, "without giving any frame")])
def test_a_mistake_of_a_reader_is_said_to_be_one(env: Any, rows: int, says: str) -> None:
    DELIVERED.clear()
    DELIVERED["a"] = things(1)
    with pytest.raises(AuditFailed, match=says):
        execute(raw_step(source(Odd(rows))), env, DAY)


def test_a_reader_that_only_reads_whole_deliveries_keeps_working(env: Any) -> None:
    @dataclass(frozen=True)
    class Whole(SourceReader):
        def partitions(self, settings: Any, partitioning: Partitioning) -> list[str]:
            return [DAY]

        def deliveries(self, reading: Any) -> list[Delivery]:
            return InMemory().deliveries(reading)

        def read(self, delivery: Delivery) -> pl.DataFrame:
            return InMemory().read(delivery)

    DELIVERED.clear()
    DELIVERED["a"] = things(3)
    files, rows = raw(env, replace(Whole()))
    assert rows == {"things/a": 3}
    assert files == raw(env, InMemory(2))[0]


MOMENT = datetime(2026, 9, 24, 9, tzinfo=UTC)
DELIVERED_TYPES: list[pl.Series] = [
    pl.Series([46289, 46290, 2026], dtype=pl.Int32),
    pl.Series([1, 2, None], dtype=pl.Int64),
    pl.Series([1, 300, 2**40], dtype=pl.Int64),
    pl.Series([1.0, None, 3.0]),
    pl.Series([1.5, 2.0, float("nan")]),
    pl.Series([True, False, None]),
    pl.Series(["1", "true", "2026-09-24"]),
    pl.Series([date(2026, 9, 24), date(1, 1, 1), None]),
    pl.Series([MOMENT, None, MOMENT], dtype=pl.Datetime("us", "UTC")),
    pl.Series([MOMENT, None, MOMENT], dtype=pl.Datetime("ms", "Europe/Berlin")),
    pl.Series([MOMENT.replace(tzinfo=None)] * 3, dtype=pl.Datetime("us")),
    pl.Series([time(9), time(10), None]),
    pl.Series([timedelta(hours=1)] * 3),
    pl.Series(["a", "b", None], dtype=pl.Categorical),
    pl.Series([Decimal("1.50"), Decimal("2.00"), None], dtype=pl.Decimal(10, 2)),
    pl.Series([None, None, None]),
    pl.Series([[1], [], None], dtype=pl.List(pl.Int64)),
]
DECLARED_TYPES = [int, pl.Int8, float, str, bool, date, time, assay.Timestamp, pl.UInt16]


@pytest.mark.parametrize("values", DELIVERED_TYPES, ids=lambda values: str(values.dtype))
def test_a_delivery_is_taken_in_another_type_if_the_contract_reads_all_its_values(values: pl.Series) -> None:
    for declared, naive_utc in product(DECLARED_TYPES, [False, True]):

        class Typed(assay.Contract):
            value: declared = assay.Field(nullable=True, naive_utc=naive_utc)  # pyright: ignore[reportInvalidTypeForm]

        source, frame = _source(Typed), values.to_frame("value")
        judged = validate(frame, Typed)
        unread = {result.name: result.invalid for result in judged.report.rules}["value.dtype"]
        try:
            agreed = _as_agreed(source, Delivery.of_bytes("typed/x", b"x", DAY), frame)
        except DeliveryError as problem:
            assert unread, (declared, problem)
            continue
        if values.dtype == pl.String or agreed.schema == frame.schema:
            assert agreed.equals(frame), declared  # the contract says row by row what it cannot read
        else:
            assert not unread, declared
            assert validate(agreed, Typed).clean["value"].equals(judged.clean["value"])


def _source(contract: type[assay.Contract]) -> assay.Source:
    days = Partitioning.daily(date(2026, 3, 1))
    return assay.Source("typed", InMemory(), contract, key=("value",), event_time="at", partitioning=days)


def test_two_columns_that_differ_in_case_refuse_the_delivery_by_name() -> None:
    frame = pl.DataFrame({"thing": ["a"], "size": [1], "Size": [2]})
    with pytest.raises(DeliveryError, match=r"things/x: .*'size' and 'Size' differ only in case"):
        _as_agreed(_source(Things), Delivery.of_bytes("things/x", b"x", DAY), frame)


def test_the_encoding_of_a_large_file_is_named_and_not_the_column_that_it_misspells() -> None:
    class Faults(assay.Contract):
        Störung: str

    text = "Störung\n" + f"{'x' * 999}\n" * 9_000  # more than is read at a time
    content = text.encode()
    reader = assay.Files("faults/{day}/*", (".csv",), csv=assay.Csv(encoding="cp1252"))
    source = replace(_source(Faults), reader=reader)
    delivery = Delivery.of_bytes("faults/a.csv", b"", DAY)
    pieces = [content[start : start + 1_000_000] for start in range(0, len(content), 1_000_000)]
    digest = hashlib.sha256(content).hexdigest()
    delivery = replace(delivery, sha256=digest, size=len(content), fetch=None, lines=lambda: iter(pieces))
    rows = DeliveredRows(source, [delivery], FileHashes(), lambda *_: None)
    assert list(rows.linked("b", {}))
    (problem,) = rows.problems
    assert "reads as UTF-8, although cp1252 is declared" in problem
    assert "Field(was=" not in problem
