"""What is executed without Dagster (`planned_work.py`) comes to what the product's Dagster runs come to."""

from dataclasses import asdict
from typing import Any

import pytest

from assay.assets.dagster.materialize import Summary


def told(summary: Summary) -> list[dict[str, Any]]:
    found = []
    for result in summary.results:
        told = {name: value for name, value in asdict(result).items() if name not in ("unit", "run_id")}
        found.append({"of": (result.unit.partition, result.unit.tables), **told, "warnings": sorted(result.warnings)})
    return found


@pytest.mark.parametrize(
    ("spent", "failed"),
    [
        ('pl.col("amount").sum()', {"raw/orders", "clean/orders"}),
        ('pl.col("amount").str.len_chars().sum()', {"raw/orders", "clean/orders", "features/spending"}),
    ],
    ids=["view", "view that fails"],
)
def test_results_and_rows_are_those_of_the_dagster_runs(
    new_shop: Any, new_home: Any, spent: str, failed: set[str]
) -> None:
    """Days with rows set aside, with a copy of another day, refused as it came, and refused by its rules."""
    new_shop.redeclare(lambda text: text.replace('pl.col("amount").sum()', spent))
    new_shop.drop(1, new_shop.csv(1, 10.0, -5.0))
    new_shop.drop(2, new_shop.csv(1, 10.0, -5.0), name="copy.csv")
    new_shop.drop(2, new_shop.csv(2, 20.0))
    new_shop.drop(3, b"")
    new_shop.drop(4, new_shop.csv(4, *[-1.0] * 12))
    executed, rows = told(new_shop.run()), new_shop.contents()
    assert {name for result in executed for name in result["failed"]} == failed
    assert sum(len(result["warnings"]) for result in executed) >= 3
    with new_home(new_shop):
        assert told(new_shop.materialize()) == executed
        assert new_shop.contents() == rows
