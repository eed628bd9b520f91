"""Contracts of all kinds that there are, and documents that others wrote."""

import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Optional

import polars as pl

from assay.assets.support.card_events import CardEvents
from assay.assets.support.customers import Customers
from assay.assets.support.tickets import Tickets
from assay.checks import (
    Block,
    Contract,
    Field,
    QuarantineLimits,
    Timestamp,
    contract_rules,
    rule,
)
from assay.checks.contract.field import RowCount


class Numbers(Contract):
    tiny: pl.Int8 = Field(ge=-5, le=5)
    short: pl.Int16 = Field(gt=-5, lt=5)
    medium: pl.Int32 = Field(in_range={"min_value": 0, "max_value": 9, "include_max": False})
    long: pl.Int64 = Field(isin=[1, 2, 3])
    small: pl.UInt8 = Field(ne=7)
    word: pl.UInt16 = Field(eq=3)
    double: pl.UInt32 = Field(notin=[1])
    quad: pl.UInt64 = Field(nullable=True)
    half: pl.Float32 = Field(ge=0.5)
    real: float = Field(lt=1e300, gt=float("-inf"))
    price: pl.Decimal(12, 2) = Field(ge=Decimal("0.01"))


class Times(Contract):
    day: pl.Date = Field(ge=date(2020, 1, 1), isin=[date(2024, 2, 29), date(2025, 3, 1)])
    clock: pl.Time = Field()
    at: Timestamp = Field(gt=datetime(2020, 1, 1, 12, tzinfo=UTC), naive_utc=True)
    local: pl.Datetime("ms", "Europe/Berlin") = Field(nullable=True)
    took: pl.Duration("us") = Field(le=timedelta(minutes=1, microseconds=3))


class Texts(Contract):
    a: str = Field(str_matches=r"T[0-9]{7}$", str_length={"min_value": 2}, str_contains="0")
    b: str = Field(str_contains=r"^(?:a|b)", str_length={"max_value": 9})
    c: str = Field(str_startswith="x", str_endswith="y", str_length={"exact_value": 4})
    d: str = Field(not_empty=True, no_email=True, no_card_number=True, pii="free_text")
    e: str = Field(unique_values_eq=["a", "b"], str_matches="a|b")
    f: str = Field(isin={"ü", "no", "1", "null"})
    g: str = Field(isin=["z", "a\x85b", "a\u2028 b", "\ufeffa", "a\r\n", " a ", "1e3", "2026-01-01", "~", "a\u2029"])


class Nested(Contract):
    tags: pl.List(pl.String) = Field()
    deep: pl.List(pl.List(pl.Int16)) = Field(nullable=True)
    place: pl.Struct({"lat": pl.Float64, "names": pl.List(pl.String)}) = Field()
    vector: pl.Array(pl.Float32, 3) = Field()


class Kinds(Contract):
    flag: bool = Field()
    size: pl.Enum(["s", "m", "l"]) = Field()
    colour: pl.Categorical = Field()
    blob: pl.Binary = Field()


class Keys(Contract):
    shop: str = Field(key=True)
    number: int = Field(key=True)
    label: str = Field(unique=True)
    parent: int = Field(nullable=True, exists_in="clean/orders.number")
    company: str = Field(canonical_unique=["shop", "number"])

    class Config(Contract.Config):
        unique: ClassVar = ["label", "company"]


class Odd(Contract):
    validate_: str = Field(alias="validate")
    spaced: int = Field(alias="unit price (€)", coerce=True)
    maybe: Optional[int] = Field(nullable=True)  # noqa: UP045 - what pandera reads


class Promises(Contract):
    v: int = Field(ge=0, le=9, raise_warning=True)
    w: float = Field(ge=0, nullable=True)
    at: Timestamp = Field()

    class Config(Contract.Config):
        version = "2026.11"
        owner = "shop-data"
        freshness = "36h"
        strict = True
        severity: ClassVar = {
            "w.ge": "info",
            "w.dtype": Block(share=0.01, rows=3),
            "v.not_null": "block",
            "late": Block(rows=0),
        }

    @rule(name="late", severity="warn")
    def late(cls) -> pl.Expr:
        return pl.col("at").dt.date() <= pl.col("partition_key").str.to_date()

    @rule()
    def small(cls) -> pl.Expr:
        return (pl.col("v") + pl.col("w")).is_between(0, 10) | pl.col("w").is_null()


class Beyond(Contract):
    state: str = Field(isin=["new", "paid"], normal=["strip", "lower"])
    paid_at: Timestamp = Field(nullable=True, required_if={"state": "paid"})
    invoice: int = Field(sequence="consecutive", per=["state"])
    iban: str = Field(format="iban", nullable=True)
    score: float = Field(alias="^score_.*$", regex=True, ge=0)

    class Config(Contract.Config):
        ordered = True
        strict = "filter"
        row_count = RowCount("ledger", share=0.01)


class Freshness(Contract):
    v: str = Field()

    class Config(Contract.Config):
        freshness = timedelta(seconds=90)


class Limits(Contract):
    unit: str = Field(isin=["miles"])

    class Config(Contract.Config):
        quarantine = QuarantineLimits(warn=None, block=0.3, rows=0, rules={"unit.isin": 0.01, "row.encoding": 0.5})


class Unlimited(Contract):
    v: str = Field()

    class Config(Contract.Config):
        quarantine = QuarantineLimits(block=None)


