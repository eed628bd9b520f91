"""Two sets of rows compared on a key, against a comparison row by row in Python."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.tables.reconcile import differences

SCHEMA = {"k": pl.Int64, "j": pl.String, "x": pl.Float64, "y": pl.String}
rows = st.lists(
    st.tuples(
        st.sampled_from([1, 2, None]),
        st.sampled_from(["a", None]),
        st.sampled_from([0.0, 1.5, None]),
        st.sampled_from(["p", ""]),
    ),
    max_size=8,
)


@given(rows, rows)
def test_as_a_comparison_row_by_row(ours: list[tuple], theirs: list[tuple]) -> None:
    a, b = (pl.DataFrame(given_rows, schema=SCHEMA, orient="row") for given_rows in (ours, theirs))
    found = differences(a.lazy(), b.lazy(), ["k", "j"])
    counts = [Counter(row[:2] for row in given_rows) for given_rows in (ours, theirs)]
    single = [{row[:2]: row[2:] for row in given_rows} for given_rows in (ours, theirs)]
    keys = [key for key in single[0] if counts[0][key] == 1 and counts[1][key] == 1]
    differ = [key for key in keys if single[0][key] != single[1][key]]
    assert found.rows == (len(ours), len(theirs))
    assert found.only == (len(counts[0].keys() - counts[1].keys()), len(counts[1].keys() - counts[0].keys()))
    assert found.repeated == tuple(sum(number > 1 for number in count.values()) for count in counts)
    assert (found.same, found.differ) == (len(keys) - len(differ), len(differ))
    by_column = {name: sum(single[0][key][at] != single[1][key][at] for key in keys) for at, name in enumerate("xy")}
    assert found.columns == {name: number for name, number in by_column.items() if number}
    assert found.equal == (Counter(ours) == Counter(theirs) and not any(found.repeated))
    assert {name: min(number, 5) for name, number in (("differ", len(differ)),) if number} == {
        name: frame.height for name, frame in found.examples.items() if name == "differ"
    }


def test_examples_name_both_sides() -> None:
    a = pl.LazyFrame({"k": [1, 2], "x": ["a", "b"], "y": [1, 1], "_row_number": [1, 2]})
    b = pl.LazyFrame({"k": [2, 3], "x": ["c", "d"], "y": [1, 1], "_row_number": [8, 9]})
    found = differences(a, b, ["k"])
    assert found.examples["differ"].to_dicts() == [{"k": 2, "x in A": "b", "x in B": "c"}]
    assert found.examples["only in A"].to_dicts() == [{"k": 1, "x": "a", "y": 1}]
    assert found.examples["only in B"].to_dicts() == [{"k": 3, "x": "d", "y": 1}]


def test_columns_that_cannot_be_compared_are_named() -> None:
    a = pl.LazyFrame({"k": [1], "x": [1], "z": [1]})
    b = pl.LazyFrame({"k": [1], "x": ["1"], "w": [1]})
    found = differences(a, b, ["k"])
    assert found.not_compared == {"x": "Int64 in A, String in B", "z": "only in A", "w": "only in B"}
    assert not found.equal
    assert found.same == 1


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ([], "Say which columns"),
        (["kk"], "A has no column 'kk' to compare by"),
        (["x"], "The key 'x' is Int64 in A and String in B"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(key: list[str], says: str) -> None:
    a, b = pl.LazyFrame({"k": [1], "x": [1]}), pl.LazyFrame({"k": [1], "x": ["1"]})
    with pytest.raises(AssayError, match=says):
        differences(a, b, key)
