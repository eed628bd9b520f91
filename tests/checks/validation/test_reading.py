"""What is in doubt in some rows of a batch changes no verdict of the others."""

from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import polars as pl
import pytest

from assay.checks import Contract, Field, Timestamp, validate, validate_spilled
from assay.checks.contract.contract import compiled
from assay.checks.validation.reading import Doubts, is_certain, reading_of
from assay.checks.validation.scan import scan_batch


class Visits(Contract):
    id: int = Field()
    at: Timestamp = Field(nullable=True)
    price: float = Field(nullable=True, ge=0)
    count: int = Field(nullable=True, le=9)


DAY = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN: dict[str, Any] = {"id": 1, "at": DAY, "price": 1.5, "count": "3", "_defect": None}
FAR = 400_000_000_000_000_000  # microseconds
#: What is wrong with a row -> its values, and the rules that it breaks.
SPOILT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nan": ({"price": float("nan")}, ["price.not_nan"]),
    "unread": ({"count": "three"}, ["count.dtype"]),
    "null": ({"id": None}, ["id.not_null"]),
    "far": ({"at": None}, ["at.dtype"]),
    "defect": ({"_defect": "unparsable"}, ["row.unparsable"]),
    "invalid": ({"price": -1.0, "count": "10"}, ["price.ge", "count.le"]),
}


def batch_of(kinds: list[str]) -> pl.DataFrame:
    rows = [PLAIN | SPOILT[kind][0] if kind else PLAIN for kind in kinds]
    schema = {"id": pl.Int64, "at": pl.Datetime("us", "UTC"), "price": pl.Float64, "count": pl.String}
    frame = pl.DataFrame(rows, schema={**schema, "_defect": pl.String})
    far = pl.Series([kind == "far" for kind in kinds])
    at = frame["at"].set(far, None).to_physical().fill_null(FAR)
    return frame.with_columns(at=at.cast(frame["at"].dtype))


@pytest.mark.parametrize("spoilt", [kinds for size in range(4) for kinds in combinations(SPOILT, size)])
def test_doubts_elsewhere_change_no_verdict(
    spoilt: tuple[str, ...], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ["", *(kind for kind in spoilt for kind in (kind, ""))]
    frame = batch_of(kinds)
    expected = [SPOILT[kind][1] for kind in kinds if kind]
    outcome = validate(frame, Visits)
    assert outcome.quarantined["_rules"].to_list() == expected
    assert outcome.quarantined.drop("_rules").equals(frame.filter(pl.Series([bool(kind) for kind in kinds])))
    assert outcome.clean.height == len(kinds) - len(spoilt)
    monkeypatch.setattr("assay.checks.validation.blocks.ROWS", 1)  # each block has doubts of its own
    spilled = validate_spilled(frame, Visits, tmp_path)
    assert spilled.report == outcome.report
    assert spilled.quarantined.collect().equals(outcome.quarantined)
    assert spilled.clean.collect().equals(outcome.clean)


def test_a_plain_batch_is_its_own_reading() -> None:
    plan = compiled(Visits)
    frame = validate(batch_of([""]), Visits).clean
    scan = scan_batch(frame, reading_of(plan, tuple(frame.schema.items())), {}, ())
    assert scan.place is frame
    certain = {rule.name for rule in plan.rules if is_certain(rule, Doubts())}
    assert scan.certain == certain == {f"{name}.dtype" for name in frame.columns} | {"id.not_null", "price.not_nan"}


def test_one_reading_serves_all_batches_alike() -> None:
    types = tuple(batch_of([""]).schema.items())
    made = reading_of(compiled(Visits), types)
    assert reading_of(compiled(Visits), tuple(batch_of(["nan"]).schema.items())) is made
    assert reading_of(compiled(Visits), types[1:]) is not made


def test_years_at_both_ends_are_read_and_those_beyond_are_not() -> None:
    ends = pl.Series([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)])
    beyond = (ends.to_physical() + pl.Series([-1, 1])).cast(ends.dtype)
    for values, left in ((ends, 0), (beyond[:1], 1), (beyond[1:], 1), (pl.concat([ends, beyond]), 2)):
        frame = pl.DataFrame({"id": 1, "at": values, "price": 1.0, "count": 1})
        assert validate(frame, Visits).report.rows_quarantined == left
