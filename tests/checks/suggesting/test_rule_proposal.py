"""The rule for an accepted suggestion: it refuses the doubted row, and quotes no personal data."""

import ast
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, Suggestion, suggest, validate
from assay.checks.exchange.edit_source import with_argument, with_method
from assay.checks.suggesting.rule_proposal import RuleProposal, rule_proposal
from assay.errors import AssayError
from tests.conftest import SOAK

CODES = [f"ZX-{1000 + number}" for number in range(120)]


def table(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"K{number:03d}" for number in range(120)], **columns})


def last(values: list[Any], wrong: Any) -> list[Any]:
    return [*values[:-1], wrong]


def proposed(
    frame: pl.DataFrame, contract: type[Contract] | None = None, **classes: str | None
) -> tuple[Suggestion, RuleProposal]:
    (cell,) = [cell for cell in suggest(frame, unmask=True).cells if cell.row == 120]
    return cell, rule_proposal(frame, contract, cell, classes)


TOWNS = ["Dothan", "Mobile", "Selma"] * 40
SOURCE = """
import polars as pl

from assay.checks import Contract, Field, rule


class Table(Contract):
    id: str = Field()
    {columns}
"""


@pytest.mark.parametrize(
    ("columns", "types", "check"),
    [
        ({"town": last(TOWNS, "Mobxle")}, {"town": "str"}, 'isin=["Dothan", "Mobile", "Selma"]'),
        ({"code": last(CODES, "ZX10x1")}, {"code": "str"}, 'str_matches="^ZX-[0-9]{4}$"'),
        ({"town": last([f"Town {number % 60}" for number in range(120)], "N/A")}, {"town": "str"}, 'notin=["N/A"]'),
        ({"kilos": last([50.0 + number % 13 for number in range(120)], 5e6)}, {"kilos": "float"}, "le=62"),
    ],
)
def test_the_rule_refuses_the_doubted_row(columns: dict[str, Any], types: dict[str, str], check: str) -> None:
    frame = table(**columns)
    cell, proposal = proposed(frame)
    assert (proposal.argument, proposal.breaks) == (check, 1)
    source = SOURCE.format(columns="\n    ".join(f"{name}: {kind} = Field()" for name, kind in types.items()))
    assert refused(with_argument(source, "Table", cell.column, check, "c"), frame) == {proposal.name: ["K119"]}


def refused(source: str, frame: pl.DataFrame) -> dict[str, list[str]]:
    module: dict[str, Any] = {"__name__": "proposed"}
    exec(compile(source, "proposed.py", "exec"), module)
    rows = validate(frame, module["Table"]).quarantined.explode("_rules")
    return {str(name): part["id"].to_list() for (name,), part in rows.group_by("_rules")}


def dependent(wrong: str) -> pl.DataFrame:
    towns = [number % 12 for number in range(120)]
    names, counties = [f"Town {town}" for town in towns], [f"County {town}" for town in towns]
    return table(zip=[str(10000 + town) for town in towns], town=last(names, wrong), county=counties)


def test_a_broken_dependency_becomes_a_rule_of_each_row() -> None:
    frame = dependent("Town 3")
    cell, proposal = proposed(frame)
    assert (cell.kind, cell.column, cell.expected, proposal.breaks) == ("broken_dependency", "town", "Town 11", 1)
    source = SOURCE.format(columns="zip: str = Field()\n    town: str = Field()\n    county: str = Field()")
    edited = with_method(source, "Table", proposal.method, "c")
    assert refused(edited, frame) == {proposal.name: ["K119"]}


def test_types_of_the_contract_are_those_of_the_rule() -> None:
    class Places(Contract):
        id: str = Field()
        zip: int = Field()
        town: str = Field()
        county: str = Field()

    frame = dependent("Town 3").drop("county")
    cell = next(cell for cell in suggest(frame, unmask=True).cells if cell.row == 120)
    proposal = rule_proposal(frame, Places, cell, {})
    assert '(pl.col("zip") == 1' in proposal.method[-1]


def test_personal_data_is_never_quoted() -> None:
    frame = table(town=last(TOWNS, "Mobxle"))
    with pytest.raises(AssayError, match=r"town holds personal data \(name\)"):
        proposed(frame, town="name")
    with pytest.raises(AssayError, match="zip holds personal data"):
        proposed(dependent("Town 3").drop("county").with_columns(zip="zip"), zip="name", town=None)
    mails = table(mail=last([f"m{number % 3}@example.org" for number in range(120)], "m1@exxmple.org"))
    with pytest.raises(AssayError, match="would quote"):
        proposed(mails)


