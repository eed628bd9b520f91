"""What is not requested any more is named with the command that asks for it again."""

from typing import Any

from assay.assets.dagster.lost_runs import GivenUp, given_up_by_sensor, in_one_line
from assay.assets.dagster.run_requests import Asked


def test_what_the_sensor_gave_up_is_named_by_its_tables(new_shop: Any) -> None:
    memory = {
        "shop_daily:raw__orders:2026-01-04": Asked(
            {"raw__orders": "a", "clean__orders": "b"}, 5, 0.0, "k", given_up=True
        ),
        "shop_daily:raw__orders:2026-01-05": Asked({"raw__orders": "a"}, 4, 0.0, "k"),
        "shop_unpartitioned:clean__notes:": Asked(
            {"clean__notes 000001": "a", "clean__notes 000002": "b"}, 5, 0.0, "k", given_up=True
        ),
    }
    found = given_up_by_sensor(memory, new_shop.steps)
    assert found == [GivenUp("2026-01-04", ("raw/orders", "clean/orders")), GivenUp(None, ("clean/notes",))]
    assert [one.command for one in found] == [
        "assay materialize raw/orders clean/orders --partition 2026-01-04",
        "assay materialize clean/notes",
    ]


def test_of_many_some_are_named() -> None:
    assert in_one_line([]) == ""
    many = [GivenUp(f"2026-01-{day:02}", ("raw/t",)) for day in range(1, 8)]
    line = in_one_line(many)
    assert line.startswith("Given up after runs that died: raw/t 2026-01-01 (`assay materialize raw/t --partition")
    assert line.endswith("; and 2 more (assay status).")
