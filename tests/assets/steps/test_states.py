"""Files that have the whole state each, day by day: what changed is counted, and a key that is not there has no value."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import assay
from assay import Contract, Field, Files, Partitioning, Source
from assay.cli.tables import tables
from assay.errors import AssayError

SHOP = '''
"""A shop's customers, all of them each day."""

import polars as pl

from assay import Contract, Entity, Feature, FeatureView, Field, Files, Partitioning, Source


class Customers(Contract):
    customer: str = Field(key=True)
    plan: str = Field(isin=["free", "plus"], nullable=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


customers = Source(
    name="customers",
    reader=Files("customers/{day}/*", (".csv",), mode="snapshot"),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Customers,
    key=("customer",),
    event_time="_seen_at",
)

customer = FeatureView(
    "customer",
    entity=Entity("customer", ["customer"]),
    event_time="_seen_at",
    source="clean/customers",
    features=[Feature("plan", pl.col("plan"))],
)
'''


@pytest.fixture
def shop(new_shop: Any) -> Any:
    new_shop.redeclare(lambda _: SHOP)
    return new_shop


def deliver(shop: Any, number: int, name: str = "all.csv", **plans: str) -> None:
    file = shop.home / "landing" / "customers" / shop.day(number) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["customer,plan", *(f"{customer},{plan}" for customer, plan in plans.items()), ""]))


def counts(shop: Any, number: int) -> tuple[Any, ...]:
    commit = shop.env.lake.table("clean/customers").at().writer_of(shop.day(number))
    changes = commit.changes
    (check,) = [check for check in commit.checks if check["name"] == "changes"]
    assert check["passed"]
    if not changes.against:
        return (check["message"],)
    assert check["message"] == f"{changes}, against {changes.against}."
    return changes.against[-2:], changes.inserted, changes.updated, changes.deleted, changes.unchanged


def now(shop: Any) -> dict[str, str]:
    return dict(sorted(shop.env.lake.table("clean/customers").current().select("customer", "plan").collect().rows()))


@pytest.mark.parametrize("megabytes", [256, 0])
def test_each_day_is_a_whole_state_and_compared_with_the_day_before(
    shop: Any, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_IN_MEMORY_MB", str(megabytes))
    deliver(shop, 1, Ada="free", Bob="plus", Cyd="free")
    deliver(shop, 2, Ada="plus", Bob="plus", Dee="free")
    deliver(shop, 3, Ada="plus", Bob="plus", Dee="free")
    assert not shop.run().failed
    assert shop.frame("quarantine/customers").is_empty(), "a key occurs in each state"
    assert counts(shop, 1) == ("Not compared: it is the first partition.",)
    assert counts(shop, 2) == ("01", 1, 1, 1, 1)
    assert counts(shop, 3) == ("02", 0, 0, 0, 3), "the same bytes again are a state, too"
    assert now(shop) == {"Ada": "plus", "Bob": "plus", "Dee": "free"}
    assert shop.run().results == []


def test_a_late_or_corrected_day_counts_the_next_one_again(shop: Any) -> None:
    deliver(shop, 1, Ada="free")
    deliver(shop, 3, Ada="free", Bob="free")
    deliver(shop, 4, Ada="free", Bob="free")
    shop.run()
    assert counts(shop, 3) == ("Not compared: clean/customers has no 2026-03-02 yet.",)
    deliver(shop, 2, Cyd="free")
    shop.run()
    assert counts(shop, 2) == ("01", 1, 0, 1, 0)
    assert counts(shop, 3) == ("02", 2, 0, 1, 0)
    before = shop.version("clean/customers")
    deliver(shop, 2, "all.r1.csv", Ada="plus", Bob="free")
    shop.run()
    assert counts(shop, 2) == ("01", 1, 1, 0, 0)
    assert counts(shop, 3) == ("02", 0, 1, 0, 1)
    assert counts(shop, 4) == ("03", 0, 0, 0, 2)
    assert shop.version("clean/customers") == before + 2, "the day itself and the one after it"
    assert shop.run().results == []


def test_a_row_that_a_later_state_corrects_stays_held_in_its_own_and_one_that_is_sent_again_does_not(shop: Any) -> None:
    deliver(shop, 1, Ada="fre", Bob="plus")
    deliver(shop, 2, Ada="free", Bob="plus")
    shop.run()
    held = shop.frame("quarantine/customers")
    assert held.select("partition_key", "customer", "_status").rows() == [(shop.day(1), "Ada", "held")]
    assert now(shop) == {"Ada": "free", "Bob": "plus"}, "what counts now is the newest state"
    assert counts(shop, 2) == ("01", 1, 0, 0, 1)
    deliver(shop, 1, "all.r1.csv", Ada="free", Bob="plus")
    shop.run()
    assert shop.frame("quarantine/customers").is_empty()
    assert counts(shop, 2) == ("01", 0, 0, 0, 2)


def test_features_are_those_of_the_newest_state(shop: Any) -> None:
    deliver(shop, 1, Ada="free", Bob="plus")
    deliver(shop, 2, Bob="plus", Cyd="free")
    deliver(shop, 4, Ada="plus", Cyd="")
    assert not shop.run().failed
    store = assay.open()
    # A state holds from the end of its day on; the third day has none of its own.
    expected = {
        (1, 23): (None, None, None),
        (2, 0): ("free", "plus", None),
        (2, 23): ("free", "plus", None),
        (3, 0): (None, "plus", "free"),
        (4, 12): (None, "plus", "free"),
        (5, 0): ("plus", None, None),
        (9, 0): ("plus", None, None),
    }
    moments = {key: datetime(2026, 3, key[0], key[1], tzinfo=UTC) for key in expected}
    who = ["Ada", "Bob", "Cyd"]
    spine = pl.DataFrame(
        [(person, moment) for moment in moments.values() for person in who],
        schema={"customer": pl.String, "event_time": pl.Datetime("us", "UTC")},
        orient="row",
    )
    joined = store.as_of_join(spine, ["customer:plan"])["plan"].to_list()
    assert joined == [plan for plans in expected.values() for plan in plans]
    for key, moment in moments.items():
        online = store.online("customer").get({"customer": who}, at=moment)
        assert tuple(online["plan"]) == expected[key]
    last = store.online("customer").get({"customer": who}, at=moments[9, 0])
    assert last["customer.state"].to_list() == ["present", "missing", "present"]
    filled = store.as_of_join(spine, ["customer:plan"], skip_nulls=True)["plan"].to_list()[-3:]
    assert filled == ["plus", None, "free"], "of a key that is there the latest value; of one that is not, none"


def test_a_state_needs_partitions_in_time_and_its_key() -> None:
    class Things(Contract):
        name: str = Field(key=True)

    reader = Files("things/{partition}/*", (".csv",), mode="snapshot")
    with pytest.raises(AssayError, match="its partitions must be spans of time"):
        Source("things", reader, Things, ("name",), "_seen_at", partitioning=Partitioning.static("a", "b"))
    with pytest.raises(AssayError, match=r"there is no mode 'upsert'\. The modes are: append, snapshot"):
        Files("things/{day}/*", (".csv",), mode="upsert")  # pyright: ignore[reportArgumentType]


def test_the_command_shows_what_changed(shop: Any) -> None:
    deliver(shop, 1, Ada="free")
    deliver(shop, 2, Bob="free")
    shop.run()
    done = CliRunner().invoke(tables, ["clean/customers", "--json"])
    (_, second) = [commit for commit in json.loads(done.output) if commit["rows"]]
    assert second["changes"] | {"keys": []} == {
        "keys": [],
        "states": True,
        "against": "2026-03-01",
        "whole": False,
        "inserted": 1,
        "updated": 0,
        "deleted": 1,
        "unchanged": 0,
    }
    assert "1 inserted" in CliRunner().invoke(tables, ["clean/customers"], terminal_width=200).output


def test_a_state_may_be_handed_over(shop: Any) -> None:
    store, source = assay.open(), shop.package.orders.customers
    rows = [{"customer": "Ada", "plan": "free"}]
    for day in ("2026-03-01", "2026-03-02"):
        assert store.ingest(source, rows, day).rows_clean == 1
    assert counts(shop, 2) == ("01", 0, 0, 0, 1)


def test_a_view_over_states_takes_the_time_from_which_they_hold(shop: Any) -> None:
    def otherwise(text: str) -> str:
        timed = text.replace("nullable=True)", "nullable=True)\n    since: Timestamp").replace(
            "Source\n", "Source, Timestamp\n"
        )
        source, view = timed.split("FeatureView(\n")
        return "FeatureView(\n".join((source, view.replace('event_time="_seen_at"', 'event_time="since"')))

    shop.redeclare(otherwise)
    file = shop.home / "landing" / "customers" / shop.day(1) / "all.csv"
    file.parent.mkdir(parents=True)
    file.write_text("customer,plan,since\nAda,free,2026-01-01T00:00:00Z\n")
    (failed,) = shop.run().failed
    assert "a whole state, which holds from _seen_at on; 'since' does not say when a row that is gone has gone" in str(
        failed
    )


def test_a_state_was_made_from_its_own_delivery_and_only_looked_at_the_one_before(shop: Any) -> None:
    """However many states there were: a trace is as long, and what was wrong with an early one touches no later answer."""
    for number in range(1, 4):
        deliver(shop, number, Ada="free", Bob=("plus", "free")[number % 2])
    shop.run()
    store = assay.open()
    asked = pl.DataFrame({"customer": ["Ada", "Bob"], "event_time": [datetime(2026, 3, 4, 12, tzinfo=UTC)] * 2})
    seen = store.as_of_join(asked, ["customer:plan"]).with_columns(answer=pl.lit("stays"))
    ids = store.log_predictions(
        model="churn",
        model_version="1",
        frame=seen,
        keys=["customer"],
        outputs=["answer"],
        inputs=[store.snapshot("features/customer")],
        features=["customer:plan"],
        feature_columns=["plan"],
    )
    trace = store.trace(ids[0])
    made_from = [node for node in trace.nodes if node.table == "clean/customers" and not node.lookup]
    assert [node.partitions for node in made_from] == [tuple(shop.day(number) for number in (1, 2, 3))]
    assert [item.table for node in made_from for item in node.inputs if not item.lookup] == ["raw/customers"]
    assert store.verify(trace, embed=False).ok

    def affected(number: int) -> int:
        return store.affected_predictions(file=f"customers/{shop.day(number)}/all.csv").frame().height

    assert [affected(number) for number in (1, 2, 3)] == [0, 0, 2]
