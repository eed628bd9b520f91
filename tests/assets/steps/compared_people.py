"""A shop's people, in a table that is compared as a whole: the declaration, and what its tests look at."""

from typing import Any

SHOP = '''
"""A shop's people: a table without a column that tells when a row was changed."""

import polars as pl

from assay import Contract, Entity, Feature, FeatureView, Field, Partitioning, Rows, Source, Files, Timestamp


class People(Contract):
    person: str = Field(key=True)
    city: str = Field(not_empty=True)
    email: str = Field(nullable=True, unique=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


people = Source(
    name="people",
    reader=Rows("people", connection="erp", mode="snapshot"),
    contract=People,
    key=("person",),
    event_time="_seen_at",
)


class Orders(Contract):
    order_id: str = Field(key=True)
    shopper: str = Field(exists_in="clean/people.person")
    at: Timestamp = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


orders = Source(
    name="orders",
    reader=Files("orders/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Orders,
    key=("order_id",),
    event_time="at",
)

home = FeatureView(
    "home",
    entity=Entity("shopper", ["person"]),
    event_time="_seen_at",
    source="clean/people",
    features=[Feature("city", pl.col("city")), Feature("has_email", pl.col("email").is_not_null())],
)
'''


def rows(shop: Any, table: str, *columns: str) -> list[tuple[Any, ...]]:
    wanted = ("partition_key", "_change", "person", *(columns or ("city",)))
    return sorted(shop.frame(table).select(wanted).rows())


def now(shop: Any, table: str = "clean/people", version: int | None = None) -> dict[str, str]:
    return dict(sorted(shop.env.lake.table(table).current(version).select("person", "city").collect().rows()))


def insert(person: str, city: str, email: str = "") -> str:
    return f"INSERT INTO people VALUES ('{person}', '{city}', nullif('{email}', ''))"
