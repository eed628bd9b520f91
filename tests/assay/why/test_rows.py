"""Which rows stand behind an answer, in which order, where one of the tables is a whole state each day."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.cli.features.command import get
from assay.lineage.tracing.trace import Trace
from tests.assay.why.bank import Bank, day, opened

POST = """
from assay import Contract, Entity, Feature, FeatureView, Field, Files, Partitioning, Source, Timestamp, windows

import polars as pl


class Senders(Contract):
    sender: str = Field(key=True)
    full_name: str = Field(pii="name")
    pets: int = Field(pii="free_text")
    tier: str = Field(isin=["gold", "basic"])


senders = Source(
    name="senders",
    reader=Files("senders/{day}/*", (".csv",), mode="snapshot"),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Senders,
    key=("sender",),
    event_time="_seen_at",
)


class Parcels(Contract):
    parcel: str = Field(key=True)
    sender: str = Field(exists_in="clean/senders")
    posted: Timestamp = Field()
    weight: float = Field(gt=0)


parcels = Source(
    name="parcels",
    reader=Files("parcels/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Parcels,
    key=("parcel",),
    event_time="posted",
)

activity = FeatureView(
    "activity",
    entity=Entity("sender", ["sender"]),
    event_time="event_time",
    features=windows(["7d"], source="clean/parcels", time="posted", kilos=pl.col("weight").sum()),
)

who = FeatureView(
    "who",
    entity=Entity("sender", ["sender"]),
    event_time="_seen_at",
    source="clean/senders",
    features=[
        Feature("is_gold", pl.col("tier") == "gold"),
        Feature("called", pl.col("full_name")),
        Feature("many_pets", pl.col("pets") > 2),
    ],
)
"""


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """Four days of parcels and of all senders; one parcel without a weight that a person gave it."""
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path_factory.mktemp("post"), patch, "post", POST) as made:
        landing = Path(made.store.settings.landing_path)
        for number in range(1, 5):
            for name, lines in {
                "senders": ["sender,full_name,pets,tier", "S1,Ada Byron,3,gold", "S2,Bob Noyce,0,basic"],
                "parcels": [
                    "parcel,sender,posted,weight",
                    *(f"{number}{sender},{sender},{day(number)}T08:00:00Z,{number}" for sender in ("S1", "S2")),
                    *([f"broken,S1,{day(number)}T09:00:00Z,-1"] if number == 3 else []),
                ],
            }.items():
                folder = landing / name / day(number)
                folder.mkdir(parents=True)
                (folder / "all.csv").write_text("\n".join([*lines, ""]))
        made.run()
        broke = made.store.table("quarantine/parcels").scan().select("_source_sha256", "_row_number").collect().row(0)
        decision = Decision("release", "weighed again", "kim", {"weight": "9"})
        decide(made.package.parcels, made.store.env(), RowSelection(day(3), "", (broke,)), decision, dry_run=False)
        made.run()
        yield made


@pytest.fixture(scope="module")
def asked(post: Bank) -> Trace:
    store, moment = post.store, datetime(2026, 3, 4, 8, tzinfo=UTC)
    spine = pl.DataFrame({"parcel": ["4S1"], "sender": ["S1"], "event_time": [moment]})
    seen = store.as_of_join(spine, ["activity:kilos_7d", "who:*"]).with_columns(late=pl.lit(True))
    (made,) = store.log_predictions(
        model="late",
        model_version="1",
        frame=seen,
        keys=["parcel", "sender"],
        outputs=["late"],
        inputs=[store.snapshot(table) for table in ("features/activity", "features/who", "clean/parcels")],
        features=["activity:kilos_7d", "who:*"],
        feature_columns=["kilos_7d", "is_gold", "called", "many_pets"],
    )
    return store.trace(made)


def test_the_own_row_comes_first_then_what_is_unusual_and_last_what_was_only_looked_up(
    post: Bank, asked: Trace
) -> None:
    why = post.store.why(asked)
    rows = [(row.table, row.file.split("/")[1][-2:], row.row_number) for row in why.every_row]
    parcels = [("clean/parcels", "04", 1), ("clean/parcels", "03", 3)]
    parcels += [("clean/parcels", f"0{number}", 1) for number in (1, 2, 3)]
    assert rows == [*parcels[:2], ("clean/senders", "03", 1), *parcels[2:], ("clean/senders", "04", 1)]
    assert why.every_row[1].notes == ("released from quarantine by kim",)
    assert why.answer == {"late": "yes"}
    steps = {step.table: step for step in why.steps}
    assert steps["clean/parcels"].rules_in_short.endswith("held, 1 set rows aside")
    assert "changes" not in [rule.name for rule in steps["clean/senders"].rules], "it demands nothing"
    (who,) = (one for one in why.features if one.view == "who")
    assert dict(who.values) == {"is_gold": "yes", "called": "‹name›", "many_pets": "‹yes or no›"}


def test_values_from_personal_columns_are_masked_on_the_command_line_unless_they_are_asked_for(post: Bank) -> None:
    del post
    asked = ["who", "sender=S1", "--at", "2026-03-04", "--json"]
    done = CliRunner().invoke(get, asked)
    assert '"sender": "S1", "is_gold": true, "called": "‹name›", "many_pets": "‹yes or no›"' in done.output
    assert "Ada" not in done.output
    assert '"called": "Ada Byron", "many_pets": true' in CliRunner().invoke(get, [*asked, "--unmasked"]).output
    assert '"kilos_7d": 15.0' in CliRunner().invoke(get, ["activity", *asked[1:]]).output
