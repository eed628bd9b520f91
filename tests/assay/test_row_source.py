"""A lazy frame over rows that are made while they are read."""

from collections.abc import Iterator, Sequence

import polars as pl
import pytest

from assay import row_source as module
from assay.row_source import RowSource

FRAMES = [pl.DataFrame({"a": range(first, first + 10), "b": [first] * 10}) for first in range(0, 1000, 10)]
WHOLE = pl.concat(FRAMES)


class Source:
    """The frames, and how many of them were made."""

    def __init__(self) -> None:
        self.made = 0
        self.rows = RowSource(WHOLE.schema, self._frames)

    def _frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for frame in FRAMES:
            self.made += 1
            yield frame.select(columns)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_queries_see_the_rows(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    for query in (
        lambda rows: rows,
        lambda rows: rows.select("b", "a"),
        lambda rows: rows.select(pl.len()),
        lambda rows: rows.filter(pl.col("a") % 7 == 1).select("b"),
        lambda rows: rows.filter(pl.col("a") > 5).head(4),
        lambda rows: rows.slice(7, 11),
        lambda rows: rows.head(25).filter(pl.col("a") % 2 == 0),
        lambda rows: rows.select(pl.col("a").sum(), pl.col("b").n_unique()),
    ):
        assert query(Source().rows.lazy()).collect(engine=engine).equals(query(WHOLE.lazy()).collect())


def test_few_frames_are_made_ahead_of_who_reads_them() -> None:
    source, taken = Source(), 0
    for frame in source.rows.lazy().collect_batches(chunk_size=10, maintain_order=True, engine="streaming"):
        taken += frame.height // 10
        assert source.made - taken < 40
    assert taken == len(FRAMES)


def test_without_a_query_nothing_is_made_ahead() -> None:
    source = Source()
    for number, frame in enumerate(source.rows.frames()):
        assert frame.equals(FRAMES[number])
        assert source.made == number + 1
