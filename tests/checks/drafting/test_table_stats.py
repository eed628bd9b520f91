"""What several batches show together: each rule with the batches that support it, and what only they can show."""

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from assay.checks.drafting.draft import source_of
from assay.checks.drafting.table_stats import Batch, TableStats, table_stats
from assay.errors import AssayError


def stats_of_days(days: list[pl.DataFrame]) -> TableStats:
    return table_stats([Batch(f"day {number}", lambda rows=rows: rows) for number, rows in enumerate(days)], "day")


def day(number: int, rows: int = 100, **columns: Sequence[object]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"A{number:02d}{row:04d}" for row in range(rows)], **columns})


def source(stats: TableStats) -> str:
    return source_of(stats, "t").replace("\n    # ", " ")


def test_counts_are_those_of_all_rows_and_say_in_which_batches() -> None:
    days = [day(number, state=["new", "old"] * 50, n=[str(row) for row in range(100)]) for number in range(6)]
    days[2] = days[2].with_columns(n=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("x 1")).otherwise("n"))
    stats = stats_of_days(days)
    found = next(one for one in stats.columns if one.name == "n")
    assert (stats.rows, stats.batches, stats.smallest, stats.largest) == (600, 6, 100, 100)
    assert (found.misfits, found.tallies["misfits"].batches, found.tallies["misfits"].examples) == (3, 1, ("a 9",))
    assert (
        "3 of 600 (0.5%) values are not of this type (like 'a 9') and would leave (in 1 of 6 days, at most 3.0% of one)."
        in source(stats)
    )


def test_a_sample_decides_and_whole_batches_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.checks.drafting.table_stats.SAMPLE", 200)
    reads: list[int] = []

    def read(number: int) -> Callable[[], pl.DataFrame]:
        def rows() -> pl.DataFrame:
            reads.append(number)
            return day(number, 1_000, state=["new", "old"] * 500)

        return rows

    stats = table_stats([Batch(str(number), read(number)) for number in range(4)])
    assert reads == [0, 1, 2, 3, 0, 1, 2, 3], "one after the other, so that memory holds one"
    assert (stats.rows, stats.key, stats.repeats) == (4_000, ("id",), 0)
    assert next(one for one in stats.columns if one.name == "state").values == ("new", "old")


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ([["a", "b"]] * 4, True),
        ([["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"]], False),
        ([["a", "b"]] * 2, False),
    ],
    ids=["closed", "new ones keep coming", "too few batches"],
)
def test_a_list_is_a_rule_only_if_the_last_batches_have_nothing_new(values: list[list[str]], listed: bool) -> None:
    stats = stats_of_days([day(number, state=names * 50) for number, names in enumerate(values)])
    assert next(one for one in stats.columns if one.name == "state").closed is listed
    assert ("isin=" in source_of(stats, "t").replace("Then isin=", "")) is listed


def test_a_slip_is_not_listed_and_its_shape_is_shown() -> None:
    days = [day(number, 1_000, state=["new", "old"] * 500) for number in range(4)]
    days[1] = days[1].with_columns(state=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("0ld")).otherwise("state"))
    said = source(stats_of_days(days))
    assert 'isin=["new", "old"]' in said
    assert "1 of 4,000 (<0.1%) rows have other, rare values (like '9aa'), which are not listed and would leave" in said
    assert "0ld" not in said


def test_a_single_value_makes_no_list_and_spellings_of_one_are_asked() -> None:
    assert "isin=" not in source_of(stats_of_days([day(number, v=["x"] * 100) for number in range(4)]), "t").replace(
        "Then isin=", ""
    )
    said = source(stats_of_days([day(number, v=["Koln", "Köln", "Bonn"] * 33 + ["Bonn"]) for number in range(4)]))
    assert 'isin=["Bonn", "Koln", "Köln"]' in said
    assert 'Nearly alike are "Koln" and "Köln": one value in two spellings?' in said


