"""States of parts of a window join to the values of the whole window: beside plain Python, wherever it is cut."""

import math
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.features.views.decay import AGE, decayed
from assay.features.views.timestamps import INSTANT
from assay.features.views.windowed import TIME, Windowed
from assay.features.window_parts.decompose import Decomposed, decompose
from assay.features.window_parts.states import States, states_of

A, NUMBER = pl.col("a"), pl.col("number")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXPRESSIONS = {
    "n": pl.len(),
    "count": A.count(),
    "sum": A.sum(),
    "small": A.filter(A < 2).sum(),
    "least": A.min(),
    "greatest": A.max(),
    "kinds": A.n_unique(),
    "few": A.filter(A > 0).n_unique(),
    "first": A.first(),
    "last": A.last(),
    "text": pl.col("text").max(),
    "top": A.top_k(2).sort(descending=True, nulls_last=True).implode(),
    "recent": decayed(A, "2h"),
    "ratio": A.sum() / pl.len(),
    "total": NUMBER.sum(),
    "mean": NUMBER.mean(),
    "spread": NUMBER.std(),
    "variance": NUMBER.var(ddof=0),
}
EVENTS = {"k": pl.String, "j": pl.Int64, TIME: INSTANT, "a": pl.Int32, "number": pl.Float64, "text": pl.String}


def states(dtype: Any = pl.Float64, **expressions: pl.Expr) -> States | None:
    features = [Windowed(name, expr, "1d", "t", "at") for name, expr in (expressions or EXPRESSIONS).items()]
    apart = [decompose(feature.expr) for feature in features]
    known: list[Decomposed] = [one for one in apart if one is not None]
    assert len(known) == len(apart)
    empty = pl.DataFrame(schema={**EVENTS, "number": dtype, AGE: pl.Float64})
    return states_of(["k", "j"], features, known, empty)


rows = st.lists(
    st.tuples(
        st.sampled_from(["x", "y", None]),
        st.sampled_from([1, 2]),
        st.integers(0, 6),
        st.none() | st.integers(-3, 3),
        st.none() | st.floats(-100, 100) | st.sampled_from([0.1, -0.0, 1e12]),
        st.sampled_from(["ä", "b", None]),
    ),
    max_size=25,
)


def expected(events: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Of the events of one entity, in order."""
    whole, numbers = [row[3] for row in events], [row[4] for row in events if row[4] is not None]
    there = [value for value in whole if value is not None]
    texts = [row[5] for row in events if row[5] is not None]
    mean = math.fsum(numbers) / len(numbers) if numbers else None
    about: dict[str, Any] = {
        "total": math.fsum(numbers),
        "mean": mean,
        "recent": sum((row[3] or 0) * 0.5 ** ((24 - row[2]) / 2) for row in events),
        "spread": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "variance": statistics.pvariance(numbers) if numbers else None,
    }
    scale = max(map(abs, numbers), default=0)
    near = {"recent": 1, "total": scale, "mean": scale, "spread": scale, "variance": scale**2}
    return {
        "n": len(events),
        "count": len(there),
        "sum": sum(there),
        "small": sum(value for value in there if value < 2),
        "least": min(there, default=None),
        "greatest": max(there, default=None),
        "kinds": len(set(whole)),
        "few": len({value for value in there if value > 0}),
        "first": whole[0],
        "last": whole[-1],
        "text": max((text for text in texts), default=None, key=lambda text: text.encode()),
        "ratio": sum(there) / len(events),
        "top": [*sorted(there, reverse=True), *[None] * (len(whole) - len(there))][:2],
    } | {
        name: value if value is None else pytest.approx(value, rel=1e-6, abs=1e-7 * near[name] + 1e-9)
        for name, value in about.items()
    }


@given(rows, st.sets(st.integers(1, 6), max_size=4))
def test_parts_join_to_the_values_of_the_whole_window(events: list[Any], cuts: set[int]) -> None:
    of = states()
    assert of is not None
    frame = pl.DataFrame(
        [(k, j, NOON + timedelta(hours=hour), *rest) for k, j, hour, *rest in events], schema=EVENTS, orient="row"
    )
    borders = [0, *sorted(cuts), 7]
    parts = [
        of.of_events(
            frame.filter(pl.col(TIME).is_between(NOON + timedelta(hours=a), NOON + timedelta(hours=b), "left"))
        )
        for a, b in pairwise(borders)
    ]
    joined = of.join(parts)
    assert joined.schema == parts[0].schema
    out = of.features_of(joined.with_row_index("row"), list(EXPRESSIONS), by="row", at=NOON + timedelta(hours=24))
    found = dict(zip(joined.select("k", "j").rows(), out.drop("row").to_dicts(), strict=True))
    wanted: dict[Any, list[Any]] = {}
    for event in sorted(events, key=lambda event: event[2]):
        if event[0] is not None:
            wanted.setdefault(event[:2], []).append(event)
    assert list(found) == sorted(wanted)
    assert found == {key: expected(of_key) for key, of_key in wanted.items()}


def test_the_types_are_those_of_all_events_at_once() -> None:
    of = states()
    assert of is not None
    empty = pl.DataFrame(schema={**EVENTS, AGE: pl.Float64})
    out = of.features_of(
        of.of_events(empty.drop(AGE)).with_row_index("row"), list(EXPRESSIONS), by="row", at=NOON + timedelta(hours=24)
    )
    assert out.drop("row").schema == empty.select(**EXPRESSIONS).schema


def test_a_column_of_another_type_is_another_column() -> None:
    floats, integers = states(total=NUMBER.sum()), states(pl.Int64, total=NUMBER.sum())
    assert floats is not None and integers is not None
    assert set(floats.schema).isdisjoint(integers.schema)
    assert floats.schema == dict.fromkeys(floats.schema, pl.Float64)


@pytest.mark.parametrize("dtype", [pl.Duration("us"), pl.Decimal(10, 2)])
def test_a_mean_of_what_is_no_number_is_not_computed_of_parts(dtype: Any) -> None:
    assert states(dtype, mean=NUMBER.mean()) is None


def test_a_state_that_a_table_would_change_is_not_kept() -> None:
    assert states(pl.Duration("us"), total=NUMBER.sum()) is None
    assert states(pl.Decimal(10, 2), total=NUMBER.sum()) is not None
