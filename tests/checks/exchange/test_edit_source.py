"""A rule added to a contract's source: the rest stays as it was written."""

from typing import Any

import polars as pl
import pytest

from assay.checks import Contract, validate
from assay.checks.exchange.edit_source import with_argument, with_method
from assay.errors import AssayError

SOURCE = '''"""Orders of the shop ‘Zürich’."""

from assay.checks import Contract, Field


class Orders(Contract):
    order_id: str = Field(key=True)  # from the shop
    plain: str
    empty: str = Field()
    ort: str = Field(alias="Straße", nullable=True)
    wide: str = Field(
        nullable=True,  # perhaps
    )

    class Config(Contract.Config):
        version = "1.0.0"


AFTER = 1
'''
METHOD = (
    '    @rule(name="plain.given")',
    "    def plain_given(cls) -> pl.Expr:",
    '        return pl.col("plain") != "x"',
)


def contract_of(source: str) -> type[Contract]:
    module: dict[str, Any] = {"__name__": "edited"}
    exec(compile(source, "edited.py", "exec"), module)
    assert module["AFTER"] == 1
    return module["Orders"]


def broken(contract: type[Contract], **values: str | None) -> list[str]:
    row = {"order_id": "A1", "plain": "a", "empty": "a", "Straße": "a", "wide": "a", **values}
    rows = validate(pl.DataFrame([row]), contract).quarantined
    return rows["_rules"].to_list()[0] if rows.height else []


@pytest.mark.parametrize("column", ["order_id", "plain", "empty", "Straße", "wide"])
def test_an_argument_comes_into_the_field_of_the_column(column: str) -> None:
    edited = with_argument(SOURCE, "Orders", column, 'notin=["Ω"]', "typo\n(jo)")
    contract = contract_of(edited)
    assert broken(contract) == []
    assert broken(contract, **{column: "Ω"}) == [f"{column}.notin"]
    kept = [line for line in edited.splitlines() if line in SOURCE.splitlines()]
    assert len(kept) >= len(SOURCE.splitlines()) - 1, "all other lines are as they were"
    assert "    # typo (jo)\n" in edited


def test_a_method_comes_to_the_end_with_its_imports() -> None:
    edited = with_method(SOURCE, "Orders", METHOD, "typo (jo)")
    assert broken(contract_of(edited), plain="x") == ["plain.given"]
    assert edited.index("version =") < edited.index("plain_given") < edited.index("AFTER")
    again = with_method(edited, "Orders", tuple(line.replace("given", "other") for line in METHOD), "too (jo)")
    assert again.count("import polars") == 1
    assert contract_of(again)


@pytest.mark.parametrize(
    ("column", "argument", "problem"),
    [("wide", "nullable=False", "nullable already"), ("nothing", "ge=0", "does not declare nothing")],
)
def test_what_cannot_be_put_there_is_refused(column: str, argument: str, problem: str) -> None:
    with pytest.raises(AssayError, match=problem):
        with_argument(SOURCE, "Orders", column, argument, "c")


def test_other_classes_and_methods_that_are_there_are_refused() -> None:
    with pytest.raises(AssayError, match="no class Sales"):
        with_argument(SOURCE, "Sales", "plain", "ge=0", "c")
    with pytest.raises(AssayError, match="plain_given already"):
        with_method(with_method(SOURCE, "Orders", METHOD, "c"), "Orders", METHOD, "c")
    with pytest.raises(AssayError, match="by hand"):
        with_argument(SOURCE.replace("empty: str = Field()", "empty: str = MADE"), "Orders", "empty", "ge=0", "c")
