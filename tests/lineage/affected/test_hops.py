"""Which feature rows have an affected event among the rows they come from: against a look at every pair."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.features.views.timestamps import INSTANT
from assay.features.views.transformation import RowsRead
from assay.lineage.affected.hops import affected_moments

START = datetime(2026, 9, 1, tzinfo=UTC)
Pairs = list[tuple[str | None, int]]
pairs = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 8)), max_size=8)
reads = st.sampled_from(
    [RowsRead("t"), RowsRead("t", "at"), *(RowsRead("t", "at", timedelta(hours=width)) for width in (1, 3))]
)


def frame(rows: Pairs, time: str) -> pl.DataFrame:
    moments = [(key, START + timedelta(hours=hour)) for key, hour in rows]
    return pl.DataFrame(moments, schema={"key": pl.String, time: INSTANT}, orient="row")


@given(pairs, pairs, reads)
def test_a_feature_row_is_affected_if_an_event_is_in_its_window(targets: Pairs, events: Pairs, read: RowsRead) -> None:
    affected = frame(events, "__event")
    found = affected_moments(frame(targets, "t"), affected if read.time else affected.select("key"), ["key"], "t", read)

    def behind(hour: int, event: int) -> bool:
        if read.time is None:
            return True
        return event == hour if read.width is None else timedelta(0) < timedelta(hours=hour - event) <= read.width

    truth = [
        (key, START + timedelta(hours=hour))
        for key, hour in targets
        if key is not None and any(other == key and behind(hour, event) for other, event in events)
    ]
    assert sorted(found.select("key", "t").rows()) == sorted(truth)