def test_what_the_contract_says_already_is_no_rule() -> None:
    class Amounts(Contract):
        id: str = Field()
        amount: float = Field()

    frame = table(amount=last([str(number % 9) for number in range(120)], "N/A"))
    with pytest.raises(AssayError, match="refuses such texts already"):
        proposed(frame, Amounts)
    with pytest.raises(AssayError, match="breaks not_null already"):
        proposed(table(town=last(TOWNS, None)), None)
    with pytest.raises(AssayError, match="does not declare town"):
        proposed(table(town=last(TOWNS, "Mobxle")), Amounts)


HOSTILE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            '__import__("os").system("false")',
            '")) or __import__("os").abort() #',
            "1) | exit(",
            "007",
            "1_0",
            "-5",
            "1e400",
            "nan",
            "-inf",
            "0x10",
            "9" * 400,
            "\\",
            '\\"',
            "a\u2028b\nc\x0c",
            "{x}",
            '"""',
            "'\"",
        ]
    ),
)
FORMS = """
import polars as pl

from assay.checks import Contract, Field, rule


class Table(Contract):
    zip: {kind} = Field()
    town: str = Field()
"""


def without_literals(source: str) -> str:
    """The tree of a source, in which all literals are alike."""

    class Same(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant(None)

        def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
            made = self.generic_visit(node)
            assert isinstance(made, ast.UnaryOp)
            return made.operand if isinstance(made.operand, ast.Constant) else made

    return ast.dump(Same().visit(ast.parse(source)))


def contract_of(kind: str) -> type[Contract]:
    module: dict[str, Any] = {"__name__": "forms"}
    exec(compile(FORMS.format(kind=kind), "forms.py", "exec"), module)
    return module["Table"]


TABLES = {kind: contract_of(kind) for kind in ("str", "int", "float")}


def edited_for(kind: str, zip_: str, expected: str, reason: str) -> str:
    frame = pl.DataFrame({"zip": [zip_, "2"], "town": ["wrong", "right"]})
    cell = Suggestion("abcdef012345", 1, {}, "town", "wrong", expected, "broken_dependency", "", 0.9, given=("zip",))
    method = rule_proposal(frame, TABLES[kind], cell, {}).method
    return with_method(FORMS.format(kind=kind), "Table", method, reason)


@settings(max_examples=300 if SOAK else 100, deadline=None)
@given(kind=st.sampled_from(["str", "int", "float"]), zip_=HOSTILE, expected=HOSTILE, reason=HOSTILE)
def test_no_value_is_more_than_a_literal(kind: str, zip_: str, expected: str, reason: str) -> None:
    try:
        source = edited_for(kind, zip_, expected, reason)
    except AssayError:
        return
    assert without_literals(source) == without_literals(edited_for(kind, "1", "right", "typo"))
    literals = {repr(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert repr(expected) in literals
    if kind == "str":
        assert repr(zip_) in literals


@settings(max_examples=300 if SOAK else 20, deadline=None)
@given(value=HOSTILE.filter(bool), other=HOSTILE.filter(bool), reason=HOSTILE)
def test_no_text_is_more_than_a_literal(value: str, other: str, reason: str) -> None:
    frame = pl.DataFrame({"town": [value, *[other] * 40, *["right"] * 40]})
    cell = Suggestion("abcdef012345", 1, {}, "town", value, None, "odd_character", "", 0.9)
    try:
        argument = rule_proposal(frame, TABLES["str"], cell, {}).argument
    except AssayError:
        return
    assert argument is not None
    source = with_argument(FORMS.format(kind="str"), "Table", "town", argument, reason)
    benign = with_argument(FORMS.format(kind="str"), "Table", "town", 'notin=["x"]', "typo")
    assert without_literals(source) == without_literals(benign)
    assert repr(value) in {repr(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize(
    ("kind", "text", "written"), [("int", "007", "7"), ("float", " 1e3", "1000.0"), ("int", "-5", "-5")]
)
def test_a_number_is_written_as_it_is_read(kind: str, text: str, written: str) -> None:
    assert f'(pl.col("zip") == {written})' in edited_for(kind, text, "right", "typo")


@pytest.mark.parametrize(
    ("kind", "text"), [("int", "1.5"), ("int", "9" * 30), ("float", "nan"), ("float", "1e999"), ("int", "f()")]
)
def test_what_is_no_number_of_the_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(AssayError, match=r"zip is declared as .*no such number"):
        edited_for(kind, text, "right", "typo")