def test_many_rows_that_cannot_be_read_ask_for_the_encoding() -> None:
    broken = day(0).with_columns(_defect=pl.when(pl.int_range(pl.len()) < 20).then(pl.lit("encoding")))
    assert "20 rows could not be read and were left out. Is the encoding another one (--encoding cp1252)?" in source(
        stats_of_days([broken])
    )


def test_nulls_that_come_again_and_again_are_usual_however_few() -> None:
    def days(with_null: set[int]) -> list[pl.DataFrame]:
        return [
            day(number, 1_000, v=[None if number in with_null and not row else "x" for row in range(1_000)])
            for number in range(6)
        ]

    def nullable(with_null: set[int]) -> bool:
        return next(one for one in stats_of_days(days(with_null)).columns if one.name == "v").nullable

    assert not nullable(set())
    assert not nullable({1})
    assert nullable({1, 3, 5})


def test_a_key_of_each_batch_that_comes_again_is_none() -> None:
    stats = stats_of_days([pl.DataFrame({"id": [f"A{row:04d}" for row in range(100)]})] * 3)
    assert (stats.key, stats.within) == ((), ("id",))
    assert 'is each day the whole state (mode="snapshot"), or does a later row replace an earlier one?' in source(stats)


def test_what_labels_a_batch_makes_no_key_since_it_comes_again() -> None:
    days = [
        pl.DataFrame(
            {
                "day": [number] * 60,
                "line": list(range(60)),
                "at": [f"2026-09-0{number}T10:{row:02d}:00Z" for row in range(60)],
            }
        )
        for number in range(1, 4)
    ]
    stats = stats_of_days([one.drop("at") for one in days])
    assert (stats.key, stats.within) == ((), ("line",))
    shops = [pl.concat([one, one]).with_columns(shop=pl.Series(["a", "b"] * 60).sort()) for one in days]
    assert stats_of_days([one.drop("line") for one in shops]).key == ("at", "shop")


def test_a_column_that_some_batches_lack_is_optional() -> None:
    stats = stats_of_days([day(0, v=["x"] * 100), day(1), day(2, v=["x"] * 100)])
    said = source(stats)
    assert "from typing import Optional" in said
    assert "In 2 of 3 days only: is it optional?" in said
    assert "v: Optional[str] = Field(nullable=True" in said


def test_texts_that_mean_no_value_in_one_column_mean_it_in_all() -> None:
    days = [day(n, a=["1.5", "NA"] * 50, b=["x", "NA"] * 50, c=[str(row) for row in range(100)]) for n in range(3)]
    stats = stats_of_days(days)
    said = source_of(stats, "t")
    assert stats.missing == ("NA",)
    assert 'missing = ("NA",)' in said
    assert "missing=" not in said, "said once, for all columns"
    assert {one.name: one.nulls for one in stats.columns} == {"id": 0, "a": 150, "b": 150, "c": 0}


def test_batches_of_several_types_and_of_types_with_nothing_in_common() -> None:
    said = source(stats_of_days([day(0, v=[1] * 100), day(1, v=["x"] * 100), day(2, v=["y"] * 100)]))
    assert "Of several types: String in 2 days, Int64 in 1 day." in said
    for one, other in (([1], [[1]]), (["x"], [["x"]]), ([b"x"], ["x"])):
        with pytest.raises(AssayError, match=r"'v' is of types that have nothing in common"):
            stats_of_days([day(0, v=one * 100), day(1, v=other * 100)])


def test_batches_that_cannot_be_used_are_left_out_and_counted() -> None:
    def broken() -> pl.DataFrame:
        raise AssayError("b.csv: has no rows")

    good = Batch("a", lambda: day(0))
    stats = table_stats([Batch("b", broken), good, Batch("c", lambda: day(1))])
    assert (stats.batches, stats.left_out) == (2, ("b.csv: has no rows",))
    assert "1 file could not be used and was left out." in source(stats)
    with pytest.raises(AssayError, match="has no rows"):
        table_stats([Batch("b", broken)])
