"""Records that came one by one make one table: what does not fit beside the others is held for itself, and no hour is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay import Contract, Field, Limits, Partitioning, Source
from assay.assets.pushed.pushed import Pushed
from assay.assets.sources.deliveries import RecordsBeside
from assay.assets.sources.jsonl import jsonl_blocks
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute

DAY, NEXT = "2026-09-01", "2026-09-02"


class Orders(Contract):
    order_id: str = Field(key=True)
    amount_eur: float = Field(ge=0, was="amount")


orders = Source(
    name="orders",
    reader=Pushed("orders", limits=Limits(columns=22)),
    contract=Orders,
    key=("order_id",),
    event_time="at",
    partitioning=Partitioning.daily(DAY),
)


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Resources]:
    store = assay.open(home=tmp_path)
    yield store.env()
    store.recorder.close()


def send(env: Resources, day: str, name: str, *records: dict[str, Any]) -> None:
    folder = env.settings.landing_path / "orders" / day
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({"order_id": f"{name}{number}", **one}) + "\n" for number, one in enumerate(records))
    (folder / f"{name}.jsonl").write_text(lines)


def judged(env: Resources, day: str) -> tuple[set[str], set[str], str]:
    """The orders of a day in clean, those in quarantine as unreadable, and what the check `delivery` says."""
    for step in (raw_step(orders), clean_step(orders)):
        execute(step, env, day)
    clean = env.lake.table("clean/orders").at().scan([day]).collect()
    held = env.lake.table("quarantine/orders").at().scan([day]).collect()
    assert held["_rules"].list.to_struct(fields=["rule"]).struct.field("rule").unique().to_list() in (
        [],
        ["row.unparsable"],
    )
    commit = env.lake.table("raw/orders").at().writer_of(day)
    assert commit is not None
    (said,) = [check["message"] for check in commit.checks if check["name"] == "delivery"]
    return {*clean["order_id"]}, {json.loads(line)["order_id"] for line in held["_line"]}, said


def test_a_name_that_differs_in_case_from_one_before_it_holds_its_own_record(env: Resources) -> None:
    send(env, DAY, "a", {"amount": 1, "color": "red"}, {"amount": 2, "Color": "blue"}, {"amount": 3})
    send(env, DAY, "b", {"amount": 4, "COLOR": "red"}, {"amount": 5, "Size": 1}, {"AMOUNT": 6})
    clean, held, said = judged(env, DAY)
    assert (clean, held) == ({"a0", "a2", "b1"}, {"a1", "b0", "b2"})
    assert "3 records did not fit beside the others" in said
    assert "blue" not in said and "Color" not in said
    # The table has the names of the days before.
    send(env, NEXT, "c", {"amount": 1, "size": 2}, {"amount": 1, "Size": 2})
    assert judged(env, NEXT)[:2] == ({"c1"}, {"c0"})


def test_records_with_more_names_than_all_may_have_together_are_held(env: Resources) -> None:
    wide = [{"amount": 1, **{f"{part}_{number}": 1 for number in range(10)}} for part in ("x", "y", "z")]
    send(env, DAY, "a", *wide, {"amount": 1, "x_1": 2})
    assert judged(env, DAY)[:2] == ({"a0", "a1", "a3"}, {"a2"})


def test_a_column_may_come_under_both_of_its_names_and_not_in_one_record(env: Resources) -> None:
    send(
        env,
        DAY,
        "a",
        {"amount": 1},
        {"amount_eur": 2},
        {"amount": 3, "amount_eur": 3},
        {"amount": 4, "amount_eur": None},
    )
    assert judged(env, DAY)[:2] == ({"a0", "a1", "a3"}, {"a2"})
    amounts = env.lake.table("clean/orders").at().scan([DAY]).sort("order_id").collect()["amount_eur"]
    assert amounts.to_list() == [1.0, 2.0, 4.0]


def test_what_fits_is_the_same_in_one_block_and_in_many() -> None:
    records = [{"a": 1, f"k{n % 7}": n, ("B" if n % 5 else "b"): 1, ("old" if n % 2 else "new"): 1} for n in range(400)]
    records[9] |= {"new": 2}
    content = "".join(json.dumps(one) + "\n" for one in records).encode()

    def read(size: int) -> tuple[pl.DataFrame, set[int]]:
        beside = RecordsBeside({"A2"}, [("new", "old")])
        blocks = jsonl_blocks("a.jsonl", lambda: [content], Limits(columns=8), size, beside)
        return pl.concat(list(blocks)), beside.unfit

    whole, unfit = read(1 << 22)
    parts, unfit_of_parts = read(500)
    assert whole.equals(parts) and unfit == unfit_of_parts
    assert {n for n in range(400) if whole["_defect"][n] is not None} == {number - 1 for number in unfit}
    assert 10 in unfit and 0 < len(unfit) < 400
