"""A declaration laid out: nothing that was declared is missing, and what is usual is not repeated."""

import json
from typing import Optional

import polars as pl

from assay.checks import Block, Contract, Field, QuarantineLimits, RowCount, Severity, Timestamp, rule
from assay.checks.contract.contract import contract_text
from assay.cli.contracts.layout import about, column_rows, other_rules


class Sales(Contract):
    sale_id: str = Field(key=True, str_length={"min_value": 2, "max_value": 9})
    line: int = Field(key=True, in_range={"min_value": 1, "max_value": 99})
    at: Timestamp = Field(naive_utc=True, was="time")
    shop: str = Field(exists_in="clean/shops")
    kind: str = Field(isin=["sale", "refund"])
    country: str = Field(isin={f"c{number:02d}" for number in range(20)})
    reason: str = Field(nullable=True, required_if={"kind": "refund"}, normal=("strip",))
    mail: Optional[str] = Field(pii="email", format="email", nullable=True)  # noqa: UP045 - as pandera wants it
    price: float = Field(ge=0, decimal=",")

    class Config(Contract.Config):
        version = "2.1.0"
        owner = "shop"
        strict = True
        row_count = RowCount("raw/counts")
        quarantine = QuarantineLimits(block=0.2)
        severity = {"kind.isin": Severity.WARN, "price.ge": Block(0.1)}  # noqa: RUF012

    @rule(name="refund.has_price")
    def refund(cls) -> pl.Expr:
        return (pl.col("kind") != "refund") | (pl.col("price") > 0)


DECLARED = json.loads(contract_text(Sales))


def test_each_column_has_a_line_with_all_that_is_declared_of_it() -> None:
    rows = {row[0]: row[1:] for row in column_rows(DECLARED, {"price": "In EUR."})}
    assert list(rows) == [name for name, *_ in DECLARED["columns"]]
    assert rows["sale_id"] == ("str", "no", "", "key; length min 2, max 9", "")
    assert rows["line"][3].startswith("key; in_range min 1, max 99")
    assert rows["at"] == ("Timestamp", "no", "", "naive_utc True; was ('time',)", "")
    assert rows["shop"] == ("str", "no", "", "exists_in clean/shops", "")
    assert rows["kind"][3] == "isin sale, refund"
    assert rows["reason"][1] == "yes" and rows["reason"][3].startswith("required_if (('kind', ('refund',)),)")
    assert rows["mail"] == ("str", "optional", "email", "format email", "")
    assert rows["price"][0] == "float" and rows["price"][3].startswith("ge 0; ") and rows["price"][4] == "In EUR."
    assert "decimal=','" in rows["price"][3]


def test_long_lists_are_cut_and_say_so() -> None:
    (country,) = (row for row in column_rows(DECLARED, {}) if row[0] == "country")
    assert country[4].count("c1") == 2 and country[4].endswith("'c11', and 8 more (--json)")


def test_rules_that_no_column_shows_or_that_do_something_else_are_listed() -> None:
    assert [name for name, *_ in other_rules(DECLARED)] == [
        "kind.isin",
        "reason.normal",
        "price.ge",
        "sale_id+line.unique",
        "refund.has_price",
        "row_count",
    ]
    found = {name: (severity, stops) for name, severity, stops in other_rules(DECLARED)}
    assert found["kind.isin"] == ("warn", "")
    assert found["price.ge"][0] == "block" and "0.1" in found["price.ge"][1]


def test_what_holds_of_the_whole_is_said_in_a_line() -> None:
    said = about(DECLARED)
    assert said.startswith("owner shop, ") and said.endswith("strict") and "ordered" not in said
    assert "block=0.2" in said and "raw/counts" in said and "2.1.0" not in said
