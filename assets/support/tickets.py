"""Support tickets: daily drops of CSV and JSON lines, their contract, their text statistics and their embeddings."""

import polars as pl

from assay.assets.sources.source import Files, Source
from assay.assets.steps.embeddings import Embedding
from assay.assets.support.customers import customer
from assay.assets.support.upstream.calendar import FIRST_DAY, LAST_DAY
from assay.checks import Contract, Field, Timestamp, rule
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.tables.partitioning import Partitioning
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.sql import Sql
from assay.features.views.windowed import windows

CHANNELS = ["email", "chat", "phone", "web"]


class Tickets(Contract):
    ticket_id: str = Field(key=True, str_matches=r"^T\d{7}$", description="Number of the ticket.")
    customer_id: str = Field(exists_in="clean/customers", description="Who asked.")
    created_at: Timestamp = Field(description="When the ticket was opened (UTC).")
    channel: str = Field(isin=CHANNELS, description="How the customer reached us.")
    text: str = Field(
        not_empty=True, no_email=True, no_card_number=True, pii="free_text", description="What the customer wrote."
    )
    intent: str = Field(nullable=True, description="What it was about, as an agent filed it later.")

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "support-data"
        freshness = "1d"

    @rule(name="created_at.not_after_delivery")
    def not_after_delivery(cls) -> pl.Expr:
        return pl.col("created_at").dt.date() <= pl.col("partition_key").str.to_date()


tickets = Source(
    name="tickets",
    reader=Files("tickets/{day}/*", (".csv", ".jsonl")),
    partitioning=Partitioning.daily(FIRST_DAY, LAST_DAY),
    contract=Tickets,
    key=("ticket_id",),
    event_time="created_at",
    description="What customers asked, with the intent an agent filed (may be absent).",
)

text = pl.col("text")

ticket = FeatureView(
    "ticket",
    entity=Entity("ticket", ["ticket_id"]),
    event_time="created_at",
    source="clean/tickets",
    features=[
        Feature("characters", text.str.len_chars(), "length of the text in characters"),
        Feature("words", text.str.count_matches(r"\S+"), "words in the text"),
        Feature("questions", text.str.count_matches(r"\?"), "question marks in the text"),
        Feature("digits", text.str.count_matches(r"\d"), "digits in the text"),
        Feature("capitals", text.str.count_matches(r"\p{Lu}"), "upper-case letters in the text"),
        Feature("hour", pl.col("created_at").dt.hour(), "hour of the day (UTC)"),
        Feature("by_phone", pl.col("channel") == "phone", "came by phone"),
    ],
    owner="support-ml",
    description="Statistics of one ticket's text.",
)

customer_habits = FeatureView(
    "customer_habits",
    entity=customer,
    event_time="event_time",
    max_age="1d",
    features=windows(
        ["90d"],
        source="clean/tickets",
        time="created_at",
        written=pl.len(),
        characters=(text.str.len_chars().mean(), "How long the customer's tickets are.", "characters"),
    ),
    owner="support-ml",
    description="What a customer's tickets were like in the last 90 days, as of each midnight (UTC).",
)

customer_contact = FeatureView(
    "customer_contact",
    entity=customer,
    event_time="event_time",
    max_age="1d",
    computed_by=Sql(
        """
        select
            t.customer_id,
            count(distinct t.channel) as channels,
            count(distinct case when e.event_id is not null then t.ticket_id end) as after_decline
        from clean.tickets t
        left join clean.card_events e
            on e.customer_id = t.customer_id
            and e.kind = 'decline'
            and epoch(t.created_at) - epoch(e.event_time) between 0 and 86400
        group by t.customer_id
        """,
        windows={"clean/tickets": ("created_at", "7d"), "clean/card_events": ("event_time", "8d")},
        texts={
            "channels": ("By how many channels the customer wrote.", "channels"),
            "after_decline": ("How many tickets came within a day of a declined card.", "tickets"),
        },
    ),
    owner="support-ml",
    description="How a customer got in touch in the last 7 days, as of each midnight (UTC).",
)

writing = OnDemandView(
    "writing",
    [
        Feature(
            "length_to_usual",
            pl.col("length") / pl.col("usual"),
            "Length of the text beside what its customer usually writes.",
            "times",
        ),
        Feature("first", pl.col("usual").is_null(), "The customer had not written in the last 90 days."),
    ],
    inputs={"length": int},
    uses=["customer_habits:characters_90d as usual"],
    owner="support-ml",
    description="One ticket's text beside those that its customer wrote before; computed when it is asked for.",
)

ticket_text = Embedding(
    "ticket_text",
    source="clean/tickets",
    text="text",
    description="Sentence vectors of ticket texts (384 dimensions), computed once per distinct text.",
)
