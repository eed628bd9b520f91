"""A rule added to a contract's source: the rest stays as it was written."""

import ast
import random
import re
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


HEAD = "import polars as pl\nfrom assay.checks import Contract, Field, rule\n"
ONE = f"{HEAD}class Orders(Contract):\n    plain: str = Field({{}})\n"
#: Sources that are counted or written in another way than most are.
ODD = {
    "form feed": ONE.format("nullable=True").replace("class", "\x0cclass"),
    "separators of Unicode": f"# a\u2028b\x85c\nX = 'a\x1cb'\n{ONE.format('nullable=True')}",
    "letters of several bytes": "X = 'Zürich'; Y = '‘’'\n" + ONE.format("title='Straße'"),
    "Windows": ONE.format("nullable=True").replace("\n", "\r\n"),
    "old Macs": ONE.format("nullable=True").replace("\n", "\r"),
    "no end of the last line": ONE.format("nullable=True").rstrip("\n"),
    "tabs": ONE.format("nullable=True").replace("    ", "\t"),
    "brackets": ONE.format("ge=((1))"),
    "brackets and a comma": ONE.format("ge=(1) , "),
    "brackets over lines": ONE.format("title=(\n'a'  # ),\n'b'\n)  # (,\n  ,  # last\n"),
    "a comment in empty brackets": ONE.format("  # note )\n    "),
    "a continued line": ONE.format("nullable= \\\n True \\\n"),
    "a generator": ONE.format("isin=list(x for x in 'ab')"),
    "a comment behind": ONE.format("nullable=True").rstrip("\n") + "  # end, (",
    "under if": HEAD + "if True:\n  class Orders(Contract):\n    plain: str = Field()\nelse:\n  pass\n",
    "a statement behind": f"{HEAD}class Orders(Contract):\n    a: str = Field(); plain: str = Field(); b: str = Field()\n",
    "one of its name in a function": ONE.format("") + "def f():\n    class Orders: pass\n    return Orders\n",
}


@pytest.mark.parametrize("source", ODD.values(), ids=ODD.keys())
def test_sources_that_are_written_oddly_are_edited_rightly(source: str) -> None:
    wanted = ast.parse(source)
    (declared,) = [
        item
        for part in ast.walk(wanted)
        if isinstance(part, ast.ClassDef)
        for item in part.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == "plain"
    ]
    assert isinstance(declared.value, ast.Call)
    declared.value.keywords.append(ast.keyword("notin", ast.parse('["x"]', mode="eval").body))
    edited = with_argument(source, "Orders", "plain", 'notin=["x"]', "typo (jo)")
    assert ast.dump(ast.parse(edited)) == ast.dump(wanted)
    assert "# typo (jo)" in edited
    added = with_method(edited, "Orders", METHOD, "typo (jo)")
    rest = ast.parse(added)
    (holder,) = [
        part
        for part in ast.walk(rest)
        if isinstance(part, ast.ClassDef) and any(getattr(item, "name", "") == "plain_given" for item in part.body)
    ]
    holder.body.pop()
    assert ast.dump(rest) == ast.dump(wanted)
    assert set(re.findall("\r\n|\r|\n", added)) == set(re.findall("\r\n|\r|\n", source)), "the ends of lines are kept"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (f"{HEAD}class Orders(Contract): plain: str = Field()\n", "written in one line"),
        (ONE.format("") + "class Orders(Contract):\n    plain: str = Field()\n", "2 classes Orders"),
        (HEAD + "def f():\n    class Orders: pass\n", "no class Orders"),
        (f"{HEAD}class Orders(Contract): \\\n    plain: str = Field()\n", "cannot be edited surely"),
        ("class Orders(:", "not Python"),
        ('""" """; import os\nclass Orders:\n    plain: str = Field()\n', "cannot be edited surely"),
    ],
)
def test_what_cannot_be_edited_surely_is_refused(source: str, problem: str) -> None:
    with pytest.raises(AssayError, match=f"{problem}.*: add the rule to Orders by hand"):
        with_method(source, "Orders", METHOD, "typo (jo)")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (ONE.format("x for x in 'ab'"), "cannot be edited surely"),
        (ONE.format("**MORE"), "cannot be seen here"),
        (ONE.format("notin=['y'], **{'notin': ['x']}"), "cannot be seen here"),
        (ONE.format("notin=['y']"), "has notin already"),
        (ONE.format("") + "    plain: str = Field()\n", "more than once"),
        (f"{HEAD}class Orders(Contract):\n    x = 'a' \\\n'b'; plain: str = Field()\n", "cannot be edited surely"),
        (f"{HEAD}class Orders(Contract):\n    x = '''\n'''; plain: str = Field()\n", "cannot be edited surely"),
    ],
)
def test_an_argument_that_cannot_be_put_there_surely_is_refused(source: str, problem: str) -> None:
    with pytest.raises(AssayError, match=f"{problem}.*by hand") as refused:
        with_argument(source, "Orders", "plain", 'notin=["x"]', "typo (jo)")
    assert "notin=[" not in str(refused.value), "a rule may quote values"


@pytest.mark.parametrize("argument", ["ge=f()", "ge=0, le=1", "0", "ge=0)\nf(", "**{}", "ge=x"])
def test_an_argument_is_a_name_and_a_literal(argument: str) -> None:
    with pytest.raises(AssayError, match="by hand"):
        with_argument(SOURCE, "Orders", "empty", argument, "c")


def test_comments_at_the_end_of_a_class_stay_in_it() -> None:
    ended = 'version = "1.0.0"\n        # add an owner\n\n    # until then\n# of the module'
    source = SOURCE.replace('version = "1.0.0"', ended)
    edited = with_method(source, "Orders", METHOD, "typo (jo)")
    assert ended.partition("\n# of")[0] + "\n\n    # typo (jo)\n    @rule(" in edited
    assert broken(contract_of(edited), plain="x") == ["plain.given"]


def test_field_is_imported_where_the_column_had_none() -> None:
    source = "from assay.checks import Contract\n\n\nclass Orders(Contract):\n    plain: str\n\n\nAFTER = 1\n"
    assert contract_of(with_argument(source, "Orders", "plain", 'notin=["x"]', "c"))


def test_no_comment_says_more_than_a_comment() -> None:
    dice = random.Random(5)
    ends = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\u202e\ud800"
    plain = with_argument(SOURCE, "Orders", "plain", "ge=0", "c"), with_method(SOURCE, "Orders", METHOD, "c")
    for _ in range(200):
        comment = "".join(
            dice.choice([*ends, "import os", " ", '"""', "\\", "'", "# coding: utf-7"]) for _ in range(12)
        )
        made = with_argument(SOURCE, "Orders", "plain", "ge=0", comment), with_method(SOURCE, "Orders", METHOD, comment)
        for source, wanted in zip(made, plain, strict=True):
            assert ast.dump(ast.parse(source)) == ast.dump(ast.parse(wanted))
            assert not set(ends[1:]) & set(source)
            assert source.count("\n") == wanted.count("\n")
