"""The support desk's customers: a database table, read incrementally. Every version of a customer is kept."""

import os

from assay.assets.databases.rows import Rows, connection_url
from assay.assets.sources.source import Source
from assay.checks import Contract, Field, Timestamp
from assay.features.views.entity import Entity
from assay.settings import Settings

PLANS = ["free", "plus", "business"]


class Customers(Contract):
    customer_id: str = Field(key=True, str_matches=r"^C\d{5}$", description="Number of the customer.")
    name: str = Field(not_empty=True, canonical_unique="customer_id", pii="name", description="First and last name.")
    email: str = Field(nullable=True, pii="email", description="Address for mail, where there is one.")
    phone: str = Field(nullable=True, pii="phone", description="Number to call, where there is one.")
    country: str = Field(str_matches=r"^[A-Z]{2}$", description="Where the customer lives (ISO 3166).")
    plan: str = Field(isin=PLANS, description="What the customer pays for.")
    signed_up_at: Timestamp = Field(description="When the customer joined (UTC).")
    updated_at: Timestamp = Field(key=True, description="When this version of the customer began to hold (UTC).")

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "support-data"


def crm_url(settings: Settings) -> str:
    """The customers' database: the connection `crm`, or a SQLite file beside the other deliveries.

    ASSAY_CRM_URL, as it was called in version 0.1, still works.
    """
    if "crm" in settings.connections:
        return connection_url(settings, "crm")
    file = (settings.landing_path / "customers.db").resolve()
    return os.environ.get("ASSAY_CRM_URL") or f"sqlite:///{file}"


customers = Source(
    name="customers",
    reader=Rows("customers", cursor="updated_at", connection="crm", default=crm_url),
    contract=Customers,
    key=("customer_id",),
    event_time="updated_at",
    description="Customers of the support desk, one row per change.",
)

customer = Entity("customer", ["customer_id"])
