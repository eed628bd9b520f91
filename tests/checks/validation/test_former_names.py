"""Columns that an upstream has renamed: either name is read, and never both of one row."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import (
    ColumnsError,
    Contract,
    Field,
    canonical_spellings,
    compare_contracts,
    contract_info,
    delivery_drift,
    from_odcs,
    to_odcs,
    validate,
    validate_spilled,
)
from assay.checks.contract.contract import compiled
from assay.checks.validation.former_names import former_names
from assay.errors import AssayError
from assay.row_source import RowSource


class Payments(Contract):
    payment: int = Field(key=True)
    amount_eur: float = Field(ge=0, was=["amount", "sum"])
    note: str = Field(nullable=True)


class Strict(Payments):
    class Config(Contract.Config):
        strict = True
        ordered = True


NEW = pl.DataFrame({"payment": [1, 2, 3], "amount_eur": ["1.5", "-1", "x"], "note": ["a", None, "b"]})


@pytest.mark.parametrize("name", ["amount_eur", "amount", "sum"])
@pytest.mark.parametrize("contract", [Payments, Strict])
def test_each_name_gives_the_same_verdicts(name: str, contract: type[Contract], tmp_path: Path) -> None:
    rows = NEW.rename({"amount_eur": name})
    outcome, expected = validate(rows, contract), validate(NEW, contract)
    assert outcome.report == expected.report
    assert outcome.clean.equals(expected.clean)
    assert outcome.quarantined.equals(expected.quarantined)
    spilled = validate_spilled(rows.lazy(), contract, tmp_path)
    assert spilled.report == expected.report


def split(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The rows as a table has them: each has its amount under one of the names."""
    return rows.select(
        "payment",
        *(
            pl.when(pl.Series([own == name for own in names], dtype=pl.Boolean)).then("amount_eur").alias(name)
            for name in ("amount_eur", "amount", "sum")
        ),
        "note",
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["amount_eur", "amount", "sum"]), min_size=3, max_size=3), st.integers(1, 3))
def test_a_table_with_both_columns_is_read_row_by_row(names: list[str], size: int) -> None:
    rows = split(NEW, names)
    expected = validate(NEW, Strict)
    for given_as in (rows, rows.lazy()):
        outcome = validate(given_as, Strict)
        assert outcome.report == expected.report
        assert outcome.clean.equals(expected.clean)

    def made(columns: Any) -> Any:
        return rows.select(columns).iter_slices(size)

    source = RowSource(rows.schema, made)
    present = former_names("Strict", compiled(Strict).columns, source).source(source)
    assert pl.concat(present.frames()).equals(NEW)
    assert next(present.make(["note", "amount_eur"])).columns == ["note", "amount_eur"]


def test_a_name_without_values_is_left_out_whatever_its_type() -> None:
    rows = NEW.with_columns(amount=pl.lit(None, pl.Float64))
    assert validate(rows, Strict).report == validate(NEW, Strict).report
    found = former_names("Strict", compiled(Strict).columns, rows)
    assert (found.delivered, found.empty) == ({"amount_eur": ("amount_eur",)}, {"amount"})


BOTH = [
    (NEW.with_columns(amount=pl.lit("7")), "rows have values under both"),
    (NEW.with_columns(amount=pl.lit("7"), amount_eur=pl.lit("7")), "rows have values under both"),
    (split(NEW, ["amount", "amount_eur", "sum"]).with_columns(pl.col("amount").cast(pl.Float64)), "in different types"),
]


@pytest.mark.parametrize(("rows", "why"), BOTH)
def test_which_of_two_names_counts_is_never_guessed(rows: pl.DataFrame, why: str) -> None:
    with pytest.raises(
        ColumnsError, match=rf"Payments: 'amount_eur' and 'amount' are names of one column, and .*{why}"
    ):
        validate(rows, Payments)


def test_json_of_another_kind_is_no_text_under_either_name() -> None:
    class Texts(Contract):
        note: str = Field(was="remark")

    rows = pl.DataFrame({"remark": ["a", "1"], "_json": [None, '["remark"]']})
    expected = validate(rows.rename({"remark": "note"}).with_columns(_json=pl.Series([None, '["note"]'])), Texts)
    assert validate(rows, Texts).report == expected.report
    assert expected.report.rows_quarantined == 1


def test_a_spelling_is_proposed_under_either_name() -> None:
    class Numbers(Contract):
        account: str = Field(format="iban", was="number")

    rows = pl.DataFrame({"number": ["DE89 3704 0044 0532 0130 00"]})
    proposed = canonical_spellings(rows, Numbers)
    assert proposed["_proposed"].to_list() == [{"account": "DE89370400440532013000"}]


def declared(**fields: Any) -> type[Contract]:
    return type("C", (Contract,), {"__annotations__": dict.fromkeys(fields, str), "__module__": __name__, **fields})


REFUSED = [
    ({"a": {"was": "a"}}, "the column has that name now"),
    ({"a": {"was": "b"}, "b": {}}, "'b' has it, too"),
    ({"a": {"was": "x"}, "b": {"was": "x"}}, "'a' has it, too"),
    ({"a": {"was": "_row_number"}}, "no name that an upstream gives"),
    ({"a": {"was": ""}}, "no name that an upstream gives"),
    ({"a": {"was": "x", "alias": "a_.*", "regex": True}}, "a pattern stands for"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_a_former_name_that_says_nothing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        declared(**{name: Field(**options) for name, options in fields.items()})


def test_the_former_name_is_part_of_the_contract() -> None:
    plain = declared(a=Field())
    assert contract_info(declared(a=Field(was="x"))).digest != contract_info(plain).digest
    assert contract_info(declared(a=Field(was=[]))).digest == contract_info(plain).digest
    back = from_odcs(to_odcs(Payments))
    assert contract_info(back).digest == contract_info(Payments).digest


def test_a_declared_rename_breaks_no_supplier() -> None:
    class Before(Contract):
        payment: int = Field(key=True)
        amount: float = Field(ge=0)
        note: str = Field(nullable=True)

    found = {(change.kind, change.where): change.breaks for change in compare_contracts(Before, Payments)}
    assert found["column_renamed", "amount"] == ("readers",)
    assert ("column_added", "amount_eur") not in found
    fewer = declared(amount_eur=Field(was="amount"))
    lost = {
        change.kind: change.breaks
        for change in compare_contracts(declared(amount_eur=Field(was=["amount", "sum"])), fewer)
    }
    assert lost["former_name_removed"] == ("suppliers",)


def test_a_column_that_lacks_says_how_to_declare_it_as_optional() -> None:
    how = r"or change the contract: if it may lack, declare amount_eur: Optional\[float\] = Field\(…, nullable=True\)\."
    with pytest.raises(ColumnsError, match=how):
        validate(NEW.drop("amount_eur"), Payments)
    (finding,) = delivery_drift(NEW.drop("amount_eur"), Payments)
    assert "Optional[float]" in finding.detail


def test_drift_knows_the_former_name_and_says_how_to_declare_one() -> None:
    assert delivery_drift(NEW.rename({"amount_eur": "amount"}), Payments) == []
    finding = next(
        f for f in delivery_drift(NEW.rename({"amount_eur": "amount_euro"}), Payments) if f.kind == "renamed"
    )
    assert finding.detail.endswith("declare 'amount_euro' with Field(was=['amount_eur', 'amount', 'sum'])")
    with pytest.raises(
        ColumnsError, match=r"declare 'amount_euro' with Field\(was=\['amount_eur', 'amount', 'sum'\]\)"
    ):
        validate(NEW.rename({"amount_eur": "amount_euro"}), Payments)
