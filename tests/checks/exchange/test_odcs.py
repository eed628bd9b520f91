"""ODCS 3.1 in and out: what is written reads back as the same contract; what cannot be read or written says so."""

import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Optional

import jsonschema_rs
import pandera.polars as pa
import polars as pl
import pyodcs
import pytest
import yaml

from assay.assets.support.card_events import CardEvents
from assay.assets.support.customers import Customers
from assay.assets.support.tickets import Tickets
from assay.checks import (
    Block,
    Contract,
    Field,
    QuarantineLimits,
    Timestamp,
    contract_info,
    contract_rules,
    from_odcs,
    rule,
    to_odcs,
    validate,
)
from assay.checks.contract.contract import compiled
from assay.checks.contract.field import RowCount
from assay.checks.exchange.compare import compare_contracts
from assay.checks.exchange.to_python import to_source
from assay.errors import AssayError


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
        text = None if expr is None or "no_card" in made.name else expr.meta.serialize(format="json")
        found[made.name] = (re.sub(" at (0x)?[0-9A-Fa-f]+", "", repr(values)), text)
    return found


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_round_trip(contract: type[Contract]) -> None:
    text = to_odcs(contract)
    back = from_odcs(text)
    assert compiled(back).columns == compiled(contract).columns
    assert compiled(back).strict == compiled(contract).strict
    assert rules(back) == rules(contract)
    assert compare_contracts(contract, back) == compare_contracts(back, contract) == []
    one, other = contract_info(contract), contract_info(back)
    assert (one.name, one.version, one.owner, one.freshness, one.key, one.quarantine) == (
        other.name,
        other.version,
        other.owner,
        other.freshness,
        other.key,
        other.quarantine,
    )
    assert yaml.safe_load(to_odcs(back)) == yaml.safe_load(text)


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Validator:
    """The standard's own JSON schema, as pyodcs ships it. (Its other checks want a name for the elements of a list, which the
    schema does not.)"""
    return jsonschema_rs.validator_for(pyodcs.pinned_schema())


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_document_is_valid_by_the_standards_schema(
    contract: type[Contract], official: jsonschema_rs.Validator
) -> None:
    document = yaml.safe_load(to_odcs(contract))
    assert [(error.message, list(error.instance_path)) for error in official.iter_errors(document)] == []
    document["schema"][0]["logicalType"] = "thing"
    assert not official.is_valid(document)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_contract_becomes_source_that_declares_it(contract: type[Contract]) -> None:
    source = to_source(from_odcs(to_odcs(contract)))
    module: dict[str, Any] = {"__name__": "imported"}
    exec(compile(source, "imported.py", "exec"), module)
    back = module[contract_info(contract).name]
    assert rules(back) == rules(contract)
    assert contract_info(back).quarantine == contract_info(contract).quarantine
    assert compare_contracts(contract, back) == compare_contracts(back, contract) == []


def test_every_type_is_among_them() -> None:
    kinds = {type(column.dtype) for contract in CONTRACTS for column in compiled(contract).columns}
    known = {kind for kind in vars(pl).values() if isinstance(kind, type) and issubclass(kind, pl.DataType)}
    unsupported = {
        "Int128",
        "UInt128",
        "Float16",
        "Null",
        "Object",
        "Unknown",
        "Field",
        "BaseExtension",
        "Extension",
        "Map",
    }
    assert {kind.__name__ for kind in known - kinds - {pl.DataType}} <= unsupported


def test_the_form_of_all_columns_is_written_once() -> None:
    text, source = to_odcs(Forms), to_source(Forms)
    assert text.count("assay.decimal") == text.count("assay.false_values") + 1 == 2
    assert (source.count("decimal = "), source.count("decimal=")) == (1, 1)


def test_an_imported_contract_works() -> None:
    batch = pl.DataFrame(
        {"v": ["1", "12", "x"], "w": [0.5, -1.0, None], "at": ["2026-01-01T00:00:00Z"] * 3}
    ).with_columns(partition_key=pl.lit("2025-12-31"))
    outcomes = [validate(batch, contract) for contract in (Promises, from_odcs(to_odcs(Promises)))]
    counts = [{r.name: (r.status, r.invalid, r.unknown) for r in outcome.report.rules} for outcome in outcomes]
    assert counts[0] == counts[1]
    assert counts[0]["late"] == ("blocked", 3, 0)


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


def test_a_document_that_others_wrote() -> None:
    orders = from_odcs(FOREIGN)
    info = contract_info(orders)
    assert (info.name, info.version, info.owner, info.freshness) == ("orders", "1.1.0", "sales", timedelta(hours=12))
    assert [(c.name, c.dtype, c.nullable) for c in info.columns] == [
        ("id", "Int32", False),
        ("e_mail", "String", False),
        ("state", "String", False),
        ("day", "Date", True),
        ("at", "Datetime(time_unit='us', time_zone='UTC')", True),
        ("customer", "String", True),
        ("lines", "List(Struct({'sku': String}))", True),
    ]
    assert info.key == ("id",)
    assert compiled(orders).columns[4].options.naive_utc
    assert {
        r.name: str(r.severity) for r in contract_rules(orders) if r.name.startswith(("state", "customer", "day"))
    } == {
        "state.dtype": "quarantine",
        "state.not_null": "quarantine",
        "state.length": "quarantine",
        "state.contains": "quarantine",
        "state.isin": "warn",
        "day.dtype": "quarantine",
        "day.ge": "quarantine",
        "customer.dtype": "quarantine",
        "customer.exists": "quarantine",
    }
    assert compare_contracts(orders, from_odcs(to_odcs(orders))) == []


