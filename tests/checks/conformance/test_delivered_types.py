"""Every delivered type in every declared one: the truth is written by hand, and the published table is that truth."""

from typing import Any

import pytest

from assay.checks import Contract, Field, validate
from tests.checks.conformance.delivered_types import DECLARED, DELIVERED, PAGE, TAKEN, page


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("declared", DECLARED)
def test_a_value_is_taken_only_where_it_means_the_same(delivered: str, declared: str) -> None:
    wanted: Any = DECLARED[declared]

    class Typed(Contract):
        value: wanted = Field(nullable=True)

    for text, values in DELIVERED[delivered].items():
        outcome = validate(values.to_frame("value"), Typed)
        truth = TAKEN.get(delivered, {}).get(text, {})
        if declared in truth:
            assert outcome.clean["value"].to_list() == [truth[declared]], text
        else:
            broken = [name for rules in outcome.quarantined["_rules"] for name in rules]
            assert broken in (["value.dtype"], ["value.dtype", "value.not_nan"], ["value.not_nan"]), text


def test_the_published_table_is_this_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "make it again: python -m tests.checks.conformance.delivered_types"
    )


def test_the_truth_is_about_values_that_are_delivered() -> None:
    assert all(set(values) <= set(DELIVERED[name]) for name, values in TAKEN.items())
