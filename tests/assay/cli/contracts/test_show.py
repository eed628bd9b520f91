"""`assay contract show`: what a contract demanded by which a batch was judged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.assets.stored_contracts import keep_contract, stored_digests
from assay.checks import Contract, Field, contract_info
from assay.store import open_store

FIRST = "2026-09-23"


def test_a_batch_names_its_judge_and_the_lake_what_it_demanded(desk: Callable[..., Any]) -> None:
    judge = desk("contract", "show", "clean/tickets", "--partition", FIRST, "--json").data
    assert judge["declaration"]["name"] == "Tickets"
    assert judge == desk("contract", "show", "clean/tickets", "--json").data, "without a partition: the newest commit"
    assert judge == desk("contract", "show", judge["digest"][:10], "--json").data
    commit = open_store().table("clean/tickets").at().writer_of(FIRST)
    assert commit is not None and commit.contract is not None and commit.contract["digest"] == judge["digest"]
    listed = desk("tables", "clean/tickets", "--json").data
    assert {one["contract"]["digest"] for one in listed if "contract" in one} == {judge["digest"]}
    shown = desk("contract", "show", judge["digest"]).out
    assert shown.startswith(f"Tickets 1.0.0\ndigest {judge['digest']}\n")
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert " ".join(lines["ticket_id"].split()) == r"ticket_id str no key; matches ^T\d{7}$ Number of the ticket."
    assert " ".join(lines["text"].split()) == (
        "text str no free_text not_empty; no_email; no_card_number What the customer wrote."
    )
    assert lines["text"].index("free_text") == lines["column"].index("PII"), "columns are aligned"
    assert "created_at.not_after_delivery" in shown


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("f" * 64, "does not keep the declaration"),
        ("raw/tickets", "was judged by no contract"),
        ("clean/ticket", "clean/ticket"),
        ("clean/tickets --partition 2026-10-09", "2026-10-09 was judged by no contract"),
    ],
)
def test_what_is_not_there_is_refused(desk: Callable[..., Any], which: str, said: str) -> None:
    answer = desk("contract", "show", *which.split())
    assert (answer.code, said in " ".join(answer.err.split())) == (1, True)


def test_a_beginning_that_fits_several_is_refused(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "var"))
    storage = open_store().lake.storage
    for number in range(17):  # of these two begin with the same digit
        keep_contract(storage, type("Orders", (Contract,), {"__annotations__": {f"c{number}": int}}))

    class Notes(Contract):
        text: str = Field(isin=["é"], nullable=True)

    keep_contract(storage, Notes)
    digest = contract_info(Notes).digest
    twice = next(
        one for one in (d[0] for d in stored_digests(storage)) if sum(d[0] == one for d in stored_digests(storage)) > 1
    )
    answer = cli("contract", "show", twice)
    assert (answer.code, "give more of it" in answer.err) == (1, True)
    assert cli("contract", "show", digest, "--json").data["declaration"]["columns"][0][0] == "text"