class Told(Contract):
    amount: float = Field(
        title="turnover",
        description="what the customer paid",
        metadata={
            "unit": "EUR",
            "steward": {"team": "a", "since": date(2026, 1, 2)},
            "tags": ["money"],
            "deprecated": True,
        },
    )
    state: str = Field(
        isin=["paid", "new"], metadata={"semanticType": "dimension", "synonyms": [{"synonym": "status"}]}
    )
    customer: str = Field(exists_in="customers.id")

    class Config(Contract.Config):
        title = "Orders of the shop"
        description = "one row an order"
        freshness = "24h"
        metadata: ClassVar = {
            "context": "Amounts are gross.",
            "source": "shop",
            "document": {"status": "draft", "domain": "sales", "price": {"priceAmount": 1}},
        }


class Forms(Contract):
    name: str = Field()
    number: int = Field(thousands="'", currency="CHF")
    amount: float = Field(nullable=True, negative="parentheses")
    ratio: float = Field(decimal=".", thousands="", missing=(), percent=True)
    day: pl.Date = Field(date_format="%m/%d/%y", missing='say "-"')
    flag: bool = Field()
    clock: pl.Time = Field(time_format="%I:%M %p")
    at: Timestamp = Field(datetime_format="%d.%m.%Y %H:%M %z")

    class Config(Contract.Config):
        decimal = ","
        thousands = "."
        date_format = "%d.%m.%Y"
        true_values = "ja"
        false_values = ("nein", "n\\a")
        missing: ClassVar = ["", "-"]


CONTRACTS = [
    Forms,
    Numbers,
    Told,
    Times,
    Texts,
    Nested,
    Kinds,
    Keys,
    Odd,
    Promises,
    Beyond,
    Freshness,
    Limits,
    Unlimited,
    Tickets,
    CardEvents,
    Customers,
]


def rules(contract: type[Contract]) -> dict[str, Any]:
    """Every rule as text. An expression is written out: its short form leaves the middle of long lists out."""
    found: dict[str, Any] = {}
    for made in contract_rules(contract):
        values = {field.name: getattr(made, field.name) for field in fields(made)}
        expr = values.pop("expr", None)
        text = (
            None
            if expr is None or "no_card" in made.name or made.name.endswith(".format")
            else expr.meta.serialize(format="json")
        )
        found[made.name] = (re.sub(" at (0x)?[0-9A-Fa-f]+", "", repr(values)), text)
    return found


FOREIGN = """
apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
version: 1.1.0
status: active
description: {purpose: orders of a shop}
team: {name: sales, members: [{username: ada}]}
price: {priceAmount: 1}
slaProperties:
  - {property: latency, value: 4, unit: d}
  - {property: freshness, value: 12, unit: hours}
schema:
  - name: orders
    physicalType: table
    properties:
      - {name: id, logicalType: integer, physicalType: BIGINT, primaryKey: true, logicalTypeOptions: {format: i32}}
      - {name: mail, physicalName: e_mail, logicalType: string, required: true, examples: [a@b.example]}
      - name: state
        logicalType: string
        logicalTypeOptions: {maxLength: 8, pattern: "[a-z]+"}
        quality:
          - {type: text, description: any state of an order}
          - {metric: invalidValues, arguments: {validValues: [new, paid]}, mustBe: 0, severity: warning}
          - {metric: nullValues, mustBe: 0}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: "2020-01-01", format: yyyy-MM-dd}}
      - {name: at, logicalType: timestamp, logicalTypeOptions: {timezone: false}}
      - {name: customer, logicalType: string, relationships: [{to: customers.id}]}
      - {name: lines, logicalType: array, items: {logicalType: object, properties: [{name: sku, logicalType: string}]}}
"""


NEW = """
apiVersion: v3.2.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
name: shop
version: 1.1.0
status: draft
context: {instructions: Amounts are gross., constraints: [{constraint: Never show names.}]}
team: {name: sales, members: [{username: ada}]}
slaProperties:
  - {property: freshness, value: 12, unit: h, driver: analytics, customProperties: [{property: p, value: 1}]}
  - {property: latency, value: 4, unit: d}
customProperties: [{property: ruleset, value: 7, vendor: soda}]
schema:
  - name: orders
    logicalType: object
    physicalType: view
    physicalName: v_orders
    deprecated: true
    synonyms: [{synonym: purchases, locale: en-GB}]
    context: Amounts are gross.
    quality: [{type: text, description: as in the shop}]
    properties:
      - name: state
        logicalType: string
        physicalType: VARCHAR(8)
        description: where the order is
        businessName: order state
        semanticType: dimension
        synonyms: [{synonym: status}]
        enum:
          - {value: paid, label: Paid, tags: [final]}
          - {value: new, description: not paid yet}
        customProperties:
          - {property: steward, value: ada}
          - {property: owner, value: ben, vendor: atlan}
          - {property: tags, value: not the standard's}
      - {name: level, logicalType: integer, enum: [{value: 1}, {value: 2}], deprecated: false}
      - {name: labels, logicalType: map, map: {key: {logicalType: string}, value: {logicalType: integer, description: n}}}
      - {name: vector, logicalType: vector, logicalTypeOptions: {dimensions: 3, distanceMetric: cosine}}
      - {name: customer, logicalType: string, relationships: [{to: customers.id, id: fk_customer}]}
      - {name: buyer, physicalName: buyer_id, logicalType: integer, relationships: [{to: buyers.id}]}
      - {name: total, logicalType: number, semanticType: measure, transformLogic: SUM(amount)}
"""
