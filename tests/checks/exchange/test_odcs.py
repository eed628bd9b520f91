"""ODCS 3.2 in and out: what is written reads back as the same contract; what cannot be read or written says so."""

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
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

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
    # A set of values has no order, so its contract reads back as that with a list of them.
    assert other.digest == one.digest or contract in (Texts,)
    assert contract_info(from_odcs(to_odcs(back))).digest == other.digest
    assert yaml.safe_load(to_odcs(back)) == yaml.safe_load(text)


def with_3_2(schema: dict[str, Any]) -> dict[str, Any]:
    """The standard's 3.1 schema with what 3.2 added to the elements that we write."""
    schema["properties"]["apiVersion"]["enum"].append("v3.2.0")
    parts, any_list = schema["$defs"], {"type": "array", "items": {"type": "object"}}
    entry = {"type": "object", "required": ["value"], "properties": {"value": {"$ref": "#/$defs/AnyNonCollectionType"}}}
    parts["SchemaElement"]["properties"] |= {"deprecated": {"type": "boolean"}, "synonyms": any_list}
    parts["SchemaObject"]["properties"]["context"] = schema["properties"]["context"] = {"type": ["string", "object"]}
    words = parts["SchemaBaseProperty"]["properties"]
    words["logicalType"]["enum"] += ["map", "vector"]
    words["semanticType"] = {"enum": ["column", "measure", "dimension"]}
    words["enum"] = {"type": "array", "minItems": 1, "uniqueItems": True, "items": entry}
    parts_of_map = {name: {"$ref": "#/$defs/SchemaItemProperty"} for name in ("key", "value")}
    words["map"] = {"type": "object", "required": ["key", "value"], "properties": parts_of_map}
    parts["ServiceLevelAgreementProperty"]["properties"]["customProperties"] = {"$ref": "#/$defs/CustomProperties"}
    parts["CustomProperty"]["properties"]["vendor"] = {"type": "string"}
    parts["RelationshipBase"]["properties"]["id"] = {"type": "string"}
    return schema


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Validator:
    """The standard's own JSON schema, as pyodcs ships it. (Its other checks want a name for the elements of a list, which the
    schema does not.)"""
    schema = pyodcs.pinned_schema()
    return jsonschema_rs.validator_for(
        schema if "v3.2.0" in str(schema["properties"]["apiVersion"]) else with_3_2(schema)
    )


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


