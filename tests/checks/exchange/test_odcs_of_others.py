"""ODCS documents that others wrote: what is read, and what is refused."""

from datetime import timedelta
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
import yaml

from assay.checks import (
    Contract,
    Field,
    contract_info,
    contract_rules,
    from_odcs,
    rule,
    to_odcs,
)
from assay.checks.contract.contract import compiled
from assay.checks.exchange.compare import compare_contracts
from assay.checks.exchange.to_python import to_source
from assay.errors import AssayError
from tests.checks.exchange.kinds import FOREIGN


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
    (
        "says 'kind' twice, in line 1 and in line 3; keep one",
        "kind: DataContract\napiVersion: v3.1.0\nkind: DataContract",
    ),
    (
        "says 'required' twice, in line 7 and in line 7",
        property_of("logicalType: string, required: true, required: false"),
    ),
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
