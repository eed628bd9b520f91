"""Which of several rows with one key stays, in one batch: against a model in plain Python."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, Timestamp, compare_contracts, contract_info, from_odcs, to_odcs, validate
from assay.checks import validate_spilled as spilled
from assay.checks.exchange.to_python import to_source
from assay.checks.validation import blocks, uniqueness
from assay.errors import AssayError
from tests.conftest import SOAK

T = datetime(2026, 1, 1, tzinfo=UTC)


def contract(duplicates: Any, severity: Any = "quarantine") -> type[Contract]:
    class Rows(Contract):
        key: str = Field(key=True)
        at: Timestamp = Field(nullable=True)
        tags: pl.List(pl.Int64) = Field(nullable=True)  # pyright: ignore[reportInvalidTypeForm]
        amount: float = Field(ge=0)

        class Config(Contract.Config):
            version = "1.0.0"

    declared = {"duplicates": duplicates, "severity": {"key.unique": severity}}
    config = type("Config", (), {name: value for name, value in declared.items() if value is not None})
    return type("Rows", (Rows,), {"Config": config, "__module__": __name__})


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from([1, 2, None]),
        st.sampled_from([[1], [2]]),
        st.sampled_from([0.0, 1.0, -1.0]),
    ),
    max_size=8,
)


def frame(rows: list[Any]) -> pl.DataFrame:
    schema = {"key": pl.String, "at": pl.Datetime("us", "UTC"), "tags": pl.List(pl.Int64), "amount": pl.Float64}
    told = [
        (key, None if hour is None else T + timedelta(hours=hour), tags, amount) for key, hour, tags, amount in rows
    ]
    return pl.DataFrame(told, schema, orient="row").with_columns(_row_number=pl.int_range(pl.len()))


#: Of each declaration one is enough for all examples.
declared_once = lru_cache(contract)


def staying(rows: list[Any], mode: str, *, timed: bool) -> list[int]:
    stay = []
    for key in "ab":
        fit = [(place, row) for place, row in enumerate(rows) if row[0] == key and row[3] >= 0]
        if not fit or (mode == "none" and any(row != fit[0][1] for _, row in fit)):
            continue
        known = [item for item in fit if item[1][1] is not None] if timed else fit

        def order(item: Any) -> tuple[int, int]:
            return (item[1][1] or 0 if timed else 0), item[0]

        stay.append((max if mode == "latest" else min)(known or fit, key=order)[0])
    return sorted(stay)


@pytest.mark.parametrize("few", [0, 200])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("mode", ["first", "latest", "none"])
@settings(max_examples=300 if SOAK else 10)
@given(rows=ROWS)
def test_the_declared_row_stays(mode: str, timed: bool, few: int, rows: list[Any]) -> None:
    by = "at" if timed else None
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(uniqueness, "_FEW", few)  # few rows are compared one by one, many by a query
        patch.setattr(blocks, "ROWS", 3)
        outcome = validate(frame(rows), declared_once(mode), event_time=by)
        assert outcome.clean["_row_number"].to_list() == staying(rows, mode, timed=timed)
        on_disk = spilled(frame(rows), declared_once(mode), folder, event_time=by)
        assert on_disk.clean.collect().equals(outcome.clean)
        assert on_disk.quarantined.collect().equals(outcome.quarantined)
        assert on_disk.report == outcome.report
    assert outcome.moved == frozenset() and outcome.report.rows_elsewhere == 0


def test_of_published_rows_with_a_partition_it_is_said_where_they_are() -> None:
    """And by an event time a row of the batch may go before them: then their partition must be judged again."""
    published = frame([("a", 2, [1], 1.0)]).with_columns(partition_key=pl.lit("p1"))
    batch = frame([("a", 1, [1], 1.0), ("b", 1, [1], 1.0)]).with_columns(partition_key=pl.lit("p2"))
    before = validate(batch, contract("first"), published=published)
    assert before.clean["key"].to_list() == ["b"] and before.moved == frozenset()
    assert before.quarantined["_duplicate_of"].to_list() == ["p1 (key.unique, first)"]
    assert [rule.note for rule in before.report.rules if rule.note] == ["The first rows of their keys are in p1 (1)."]
    assert before.report.rows_elsewhere == 1
    timed = validate(batch, contract("first"), published=published, event_time="at")
    assert timed.clean["key"].to_list() == ["a", "b"] and timed.moved == {"p1"}
    latest = validate(batch, contract("latest"), published=published, event_time="at")
    assert latest.clean["key"].to_list() == ["b"] and latest.moved == frozenset()
    none = validate(batch, contract("none"), published=published, event_time="at")
    assert none.quarantined["_duplicate_of"].to_list() == ["p1 (key.unique, none)"] and none.moved == {"p1"}


def test_only_the_batch_itself_can_stop_it() -> None:
    published = frame([("a", 1, [1], 1.0)]).with_columns(partition_key=pl.lit("p1"))
    strict = contract("first", "block")
    elsewhere = validate(frame([("a", 2, [1], 1.0)]), strict, published=published)
    assert elsewhere.report.rows_quarantined == 1 and not elsewhere.report.blocked
    own = validate(frame([("a", 2, [1], 1.0), ("a", 2, [1], 1.0)]), strict, published=published)
    assert own.report.blocked and own.report.rows_elsewhere == 1


def test_a_declaration_is_checked_compared_and_exchanged() -> None:
    first, latest = contract(None), contract({"key.unique": "latest"})
    assert contract_info(first).digest == contract_info(contract("first")).digest != contract_info(latest).digest
    assert compare_contracts(latest, from_odcs(to_odcs(latest))) == []
    assert 'duplicates = {"key.unique": "latest"}' in to_source(latest) and "duplicates" not in to_source(first)
    assert [change.kind for change in compare_contracts(first, latest)] == ["duplicates_changed", "version_not_raised"]
    with pytest.raises(AssayError, match="'last'; write one of 'first', 'latest', 'none'"):
        contract("last")
    with pytest.raises(AssayError, match=r"names 'key\.uniqe'.*did you mean 'key\.unique'"):
        contract({"key.uniqe": "none"})
    with pytest.raises(AssayError, match=r"has no column 'att'.*at"):
        validate(frame([]), first, event_time="att")
