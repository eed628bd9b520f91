"""A batch on disk is read, judged and given block by block."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, rule, validate, validate_spilled
from assay.checks.validation import blocks
from assay.checks.validation.blocks import Blocks, anew, cut, in_blocks
from assay.errors import AssayError
from assay.row_source import RowSource


class Readings(Contract):
    id: int = Field(unique=True)
    value: float = Field(ge=0)
    state: str = Field(isin=["on", "off"])

    @rule(name="not_far_above_the_mean")
    def not_far_above_the_mean(cls) -> pl.Expr:
        return pl.col("value") <= pl.col("value").mean() * 10

    @rule(name="not_twice_in_a_row")
    def not_twice_in_a_row(cls) -> pl.Expr:
        return pl.col("id") != pl.col("id").shift()


def readings(rows: int) -> pl.DataFrame:
    number = pl.int_range(rows)
    return pl.select(
        # The first row of each block repeats the last one's key.
        id=pl.when(number % 100 == 0).then(number - 1).otherwise(number).cast(pl.String),
        value=pl.when(number % 211 == 5)
        .then(-1)
        .when(number % 401 == 7)
        .then(9_000)
        .otherwise(number % 10)
        .cast(pl.String),
        state=pl.when(number % 307 == 3).then(pl.lit("broken")).otherwise(pl.lit("on")),
    )


@pytest.mark.parametrize("rows", [0, 1, 100, 1050])
def test_blocks_are_bounded_and_change_nothing(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 100)
    judged: list[int] = []
    collect = pl.LazyFrame.collect

    def counted(query: pl.LazyFrame, *given: Any, **named: Any) -> Any:
        frame: Any = collect(query, *given, **named)
        if named.get("engine") != "streaming":  # streaming gives figures, or the few rows that share a key
            judged.append(frame.height)
        return frame

    batch = readings(rows)
    outcome = validate(batch, Readings)
    monkeypatch.setattr(pl.LazyFrame, "collect", counted)
    spilled = validate_spilled(batch, Readings, tmp_path)
    monkeypatch.undo()
    assert judged and max(judged) <= 100
    assert spilled.report == outcome.report
    assert spilled.clean.collect(engine="streaming").equals(outcome.clean)
    frames = list(spilled.clean_frames())
    assert pl.concat(frames).equals(outcome.clean) and max(frame.height for frame in frames) <= 100
    assert spilled.quarantined.collect(engine="streaming").equals(outcome.quarantined)
    if rows > 1000:
        assert all(
            result.invalid for result in outcome.report.rules if not result.name.endswith(("dtype", "null", "nan"))
        )


def test_what_stands_beside_the_blocks_is_cut_as_they_are(tmp_path: Path) -> None:
    made = Blocks(tmp_path)
    for part in readings(10).iter_slices(3):
        made.add(part)
    assert (made.heights, made.height) == ([3, 3, 3, 1], 10)
    numbers = pl.DataFrame({"number": range(10)})
    beside = readings(10).hstack(numbers)
    assert made.rows(numbers).lazy().collect().equals(beside)
    assert made.rows(numbers).lazy().select("number").filter(pl.col("number") > 3).collect()["number"].to_list() == [
        4,
        5,
        6,
        7,
        8,
        9,
    ]
    assert (
        made.rows(numbers).lazy().filter(pl.col("number") == 7).select("id").collect().equals(beside[7:8].select("id"))
    )


def test_blocks_beyond_the_cache_of_files_are_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = readings(1000)
    monkeypatch.setattr(blocks, "CACHED", 2 * part.estimated_size())
    made = Blocks(tmp_path)
    for _ in range(4):
        made.add(part)
    first, second, third, fourth = (file.stat().st_size for file in sorted(tmp_path.iterdir()))
    assert first == second > 2 * third and third == fourth
    assert made.rows().lazy().collect().equals(pl.concat([part] * 4))


def test_a_query_comes_in_blocks_and_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 40)
    assert [part.height for part in in_blocks(readings(100).lazy())] == [40, 40, 20]
    assert [part.shape for part in in_blocks(readings(0).lazy())] == [(0, 3)]
    source = RowSource(readings(0).schema, lambda columns: readings(100).select(columns).iter_slices(50))
    assert [part.height for part in in_blocks(source)] == [40, 10, 40, 10]


def test_a_few_rows_of_a_block_do_not_keep_the_texts_of_the_others(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")  # it shows what memory a column holds, which Polars does not say
    texts = pl.DataFrame({"text": [f"{number:0100}" for number in range(1000)]})
    made = Blocks(tmp_path)
    made.add(texts)

    def bytes_held(which: pl.Series) -> int:
        (rows,) = made.rows(which=which).frames()
        assert rows.equals(texts.filter(which))
        return rows["text"].to_arrow(compat_level=pl.CompatLevel.newest()).nbytes

    assert bytes_held(pl.Series([True] * 1000)) > 100_000
    assert bytes_held(pl.Series([number % 100 == 0 for number in range(1000)])) < 3_000


class Whole(Contract):
    n: int = Field(nullable=True)

    @rule(name="n.any")
    def some(cls) -> pl.Expr:
        return pl.col("n").sum() > 0

    @rule(name="n.many")
    def many(cls) -> pl.Expr:
        return pl.len() > 2

    @rule(name="n.first")
    def first(cls) -> pl.Expr:
        return pl.int_range(pl.len()) < 2

    @rule(name="n.never")
    def never(cls) -> pl.Expr:
        return pl.lit(False)


@pytest.mark.parametrize("numbers", [[], [1], [1, 2, 3, None, -9]])
def test_a_rule_with_one_truth_for_the_batch_holds_for_all_of_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: list[int | None]
) -> None:
    monkeypatch.setattr(blocks, "ROWS", 2)
    batch = pl.DataFrame({"n": numbers}, schema={"n": pl.Int64})
    in_memory, spilled = validate(batch, Whole), validate_spilled(batch, Whole, tmp_path)
    assert spilled.report == in_memory.report
    assert spilled.quarantined.collect().equals(in_memory.quarantined)


@pytest.mark.usefixtures("small_blocks")
def test_defects_are_counted_under_their_own_names(tmp_path: Path) -> None:
    defects = [f"kind_{number:02}" for number in range(40) for _ in range(number + 1)]
    batch = pl.DataFrame({"n": 1, "_defect": defects})
    report = validate_spilled(batch, Whole, tmp_path).report
    counts = {result.name: result.invalid for result in report.rules if result.name.startswith("row.kind")}
    assert counts == {f"row.kind_{number:02}": number + 1 for number in range(40)}
    assert report == validate(batch, Whole).report


def taken_from(frame: pl.DataFrame, rows: int, asked: list[list[str]]) -> RowSource:
    """The rows in frames of so many; `asked` is filled with the columns of each reading."""

    def made(columns: Any) -> Any:
        asked.append(list(columns))
        return frame.select(columns).iter_slices(rows)

    return RowSource(frame.schema, made)


@pytest.mark.parametrize("rows", [7, 100, 250])
def test_what_a_batch_has_is_read_again_and_not_written(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ROWS", 100)
    batch, asked = readings(1050), list[list[str]]()
    outcome = validate(batch, Readings)
    spilled = validate_spilled(taken_from(batch, rows, asked), Readings, tmp_path)
    assert spilled.report == outcome.report
    assert pl.concat(spilled.clean_frames()).equals(outcome.clean) and asked[-1] == ["state"]
    assert spilled.quarantined.collect().equals(outcome.quarantined) and set(asked[-1]) == {"id", "value", "state"}
    written = {name for file in tmp_path.glob("rows-*") for name in pl.read_ipc_schema(file)}
    assert written == {"id", "value"}  # their numbers


def test_a_query_is_written_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 100)
    runs = list[int]()
    batch = readings(1050)
    query = batch.lazy().map_batches(lambda frame: runs.append(frame.height) or frame)
    spilled, outcome = validate_spilled(query, Readings, tmp_path), validate(batch, Readings)
    assert spilled.clean.collect().equals(outcome.clean)
    assert spilled.quarantined.collect().equals(outcome.quarantined)
    assert sum(runs) == 1050


def test_a_batch_that_has_fewer_rows_the_second_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ROWS", 100)
    batch, readings_made = readings(1050), list[int]()

    def made(columns: Any) -> Any:
        readings_made.append(1)
        return batch.select(columns).head(1050 if len(readings_made) < 3 else 1049).iter_slices(100)

    spilled = validate_spilled(RowSource(batch.schema, made), Readings, tmp_path)
    with pytest.raises(AssayError, match="fewer rows than when it was read first"):
        list(spilled.clean_frames())


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(1, 7), max_size=8))
def test_frames_are_cut_to_heights(frames: list[int], heights: list[int]) -> None:
    numbers = pl.DataFrame({"n": pl.int_range(sum(frames), eager=True)})
    ends = [sum(frames[: place + 1]) for place in range(len(frames))]
    given_frames = (numbers[end - height : end] for end, height in zip(ends, frames, strict=True))
    made = list[pl.DataFrame]()
    if sum(heights) > sum(frames):
        with pytest.raises(AssayError):
            made += cut(given_frames, heights)
        return
    made += cut(given_frames, heights)
    assert [part.height for part in made] == heights
    assert [value for part in made for value in part["n"]] == list(range(sum(heights)))


def test_rows_written_anew_are_the_same_and_keep_no_others() -> None:
    pytest.importorskip("pyarrow")
    number = pl.int_range(100_000)
    frame = pl.select(
        n=number,
        text=pl.format("{}{}", pl.lit("x" * 20), number),
        day=pl.lit(None, pl.Date),
        tags=pl.concat_list(number),
    )
    rows = frame.head(10)
    assert anew(rows).equals(rows) and anew(rows).schema == rows.schema
    assert anew(rows.clear()).schema == rows.schema
    held = anew(rows)["text"].to_arrow(compat_level=pl.CompatLevel.newest())
    assert sum(part.size for part in held.buffers() if part is not None) < 2_000
