"""Values that slipped into another column."""

from assay.checks.suggesting.misplaced_values import misplaced_values
from tests.checks.suggesting.columns import doubted_cells

TOWNS: list[str | None] = ["Dothan", "Mobile", "Selma"] * 20
STATES: list[str | None] = ["AL", "GA", "FL"] * 20


def test_a_value_of_another_column_is_doubted() -> None:
    found = doubted_cells(misplaced_values, {"town": [*TOWNS, "AL"], "state": [*STATES, "GA"]})
    assert list(found) == [(60, "town")]
    assert "another column (state)" in found[60, "town"].reason


def test_columns_of_one_kind_share_values() -> None:
    table = {"from": [*TOWNS, *TOWNS], "to": [*TOWNS[1:], *TOWNS, "Selma"]}
    assert doubted_cells(misplaced_values, table) == {}
    assert doubted_cells(misplaced_values, {"town": TOWNS, "state": STATES}) == {}
