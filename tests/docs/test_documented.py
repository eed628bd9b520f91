"""Rules, HTTP routes and files of the repository are documented; prose has none of the words that we do not use."""

import dataclasses
import re
from pathlib import Path

from starlette.routing import Route
from starlette.testclient import TestClient

import assay
from assay.checks import READER_DEFECTS, Contract, Field, RowCount, contract_rules
from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.field import TEXT_RULES, FieldOptions
from assay.checks.contract.written_form import OPTIONS as FORM_OPTIONS
from assay.serve import create_app
from assay.web import create_router

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# House words: people-words for machines, and sentences that German would form.
DIALECT = re.compile(
    r"\b(?:told(?! (?:otherwise|apart))|unsaid|sayings?|that is none|what is not said|how-manieth|and nothing is said)\b"
    r"|\b(?:model|models|event|events|run|commit|view|table|it|nobody|who) (?:has |have )?said\b",
    re.IGNORECASE,
)
# Documents of before, with how many such places they still have. These numbers only get smaller.
STILL: dict[str, int] = {}


class Everything(Contract):
    """A contract with every kind of rule that the platform gives a name to."""

    a: str = Field(
        key=True,
        exists_in="t",
        canonical_unique="b",
        format="email",
        normal="spaces",
        **dict.fromkeys(TEXT_RULES, True),
    )
    b: float = Field(nullable=True, sequence="increasing", required_if={"a": ["x"]})
    c: float = Field()

    class Config(Contract.Config):
        row_count = RowCount("t")


def cells(document: str) -> set[str]:
    """What stands in backticks in the tables of a document."""
    rows = [line for line in (ROOT / "docs" / document).read_text().splitlines() if line.startswith("|")]
    return {text for row in rows for text in re.findall(r"`([^`]+)`", row)}


def test_every_rule_is_documented() -> None:
    kinds = {rule.name.rpartition(".")[2] for rule in contract_rules(Everything)}
    assert {"dtype", "not_null", "not_nan", "unique", "exists", "sequence", "row_count"} <= kinds
    kinds |= {name for name, _ in BUILTINS.values()} | {f"row.{defect}" for defect in READER_DEFECTS}
    assert kinds - cells("contracts.md") == set()


def test_every_option_of_a_field_is_documented() -> None:
    text = (ROOT / "docs" / "contracts.md").read_text()
    options = {field.name for field in dataclasses.fields(FieldOptions)}
    options |= set(FORM_OPTIONS)
    assert {name for name in options if not re.search(rf"\b{name}\b", text)} == set()


def test_every_http_route_is_documented(tmp_path: Path) -> None:
    store = assay.open(lake=tmp_path / "lake", home=tmp_path)
    with TestClient(create_app(store), base_url="http://127.0.0.1") as client:
        paths = client.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    for route in create_router(store.lineage_store, store.lake).routes:
        assert isinstance(route, Route)
        path = re.sub(r":\w+\}", "}", route.path)
        routes |= {f"{method} {path}" for method in route.methods or () if method != "HEAD"}
    routes -= {"GET /{path}"}  # the page for what is not there
    documented = {text for text in cells("lineage.md") if text.startswith(("GET ", "POST "))}
    assert documented == routes
    store.lineage_store.close()


def test_no_line_of_dialect() -> None:
    found = {}
    for document in DOCUMENTS:
        prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        if document.name != "api.md" and (places := DIALECT.findall(prose)):
            found[document.name] = len(places)
    assert found == STILL


def test_dialect_is_seen() -> None:
    assert DIALECT.search("Raises AssayError for a URL that is none.")
    assert DIALECT.search("what the model said about a customer")
    assert not DIALECT.search("It says which rows broke a rule.")


def test_what_people_expect_in_a_repository_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "LICENSE"):
        assert (ROOT / name).read_text().strip()
        assert f"]({name})" in readme
    assert (ROOT / ".pre-commit-config.yaml").exists()


def test_every_word_of_the_glossary_is_explained_once_and_in_order() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]
    assert len(words) >= 25
    assert words == sorted(set(words))


def test_the_architecture_names_packages_that_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in re.findall(r"`((?:assay|assets|checks|features|lineage|tests)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path
    table = text.partition("## Layers")[2].partition("## Life")[0]
    for folder in ("assets", "checks", "features", "lineage"):
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{folder}/`")]
        packages = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        assert packages == set(re.findall(r"`(\w+)/`", row)) - {folder}