def test_a_beginning_is_kept_and_is_no_part_of_the_digest() -> None:
    class Orders(Contract):
        order: str = Field(key=True)

        class Config(Contract.Config):
            since = date(2026, 10, 1)

    back = from_odcs(to_odcs(Orders))
    assert contract_info(back).since == contract_info(Orders).since == date(2026, 10, 1)
    assert contract_info(back).digest == contract_info(Orders).digest
    module: dict[str, Any] = {"__name__": "imported"}
    exec(compile(to_source(back), "imported.py", "exec"), module)
    assert contract_info(module["Orders"]).since == date(2026, 10, 1)


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
ENUM = "enum: [{value: a}, {value: b}]"
BAD: list[tuple[str, str]] = [
    (
        "isin is given twice",
        property_of(
            f"logicalType: string, {ENUM}, quality: [{{metric: invalidValues, arguments: {{validValues: [c]}}, mustBe: 0}}]"
        ),
    ),
    ("a map needs `map`", property_of("logicalType: map, map: {key: {logicalType: string}}")),
    (
        "a vector needs logicalTypeOptions.dimensions",
        property_of("logicalType: vector, logicalTypeOptions: {elementType: int8}"),
    ),
    ("a vector needs", property_of("logicalType: vector, logicalTypeOptions: {dimensions: 3, elementType: bfloat16}")),
    (
        "t.v\\[\\]: enum within a nested value",
        property_of(f"logicalType: array, items: {{logicalType: string, {ENUM}}}"),
    ),
    (
        "t.v.key: enum within",
        property_of(f"logicalType: map, map: {{key: {{logicalType: string, {ENUM}}}, value: {{logicalType: string}}}}"),
    ),
    ("t.v: a measure is no column", property_of(f"logicalType: string, semanticType: measure, {ENUM}")),
    ("several relationships", property_of("logicalType: string, relationships: [{to: a.id}, {to: b.id}]")),
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
    ("cannot be read \\(RecursionError\\)", "a: " + "[" * 5000 + "]" * 5000),
    ("cannot be read \\(ValueError\\)", "a: " + "9" * 5000),
    ("cannot be read \\(ValueError\\)", "a: 2026-13-45"),
    (
        "v.ge: its value is too large",
        property_of(f"logicalType: integer, logicalTypeOptions: {{minimum: {'9' * 400}}}"),
    ),
    (
        "v.le: its value is too large",
        property_of(f"logicalType: number, logicalTypeOptions: {{maximum: {'9' * 400}}}"),
    ),
    ("t: two properties are the column v", property_of("logicalType: string}\n      - {name: v, logicalType: integer")),
    (
        "t: two properties are the column v",
        property_of("logicalType: string}\n      - {name: w, physicalName: v, logicalType: string"),
    ),
    (
        "two tables of the ODCS document have one name",
        "kind: DataContract\napiVersion: v3.1.0\nschema: [{name: a}, {name: a}]",
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


def test_what_3_2_added_is_read_as_rules_and_types() -> None:
    orders = from_odcs(NEW)
    types = {column.name: str(column.dtype) for column in contract_info(orders).columns}
    assert types == {
        "state": "String",
        "level": "Int64",
        "labels": "List(Struct({'key': String, 'value': Int64}))",
        "vector": "Array(Float32, shape=(3,))",
        "customer": "String",
        "buyer_id": "Int64",
    }
    named = {made.name for made in contract_rules(orders)}
    assert {"state.isin", "level.isin", "customer.exists", "buyer_id.exists"} <= named
    batch = pl.DataFrame({"state": ["paid", "lost"], "level": [1, 3]})
    broken = validate(
        batch.with_columns(pl.lit(None).alias(name) for name in types if name not in batch.columns), orders
    )
    assert broken.quarantined["_rules"].to_list() == [["state.isin", "level.isin"]]


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, dict):
        return {k: v for name, item in node.items() for k, v in leaves(item, f"{path}.{name}").items()}
    if isinstance(node, list):
        return {k: v for index, item in enumerate(node) for k, v in leaves(item, f"{path}[{index}]").items()}
    return {path: node}


# The standard's defaults need not be written; what a rule says has one place, and what was said of its other place is dropped.
MOVED = re.compile(r"\.quality\[\d\]|\.apiVersion$")


@pytest.mark.parametrize("text", [NEW, FOREIGN], ids=["3.2", "3.1"])
def test_what_decides_nothing_is_kept(text: str, official: jsonschema_rs.Validator) -> None:
    again = to_odcs(from_odcs(text))
    first, second = leaves(yaml.safe_load(text)), leaves(yaml.safe_load(again))
    assert {path: value for path, value in first.items() if not MOVED.search(path) and second.get(path) != value} == {}
    assert [error.message for error in official.iter_errors(yaml.safe_load(again))] == []
    module: dict[str, Any] = {"__name__": "imported"}
    exec(compile(to_source(from_odcs(text)), "imported.py", "exec"), module)
    assert to_odcs(module["orders"]) == again
    for old in ("v3.0.2", "v3.1.0"):
        assert to_odcs(from_odcs(text.replace("v3.2.0", old))) == again


def test_a_rule_that_was_edited_is_written_as_it_is_now() -> None:
    class Orders(from_odcs(NEW)):
        column_0: str = Field(
            alias="state", isin=["paid", "back"], metadata={"enum": [{"value": "paid", "label": "Paid"}]}
        )
        column_2: pl.List(pl.String) = Field(
            alias="labels", metadata={"logicalType": "map", "map": {"key": {}, "value": {}}}
        )

    nodes = {node["name"]: node for node in yaml.safe_load(to_odcs(Orders))["schema"][0]["properties"]}
    assert nodes["state"]["enum"] == [{"value": "paid", "label": "Paid"}, {"value": "back"}]
    assert (nodes["labels"]["logicalType"], nodes["labels"]["items"]["logicalType"]) == ("array", "string")


def test_metadata_that_no_file_can_hold_is_named() -> None:
    class Odder(Contract):
        v: int = Field(metadata={"check": object()})

    with pytest.raises(AssayError, match=r"Odder\.v: its metadata 'check' is a object, which no ODCS file can hold"):
        to_odcs(Odder)


TEXT = st.text(max_size=6)
WORDS = st.dictionaries(
    st.text("abcXYZ_.", min_size=1, max_size=8),
    st.integers(-9, 9) | TEXT | st.lists(TEXT, max_size=2) | st.dictionaries(TEXT, st.booleans(), max_size=2),
    max_size=3,
)
NUMBERS = {"ge": st.integers(-9, 0), "lt": st.integers(1, 9), "ne": st.just(3), "raise_warning": st.booleans()}
NUMBERS |= {"notin": st.lists(st.integers(20, 30), min_size=1, max_size=3)}
TEXTS = {
    "isin": st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4),
    "not_empty": st.booleans(),
    "no_email": st.booleans(),
    "pii": st.sampled_from(["name", "email", "free_text"]),
    "normal": st.sampled_from(["nfc", ["nfc", "spaces"]]),
    "exists_in": st.sampled_from(["clean/t", "clean/t.id", "t.id"]),
    "canonical_unique": st.just("a"),
}
FORMATS = ["date", "date:%d.%m.%Y", "iban", "phone", "phone:DE", "stdnum:isbn", "money:EUR"]
LENGTH = {"str_length": st.fixed_dictionaries({"min_value": st.integers(0, 2), "max_value": st.integers(3, 9)})}
PATTERNS = {
    "str_matches": st.sampled_from(["a|b", "[a-z]+$"]),
    "str_contains": st.sampled_from(["x", "^(?:x)", "^(?:x)|y"]),
    "str_startswith": TEXT,
    "str_endswith": TEXT,
}
NESTED = [pl.Date, Timestamp, bool, pl.List(pl.String), pl.Struct({"a": pl.Int8}), pl.Array(pl.Float32, 2)]
COLUMN = st.one_of(
    st.tuples(st.sampled_from([pl.Int64, pl.Int8, pl.Float64, pl.UInt32]), st.fixed_dictionaries({}, optional=NUMBERS)),
    st.tuples(st.just(str), st.fixed_dictionaries({}, optional=TEXTS)),
    st.tuples(st.just(str), st.fixed_dictionaries({"format": st.sampled_from(FORMATS)})),
    st.tuples(st.just(str), st.fixed_dictionaries(LENGTH, optional=PATTERNS)),
    st.tuples(st.sampled_from(NESTED), st.just({})),
)
PROSE = {"title": TEXT, "description": TEXT, "metadata": WORDS}
SAID = st.fixed_dictionaries({"nullable": st.booleans()}, optional={"coerce": st.booleans(), **PROSE})
OPTIONS = {
    "version": st.from_regex("[1-9][.][0-9]", fullmatch=True),
    "owner": st.text(min_size=1, max_size=5),
    "freshness": st.sampled_from(
        ["24h", "1d", "90m", "2w", *(timedelta(minutes=minutes) for minutes in (1440, 90, 0.5))]
    ),
    "strict": st.sampled_from([True, "filter"]),
    "ordered": st.booleans(),
    "row_count": st.just(RowCount("raw/t", share=0.5)),
    "quarantine": st.just(QuarantineLimits(block=0.2, rules={"a.dtype": 0.1})),
    "severity": st.sampled_from([{}, {"a.dtype": "warn"}, {"a.dtype": Block(share=0.1)}, {"a.not_null": "info"}]),
}


@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # contracts shrink slowly
@given(st.lists(st.tuples(COLUMN, SAID), max_size=4), st.fixed_dictionaries({}, optional={**OPTIONS, **PROSE}))
def test_any_contract_reads_back_with_the_same_digest(columns: list[Any], options: dict[str, Any]) -> None:
    annotations: dict[str, Any] = {"a": str}
    body: dict[str, Any] = {"a": Field(key=True)}
    for name, ((kind, rules_of), words) in zip("bcde", columns, strict=False):
        annotations[name], body[name] = kind, Field(**rules_of, **words)
    config = type("Config", (Contract.Config,), options)
    made = type("Made", (Contract,), {"__annotations__": annotations, "__module__": __name__, "Config": config, **body})
    text = to_odcs(made)
    back = from_odcs(text)
    assert contract_info(back).digest == contract_info(made).digest
    assert rules(back) == rules(made)
    assert to_odcs(back) == text
