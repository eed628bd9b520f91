"""A contract that is only loosened leaves history as it was judged: the other rows come in when somebody asks."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from assay.assets import stored_contracts
from assay.assets.dagster.materialize import Summary
from assay.assets.planning.as_judged import as_judged
from assay.assets.planning.plan import PlannedRun, planned_runs, stages
from assay.assets.planning.refused import staying_refused
from assay.assets.steps.step import execute, look
from assay.assets.stored_contracts import stored_contract, stored_digests
from assay.checks import contract_info

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]
NO_VALUES = 'shopper: str = Field(pii="name")'


def declared(bound: int = 0, version: str = "2.0.0", **also: str) -> Any:
    """Another contract of orders: with this bound on the amount, and what else is replaced."""

    def change(text: str) -> str:
        old = next(line for line in text.splitlines() if "amount: float" in line)
        text = text.replace(old, f"    amount: float = Field(ge={bound})")
        text = text.replace(
            next(line for line in text.splitlines() if "version =" in line), f'        version = "{version}"'
        )
        for part, other in also.items():
            old = next(line for line in text.splitlines() if f"    {part}" in line)
            text = text.replace(old, other)
        return text

    return change


def asked(shop: Any) -> list[PlannedRun]:
    env = replace(shop.env, judge_again=True)
    return [unit for stage in stages(shop.steps) for unit in planned_runs(stage, env)]


def ask(shop: Any) -> Summary:
    return shop.run(judge_again=True)


def judges(shop: Any) -> list[str]:
    """By partition, the version of the contract that judged it."""
    state = shop.env.lake.table("clean/orders").at()
    return [state.writer_of(key).contract["version"] for key in state.partitions()]


def versions(shop: Any) -> dict[str, int]:
    return {table: shop.version(table) for table in shop.env.lake.tables()}


def of(units: list[PlannedRun], table: str = "clean/orders") -> list[str | None]:
    return [unit.partition for unit in units if table in unit.tables]


def test_a_day_of_which_every_row_is_clean_has_nothing_to_do(new_shop: Any) -> None:
    new_shop.redeclare(declared(shopper='    shopper: str = Field(isin=["Ada Byron", "Bob Noyce"])', version="1.1.0"))
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0))
    assert not new_shop.run().failed
    before = versions(new_shop)
    new_shop.redeclare(declared(shopper='    shopper: str = Field(isin=["Ada Byron", "Bob Noyce", "Cleo"])'))
    assert new_shop.due() == asked(new_shop) == []
    assert as_judged(new_shop.steps, new_shop.env) == []
    assert not new_shop.run().results and not ask(new_shop).results
    assert versions(new_shop) == before
    new_shop.drop(2, new_shop.csv(2, 1.0).replace(b"Bob Noyce", b"Cleo"))
    assert {unit.partition for unit in new_shop.due()} == {"2026-03-02"}
    new_shop.run()
    assert judges(new_shop) == ["1.1.0", "2.0.0"]


def test_days_with_rows_that_may_come_in_stay_until_somebody_asks(shop: Any) -> None:
    before, compared = versions(shop), stored_contracts._looser.cache_info().misses
    shop.redeclare(declared(bound=-5))
    assert shop.due() == []
    assert stored_contracts._looser.cache_info().misses == compared + 1, "once for all days that one contract judged"
    assert not shop.run().results
    assert versions(shop) == before

    (left,) = as_judged(shop.steps, shop.env)
    assert left.to_dict() == {
        "table": "clean/orders",
        "partitions": tuple(DAYS),
        "rows": 3,
        "rules": ("amount.ge",),
        "not_looked_at": 0,
    }
    assert "may take 3 quarantined rows (amount.ge)" in str(left)
    assert "assay materialize clean/orders --judge-again" in str(left)

    assert of(asked(shop)) == DAYS
    assert not ask(shop).failed
    assert shop.frame("quarantine/orders").is_empty()
    assert shop.frame("clean/orders").height == 12
    assert judges(shop) == ["2.0.0"] * 3
    assert shop.frame("features/spending")["spent_1d"].sum() == 3 * 55.0, "what is downstream follows"
    assert shop.due() == asked(shop) == as_judged(shop.steps, shop.env) == []


def test_one_day_can_be_asked_for(shop: Any) -> None:
    shop.redeclare(declared(bound=-5))
    shop.run(judge_again=True, chosen=lambda partitioning: [DAYS[1]])
    assert judges(shop) == ["1.0.0", "2.0.0", "1.0.0"]
    (left,) = as_judged(shop.steps, shop.env)
    assert left.partitions == (DAYS[0], DAYS[2]) and left.rows == 2
    (left,) = as_judged(shop.steps, shop.env, lambda partitioning: [DAYS[0], DAYS[1]])
    assert left.partitions == (DAYS[0],)
    shop.redeclare(declared(bound=-4, version="3.0.0"))
    assert of(shop.due()) == [DAYS[1]], (
        "it demands more than the second, which judged this day, and less than the first"
    )


@pytest.mark.parametrize(
    "change",
    [
        declared(bound=1),
        declared(bound=-5, shopper='    shopper: str = Field(pii="email")'),
        declared(bound=-5, at="    at: Timestamp = Field(naive_utc=True)"),
        declared(bound=-5, shopper='    shopper: str = Field(str_matches="[AB]")'),
    ],
)
def test_whatever_else_changes_is_judged_again(shop: Any, change: Any) -> None:
    shop.redeclare(change)
    assert of(shop.due()) == DAYS
    assert as_judged(shop.steps, shop.env) == []


def test_another_key_of_the_source_is_judged_again_though_the_contract_is_loosened(shop: Any) -> None:
    shop.redeclare(lambda text: declared(bound=-5)(text).replace('key=("order_id",)', 'key=("order_id", "at")'))
    assert of(shop.due()) == DAYS


@pytest.mark.parametrize("part", ['version = "2.0.0"', 'owner = "somebody else"'])
def test_who_owns_it_and_what_it_is_called_decides_nothing(shop: Any, part: str) -> None:
    name = part.partition(" ")[0]
    shop.redeclare(
        lambda text: text.replace(
            next(one for one in text.splitlines() if f"        {name} =" in one), f"        {part}"
        )
    )
    assert shop.due() == asked(shop) == as_judged(shop.steps, shop.env) == []


def test_what_is_delivered_anew_is_judged_by_the_contract_of_today(shop: Any) -> None:
    shop.redeclare(declared(bound=-5))
    shop.drop(1, shop.csv(1, 10.0, -5.0), "a.r1.csv")
    assert {unit.partition for unit in shop.due() if "clean/orders" in unit.tables} == {DAYS[0]}
    shop.run()
    assert judges(shop) == ["2.0.0", "1.0.0", "1.0.0"]


def test_a_day_that_was_refused_is_judged_again(shop: Any) -> None:
    shop.drop(4, shop.csv(4, *[-5.0] * 12))
    assert shop.run().failed
    assert [one.partition for one in staying_refused(shop.steps, shop.env)] == ["2026-03-04"]
    assert shop.due() == []
    shop.redeclare(declared(bound=-5))
    assert of(shop.due()) == ["2026-03-04"]
    assert not shop.run().failed
    assert judges(shop) == ["1.0.0"] * 3 + ["2.0.0"]


def test_a_contract_that_judged_the_same_again_is_the_one_to_compare_with(shop: Any) -> None:
    shop.redeclare(declared(bound=5))  # it demands more, and finds the same
    shop.run()
    assert judges(shop) == ["1.0.0"] * 3, "no new version of equal content"
    shop.redeclare(declared(bound=4, version="3.0.0"))
    assert shop.due() == []


def test_without_its_declaration_a_contract_is_not_compared(shop: Any) -> None:
    (file,) = Path(shop.env.lake.storage.root, "_contracts").iterdir()
    file.unlink()
    shop.redeclare(declared(bound=-6, version="2.1.0"))
    assert of(shop.due()) == DAYS
    assert as_judged(shop.steps, shop.env) == []


def test_a_declaration_that_was_changed_is_not_believed(shop: Any) -> None:
    (file,) = Path(shop.env.lake.storage.root, "_contracts").iterdir()
    file.write_text(file.read_text().replace('"min_value": 0', '"min_value": 9'))
    shop.redeclare(declared(bound=-7, version="2.2.0"))
    assert of(shop.due()) == DAYS


def test_each_declaration_is_kept_once_under_its_digest(shop: Any) -> None:
    storage = shop.env.lake.storage
    digests = {shop.env.lake.table("clean/orders").at().writer_of(key).contract["digest"] for key in DAYS}
    assert set(stored_digests(storage)) == digests
    text = stored_contract(storage, *digests)
    assert text is not None and sha256(text.encode()).hexdigest() in digests
    assert json.loads(text)["options"]["version"] == "1.0.0"
    shop.redeclare(declared(bound=-5))
    shop.drop(4, shop.csv(4, 1.0))
    shop.run()
    assert len(stored_digests(storage)) == 2


def test_what_stays_names_who_judged_it_and_what_may_come_in(shop: Any) -> None:
    step = next(step for step in shop.steps if "clean/orders" in step.outputs)
    then = contract_info(shop.package.orders.Orders).digest
    shop.redeclare(declared(bound=-5))
    result = execute(
        step=next(step for step in shop.steps if "clean/orders" in step.outputs), env=shop.env, partition=DAYS[0]
    )
    assert not result.changed
    assert result.done.contract is not None and result.done.contract["digest"] == then
    assert result.done.work.code_version == step.code_version
    assert result.shown == {"rows_that_may_be_taken": 1}
    said = {check.name: check.message for check in result.done.checks}
    assert "assay materialize clean/orders --partition 2026-03-01 --judge-again" in said["amount.ge"]
    assert look(result.step, shop.env, DAYS[0]).takes.rows == 1


def test_days_of_before_a_contract_begins_are_not_offered(shop: Any) -> None:
    change = declared(bound=-5)
    shop.redeclare(
        lambda text: change(text).replace('version = "2.0.0"', 'version = "2.0.0"\n        since = "2026-03-03"')
    )
    (left,) = as_judged(shop.steps, shop.env)
    assert left.partitions == (DAYS[2],)
    assert of(asked(shop)) == [DAYS[2]]


def test_a_bounded_look_says_how_much_it_left_out(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of each run; and partitions that the present contract judged are not looked at at all."""
    looked_at = list[str]()
    monkeypatch.setattr(
        "assay.assets.planning.as_judged.look",
        lambda step, env, key: looked_at.append(key) or look(step, env, key),
    )
    shop.redeclare(declared(bound=-5))
    (left,) = as_judged(shop.steps, shop.env, latest=1)
    assert (left.partitions, left.rows, left.not_looked_at) == ((DAYS[2],), 1, 2)
    assert str(left).endswith("judges it again; 2 earlier partitions not looked at (`assay status`)")
    assert looked_at == [DAYS[2]]
    (all_of_it,) = as_judged(shop.steps, shop.env, latest=3)
    assert (all_of_it.partitions, all_of_it.not_looked_at) == (tuple(DAYS), 0)
    shop.drop(3, shop.csv(3, 1.0, -9.0))
    shop.run()
    looked_at.clear()
    assert as_judged(shop.steps, shop.env, latest=1) == [] and looked_at == []
