"""A lake with a windowed view, and a training set that is joined to it."""

from datetime import timedelta

import polars as pl
import pytest

from assay.features.serving.training import TrainingSetVersion, create_training_set
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows
from tests.features.training.rows import START, at

ACTIVITY = FeatureView(
    "activity",
    entity=Entity("customer", ["customer_id"]),
    event_time="event_time",
    features=windows(
        ["1d", "7d"], source="clean/tickets", time="created_at", tickets=pl.len(), spent=pl.col("paid").sum()
    ),
)
CUSTOMERS = [f"c{number}" for number in range(12)]


def events() -> pl.DataFrame:
    """Two tickets a customer and day over thirty days."""
    count = 30 * 2 * len(CUSTOMERS)
    return pl.DataFrame(
        {
            "customer_id": CUSTOMERS * 60,
            "created_at": [START + timedelta(minutes=60 * number) for number in range(count)],
            "paid": [float(number % 7) for number in range(count)],
        }
    )


def spine(days: int = 30) -> pl.DataFrame:
    """A row a customer and day, some of which nothing is known about."""
    rows = [
        (who, at(day + 0.5), number % 3 == 0) for day in range(days) for number, who in enumerate([*CUSTOMERS, "new"])
    ]
    return pl.DataFrame(rows, schema=["customer_id", "event_time", "bought"], orient="row").cast(
        {"event_time": pl.Datetime("us", "UTC")}
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """With thirty days of a windowed view."""
    lake = open_lake(tmp_path_factory.mktemp("training") / "lake")
    with transaction(lake, NullRecorder(), Work("clean/tickets")) as tx:
        tx.write("clean/tickets", events())
    with transaction(lake, NullRecorder(), Work("features/activity")) as tx:
        rows = ACTIVITY.compute({"clean/tickets": tx.read("clean/tickets")}, at=[at(day) for day in range(31)])
        tx.describe(**ACTIVITY.metadata())
        tx.write("features/activity", rows, column_lineage=ACTIVITY.column_lineage())
    return lake


@pytest.fixture(scope="module")
def made(lake: Lake) -> TrainingSetVersion:
    return create_training_set(lake, NullRecorder(), "bought", spine(), ["activity:*"])
