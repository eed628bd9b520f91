"""Cells that break dependencies: the wrong one of those that could be."""

from assay.checks.suggesting.broken_dependencies import broken_dependencies
from tests.checks.suggesting.columns import doubted_cells

Table = dict[str, list[str | None]]


def places(rows: int = 300) -> Table:
    """A branch has a zip, a town and a county."""
    branches = [number * 7 % 30 for number in range(rows)]
    return {
        "branch": [f"B{number}" for number in branches],
        "zip": [f"{10000 + number}" for number in branches],
        "town": [f"Town {number}" for number in branches],
        "seen": [f"day {number % 11}" for number in range(rows)],
    }


def test_a_table_that_keeps_its_dependencies_has_none() -> None:
    assert doubted_cells(broken_dependencies, places()) == {}


def test_the_wrong_cell_is_the_one_that_most_dependencies_tell_against() -> None:
    for name in ("branch", "zip", "town"):
        table = places()
        right, wrong = table[name][5], table[name][6]
        table[name][5] = wrong
        found = doubted_cells(broken_dependencies, table)
        assert list(found) == [(5, name)]
        assert found[5, name].expected == right
        assert "rows with the same" in found[5, name].reason


def test_a_missing_value_that_the_others_know_is_doubted() -> None:
    table = places()
    table["town"][5] = None
    assert list(doubted_cells(broken_dependencies, table)) == [(5, "town")]


def test_a_second_value_that_several_rows_have_is_no_slip() -> None:
    table = places()
    rows = [row for row, branch in enumerate(table["branch"]) if branch == "B3"]
    for row in rows[:4]:
        table["town"][row] = "Another town"
    assert doubted_cells(broken_dependencies, table) == {}


def test_two_columns_alone_do_not_tell_which_is_wrong() -> None:
    """Either may be: neither is suggested with much confidence."""
    table = {name: values for name, values in places().items() if name in ("zip", "town")}
    table["town"][5] = table["town"][6]
    found = doubted_cells(broken_dependencies, table)
    assert all(finding.confidence < 0.75 for finding in found.values())


def test_two_determinants_together() -> None:
    rows = [(number % 6, number // 6 % 7) for number in range(336)]
    table: Table = {
        "shelf": [f"shelf {a}" for a, _ in rows],
        "slot": [f"slot {b}" for _, b in rows],
        "item": [f"item {(a * 5 + b * 11) % 23}" for a, b in rows],
    }
    assert doubted_cells(broken_dependencies, table) == {}
    table["item"][100] = "item none"
    found = doubted_cells(broken_dependencies, table)
    assert list(found) == [(100, "item")]
    assert "the same shelf and slot" in found[100, "item"].reason


def test_where_one_column_says_as_much_as_two_the_second_is_not_named() -> None:
    table = places()
    table["town"][5] = table["town"][6]
    (finding,) = doubted_cells(broken_dependencies, table).values()
    assert len(finding.given) == 1


def test_where_second_values_come_again_one_that_is_alone_may_be_right_too() -> None:
    """Some branches have two towns, and their rows one of both: so one other town in a small branch says little."""

    def with_second_towns(branches: int) -> Table:
        table = places(600)
        for number in range(branches):
            rows = [row for row, branch in enumerate(table["branch"]) if branch == f"B{number}"]
            for row in rows[:3]:
                table["town"][row] = f"Town {number} Online"
        table["town"][-1] = "Town alone"
        return table

    sure = doubted_cells(broken_dependencies, with_second_towns(0))[599, "town"].confidence
    less = doubted_cells(broken_dependencies, with_second_towns(6)).get((599, "town"))
    assert less is None or less.confidence < sure
