"""What decides nothing in an ODCS document, and what version 3.2 added."""

import re
from typing import Any

import jsonschema_rs
import polars as pl
import pytest
import yaml

from assay.checks import (
    Contract,
    Field,
    contract_info,
    contract_rules,
    from_odcs,
    to_odcs,
    validate,
)
from assay.checks.exchange.to_python import to_source
from assay.errors import AssayError
from tests.checks.exchange.kinds import FOREIGN, NEW


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


# The standard's defaults need not be written; what a rule says has one place, and prose about its other place is dropped.
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
