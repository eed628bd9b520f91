"""Support tickets: daily drops of CSV and JSON lines, their contract, their text statistics and their embeddings."""

import polars as pl

from assay.assets.sources.source import Files, Source
from assay.assets.steps.embeddings import Embedding
from assay.assets.support.upstream.calendar import FIRST_DAY, LAST_DAY
from assay.checks import Contract, Field, Timestamp, rule
from assay.features.tables.partitioning import Partitioning
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature

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

ticket_text = Embedding(
    "ticket_text",
    source="clean/tickets",
    text="text",
    description="Sentence vectors of ticket texts (384 dimensions), computed once per distinct text.",
)
