"""Values of a rare shape."""

import pytest

from assay.checks.suggesting.rare_shapes import rare_shapes
from tests.checks.suggesting.columns import doubted

CODES = [f"ZX-{1000 + number}" for number in range(200)]
NUMBERS = [str(10000 + 37 * number) for number in range(200)]


@pytest.mark.parametrize("code", ["ZX-10x4", "ZX1004", "ZX-100 4", "ZX-100", "ZX_1004"])
def test_a_code_of_another_shape_is_doubted(code: str) -> None:
    assert list(doubted(rare_shapes, [*CODES, code])) == [code]


def test_one_strange_sign_within_a_number_is_a_slip() -> None:
    found = doubted(rare_shapes, [*NUMBERS, "10x42"])
    assert found["10x42"].confidence > 0.9


def test_lengths_of_numbers_that_count_something_are_their_own() -> None:
    assert doubted(rare_shapes, [str(number) for number in range(1, 300)]) == {}
    assert doubted(rare_shapes, [*(f"{number}.5" for number in range(10, 99)), "9.5"]) == {}
    assert list(doubted(rare_shapes, [*NUMBERS, "1234"])) == ["1234"]


def test_names_have_many_shapes_and_no_digits_within() -> None:
    names = [*(["Dothan", "New Hope", "St Clair"] * 40), "O'Fallon", "Winston-Salem", "Mount St. Helens"]
    assert doubted(rare_shapes, names) == {}
    assert list(doubted(rare_shapes, [*names, "D0than"])) == ["D0than"]


def test_a_value_that_is_not_the_only_one_is_no_code_of_another_length() -> None:
    assert doubted(rare_shapes, [*["USA"] * 200, "Palau"]) == {}


def test_a_double_issue_is_no_slip_and_a_million_no_other_kind_of_number() -> None:
    found = doubted(rare_shapes, [*NUMBERS, "10042-10043"])
    assert all(finding.confidence < 0.92 for finding in found.values())
    assert doubted(rare_shapes, [*(f"{number:,}" for number in range(1_000, 90_000, 500)), "1,234,567"]) == {}


def test_a_second_kind_of_values_is_no_slip() -> None:
    assert doubted(rare_shapes, [*CODES, *(f"Q{number}" for number in range(20))]) == {}
