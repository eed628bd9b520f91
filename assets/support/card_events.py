"""Card events: Parquet files by delivery day; some events arrive a day late, some are sent twice."""

import polars as pl

from assay.assets.sources.source import Files, Source
from assay.assets.support.customers import customer
from assay.assets.support.upstream.calendar import FIRST_DAY, LAST_DAY
from assay.checks import Contract, Field, Timestamp, rule
from assay.features.tables.partitioning import Partitioning
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows

KINDS = ["purchase", "refund", "withdrawal", "topup", "decline"]
DAYS = ["1d", "7d", "30d"]


class CardEvents(Contract):
    event_id: str = Field(key=True, description="Number of the event.")
    customer_id: str = Field(exists_in="clean/customers", description="Whose card it was.")
    event_time: Timestamp = Field(description="When the card was used (UTC).")
    kind: str = Field(isin=KINDS, description="What was done with the card.")
    amount: float = Field(ge=0, description="How much it was about.", metadata={"unit": "EUR"})

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "payments-data"
        freshness = "1d"

    @rule(name="event_time.not_after_delivery")
    def not_after_delivery(cls) -> pl.Expr:
        return pl.col("event_time").dt.date() <= pl.col("partition_key").str.to_date()


card_events = Source(
    name="card_events",
    reader=Files("card_events/{day}/*", (".parquet",)),
    partitioning=Partitioning.daily(FIRST_DAY, LAST_DAY),
    contract=CardEvents,
    key=("event_id",),
    event_time="event_time",
    description="What customers did with their cards.",
)

customer_activity = FeatureView(
    "customer_activity",
    entity=customer,
    event_time="event_time",
    max_age="1d",
    features=[
        *windows(DAYS, source="clean/tickets", time="created_at", tickets=pl.len()),
        *windows(
            DAYS,
            source="clean/card_events",
            time="event_time",
            card_events=pl.len(),
            spend=(pl.col("amount").filter(pl.col("kind") == "purchase").sum(), "What was bought by card.", "EUR"),
            declines=((pl.col("kind") == "decline").sum(), "How often the card was declined."),
        ),
    ],
    owner="support-ml",
    description="How often a customer wrote and used the card in the last 1, 7 and 30 days, as of each midnight (UTC).",
)