def property_of(keys: str, table: str = "") -> str:
    start = "apiVersion: v3.1.0\nkind: DataContract\nversion: 1.0.0\nschema:\n  - name: t\n"
    return f"{start}{table}    properties:\n      - {{name: v, {keys}}}\n"


UDF = "implementation: {check: expression, arguments: {expression: {Function: {input: [], function: {PythonUdf: x}}}}}"
BAD: list[tuple[str, str]] = [
    ("not YAML \\(line 2\\)", "a: b\n  - c: [\n"),
    ("no `kind: DataContract`", "a: b"),
    ("ODCS v2.2.2 cannot be read", "kind: DataContract\napiVersion: v2.2.2"),
    ("no `schema`", "kind: DataContract\napiVersion: v3.1.0"),
    ("several tables; name one of a, b", "kind: DataContract\napiVersion: v3.1.0\nschema: [{name: a}, {name: b}]"),
    ("does not follow the standard \\(KeyError\\)", "kind: DataContract\napiVersion: v3.1.0\nschema: [{nom: a}]"),
    ("t.v: no type that can be read", property_of("physicalType: VARCHAR")),
    ("integers of format 'i128'", property_of("logicalType: integer, logicalTypeOptions: {format: i128}")),
    ("an array needs `items`", property_of("logicalType: array")),
    ("an object needs `properties`", property_of("logicalType: object")),
    ("multipleOf cannot be checked", property_of("logicalType: integer, logicalTypeOptions: {multipleOf: 5}")),
    ("format 'dd.MM.yyyy' cannot", property_of("logicalType: date, logicalTypeOptions: {format: dd.MM.yyyy}")),
    ("requird is no key of ODCS", property_of("logicalType: string, requird: true")),
    (
        "quality rule fresh \\(soda\\) cannot be read",
        property_of("logicalType: string, quality: [{name: fresh, type: custom, engine: soda, implementation: x}]"),
    ),
    (
        "quality rule q \\(sql\\) cannot be read",
        property_of("logicalType: string, quality: [{name: q, type: sql, query: SELECT 1, mustBe: 0}]"),
    ),
    (
        "nullValues\\) cannot be read",
        property_of("logicalType: string, quality: [{metric: nullValues, mustBeLessThan: 5}]"),
    ),
    (
        "none of info, warning",
        property_of("logicalType: string, quality: [{metric: nullValues, mustBe: 0, severity: dire}]"),
    ),
    ("brings Python code", property_of("logicalType: string", f"    quality: [{{name: r, engine: assay, {UDF}}}]\n")),
    (
        "assay.sharp is not known",
        property_of("logicalType: string", "    customProperties: [{property: assay.sharp, value: 1}]\n"),
    ),
    (
        "unknown severity",
        property_of("logicalType: string", "    customProperties: [{property: assay.severity, value: {v.dtype: x}}]\n"),
    ),
]


@pytest.mark.parametrize(("message", "text"), BAD, ids=[message for message, _ in BAD])
def test_what_cannot_be_read_is_said(message: str, text: str) -> None:
    with pytest.raises(AssayError, match=message):
        from_odcs(text)


def test_one_of_several_tables() -> None:
    document = yaml.safe_load(FOREIGN)
    document["schema"].append({"name": "lines", "properties": [{"name": "sku", "logicalType": "string"}]})
    assert contract_info(from_odcs(yaml.safe_dump(document), table="lines")).name == "lines"
    with pytest.raises(AssayError, match="no table 'line'; there are orders, lines"):
        from_odcs(yaml.safe_dump(document), table="line")


def test_what_only_python_can_say_is_not_written() -> None:
    class Custom(Contract):
        v: int = Field()

        @pa.check("v", name="odd")
        def odd(cls, data: Any) -> pl.LazyFrame:  # noqa: N805 - pandera makes it a class method
            return data.lazyframe.select(pl.col(data.key) % 2 == 1)

    class Mapped(Contract):
        v: int = Field()

        @rule(name="mapped")
        def mapped(cls) -> pl.Expr:
            return pl.col("v").map_batches(lambda values: values > 0, return_dtype=pl.Boolean)

    with pytest.raises(AssayError, match=r"v\.odd is Python code"):
        to_odcs(Custom)
    with pytest.raises(AssayError, match="mapped: the expression calls a Python function"):
        to_odcs(Mapped)


@pytest.mark.parametrize(
    ("name", "called"), [("orders-eu", "orders_eu"), ("2026", "Table_2026"), ("class", "Table_class")]
)
def test_a_table_that_no_class_can_be_called(name: str, called: str) -> None:
    contract = from_odcs(property_of("logicalType: string").replace("name: t\n", f'name: "{name}"\n'))
    assert contract_info(contract).name == called
    assert f"class {called}(Contract):" in to_source(contract)
