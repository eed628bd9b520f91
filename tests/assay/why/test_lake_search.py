"""Whatever the product prints is found again: each form is taken from a small project as pages and commands print it."""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.checks import suggest
from assay.checks.suggesting.suggest import suggestion_id
from assay.cli import main
from assay.lineage.queries.search import search_all
from assay.web import create_router
from assay.why.judged_by import declared_by, meaning
from assay.why.lake_search import find_suggestion, search_lake
from tests.assay.web.reading import Page


@pytest.fixture(scope="module")
def http(bank: Any) -> Iterator[TestClient]:
    router = create_router(bank.store.lineage_store, bank.store.lake)
    with TestClient(Starlette(routes=[Mount("/", router)]), follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def printed(bank: Any) -> dict[str, tuple[str, str]]:
    """By what is printed: the text, and a part of the address that it leads to."""
    lake = bank.store.lake
    clean = lake.table("clean/transfers").at().last_commit
    decision = lake.table("releases/transfers").at().scan().collect()["decision_id"][0]
    model = lake.table("models/risk").at().scan().collect().row(0, named=True)
    raw = lake.table("raw/transfers").at()
    sha256, row, file = raw.scan().select("_source_sha256", "_row_number", "_source_file").collect().row(0)
    return {
        "a run": (clean.run_id, f"run:{clean.run_id}"),
        "the beginning of a run": (clean.run_id[:13], f"run:{clean.run_id}"),
        "the ending of a run in a trace": (f"…{clean.run_id[-12:]}", f"run:{clean.run_id}"),
        "the ending of a run": (clean.run_id[-7:], f"run:{clean.run_id}"),
        "the code of a version": (clean.code_version[:12], "/versions/clean/transfers"),
        "a version": (f"clean/transfers@{clean.version}", f"clean/transfers@{clean.version}"),
        "a snapshot's commit": (lake.table("clean/transfers").at().snapshot.commit_sha256[:12], "clean/transfers@"),
        "a contract": ("Transfers 1.0.0", "/versions/clean/transfers"),
        "a contract in a report": ("Transfers v1.0.0", "/versions/clean/transfers"),
        "the digest of a contract": (clean.contract["digest"][:12], "/versions/clean/transfers"),
        "a model": ("risk 1", "models/risk"),
        "a model by its table": ("models/risk 1", "models/risk"),
        "a model's digest": (model["sha256"][:12], "models/risk"),
        "a training set": (model["training_set"], f"training/{model['training_set']}"),
        "a decision": (decision, "/versions/releases/transfers"),
        "a row of a file": (f"{sha256[:12]}:{row}", "/impact?file="),
        "a row in a letter": (f"{file} row {row}", "/impact?file="),
        "a file": (file, "2026-03"),
        "a file's digest": (sha256[:12], "2026-03"),
    }


def test_each_printed_form_is_found_and_opened(http: TestClient, printed: dict[str, tuple[str, str]]) -> None:
    for what, (text, place) in printed.items():
        answer = http.post("/search", data={"q": text})
        if answer.headers.get("location", "").startswith("/?q="):
            answer = http.get(answer.headers["location"])
        places = [answer.headers["location"]] if answer.status_code == 303 else Page(answer.text).addresses()
        decoded = [place.replace("%3A", ":").replace("%40", "@").replace("%2F", "/") for place in places]
        assert any(place in address for address in decoded), (what, text, answer.status_code)
        if answer.status_code != 303:
            assert what in ("a row of a file", "a row in a letter", "a file's digest", "a snapshot's commit"), what


def test_a_rule_is_found_by_what_it_demands(http: TestClient, bank: Any) -> None:
    commit = bank.store.lake.table("clean/transfers").at().last_commit
    declared = declared_by(bank.store.lake.storage, commit)
    for rule in ("amount.ge", "channel.isin", "transfer_id.unique"):
        (hit,) = [hit for hit in search_lake(bank.store.lake, meaning(rule, declared)) if hit.title == rule]
        assert (hit.kind, hit.table) == ("rule", "clean/transfers")
    page = Page(http.get("/", params={"q": "amount is at least"}).text)
    assert "amount.ge" in page.text and "amount is at least 0" in page.text
    assert search_lake(bank.store.lake, "amount is nowhere") == []
    assert search_lake(bank.store.lake, "amount") == [], "one word is no sentence"


def test_suggestions_and_decisions_are_found_by_their_ids(http: TestClient, bank: Any) -> None:
    lake = bank.store.lake
    sha256, row = bank.store.table("raw/transfers").scan().select("_source_sha256", "_row_number").collect().row(-1)
    identity = suggestion_id("channel", f"{sha256[:12]}:{row}")
    (hit,) = find_suggestion(lake, identity)
    assert (hit.table, hit.about) == ("raw/transfers", f"column channel of row {sha256[:12]}:{row}")
    answer = http.post("/search", data={"q": identity})
    assert (answer.status_code, answer.headers.get("location")) == (303, "/versions/raw/transfers")
    assert find_suggestion(lake, "0" * 10) == [] and find_suggestion(lake, "transfers") == []
    decisions = lake.table("releases/transfers").at().scan().collect()["decision_id"].unique().to_list()
    assert len(decisions) == 2
    for identity in decisions:
        (hit,) = search_lake(lake, identity[:8])
        assert (hit.title, hit.about) == (identity, "release of 1 row of transfers")


def test_the_id_of_a_suggestion_is_worked_out_of_column_and_row() -> None:
    rows = {"city": ["Amsterdam"] * 200 + ["Rotterdam"] * 200 + ["Amsterdqm"]}
    links = {"_source_sha256": ["f0" * 32] * 401, "_row_number": range(1, 402)}
    (cell,) = suggest(pl.DataFrame(rows | links)).cells
    assert cell.id == suggestion_id("city", str(cell.source)) and cell.source == "f0f0f0f0f0f0:401"


def test_nothing_else_is_found(bank: Any) -> None:
    for text in ("", "ffffff", "f" * 64, "risk 99", "nobody 1", "no such sentence", "…", "…ab", "abc…def0", "x:17"):
        assert search_lake(bank.store.lake, text) == [], text
        assert not [hit for hit in search_all(bank.store.lineage_store, text).hits if hit.kind in ("run", "row")], text


def test_the_command_finds_the_same(
    bank: Any, printed: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    def search(*arguments: str) -> list[dict[str, Any]]:
        with pytest.raises(SystemExit) as ended:
            main(["lineage", "search", *arguments, "--json"])
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    for what, (text, _) in printed.items():
        assert search(text), what

    def kinds(text: str) -> set[str]:
        return {each["kind"] for each in search(text)}

    assert kinds(printed["a decision"][0]) == {"decision"}
    assert kinds(printed["a row of a file"][0]) == {"row"}
    assert kinds("risk 1") >= {"model"}
    assert [each["kind"] for each in search("Transfers 1.0.0", "--kind", "contract")] == ["contract"]
