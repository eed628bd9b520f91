"""The lake keeps what each batch was judged by: once, under its digest, before a commit names it."""

from pathlib import Path
from typing import Any

import pytest

from assay.assets.steps.step import execute
from assay.assets.stored_contracts import (
    damaged_contracts,
    keep_contract,
    looser_rules,
    may_take_more,
    stored_contract,
    stored_digests,
)
from assay.checks import Contract, Field, contract_info
from assay.checks.contract.contract import contract_text
from assay.errors import AssayError
from assay.features.storage.storage import Storage, open_storage
from assay.features.tables import transaction


class Narrow(Contract):
    channel: str = Field(isin=["chat", "é"])


class Wide(Contract):
    channel: str = Field(isin=["chat", "é", "phone"])


class Other(Contract):
    number: int = Field()


DIGEST = contract_info(Narrow).digest


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "lake")
    return open_storage(f"s3://lake/{tmp_path.name}", request.getfixturevalue("s3_options"))


def test_a_declaration_is_kept_once_and_read_by_its_digest(storage: Storage) -> None:
    assert stored_digests(storage) == []
    assert stored_contract(storage, DIGEST) is None
    keep_contract(storage, Narrow)
    kept = storage.modified(f"_contracts/{DIGEST}.json")
    keep_contract(storage, Narrow)
    assert storage.modified(f"_contracts/{DIGEST}.json") == kept
    assert stored_digests(storage) == [DIGEST]
    assert stored_contract(storage, DIGEST) == contract_text(Narrow)


def test_only_what_takes_more_than_an_earlier_one_asks_a_lake_further(storage: Storage) -> None:
    assert not may_take_more(storage, Wide)
    for contract in (Narrow, Other, Wide):
        keep_contract(storage, contract)
    assert looser_rules(storage, DIGEST, Wide) == {"channel.isin"}
    assert looser_rules(storage, DIGEST, Narrow) == frozenset()
    assert looser_rules(storage, contract_info(Wide).digest, Narrow) is None
    assert looser_rules(storage, "0" * 64, Wide) is None
    assert may_take_more(storage, Wide) and not may_take_more(storage, Narrow)


def test_one_that_was_changed_is_refused(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "lake")
    keep_contract(storage, Narrow)
    file = tmp_path / "lake" / "_contracts" / f"{DIGEST}.json"
    file.write_text(file.read_text().replace("chat", "mail"))
    with pytest.raises(AssayError, match="was changed: restore it from a backup"):
        stored_contract(storage, DIGEST)
    assert looser_rules(storage, DIGEST, Wide) is None


def test_what_is_damaged_or_foreign_is_named_with_what_to_do(storage: Storage) -> None:
    assert damaged_contracts(storage) == []
    for contract in (Narrow, Wide, Other):
        keep_contract(storage, contract)
    assert stored_contract(storage, DIGEST) and damaged_contracts(storage) == []
    content = contract_text(Narrow).encode()
    storage.put(f"_contracts/{DIGEST}.json", content.replace(b"chat", b"mail"))
    storage.put("_contracts/notes.json", b"{}")
    damaged, foreign = sorted(damaged_contracts(storage), key=lambda text: "notes" in text)
    assert (
        f"{DIGEST}.json was changed: restore it from a backup. Without it" in damaged and "delete the file" in damaged
    )
    assert "_contracts/notes.json is no declaration that Assay keeps. Next: move it away." in foreign
    assert len(stored_digests(storage)) == 3
    for name in (f"{DIGEST}.json", "notes.json"):
        storage.delete(f"_contracts/{name}")
    keep_contract(storage, Narrow)
    assert damaged_contracts(storage) == [], "as it says"


def test_it_is_there_before_a_commit_names_it(new_shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed between the two leaves a declaration that nobody names; never a name without one."""
    real, seen = transaction.publish, list[tuple[str, list[str]]]()

    def watched(lake: Any, staged: Any, *given: Any) -> Any:
        seen.append((staged.table, stored_digests(lake.storage)))
        return real(lake, staged, *given)

    monkeypatch.setattr(transaction, "publish", watched)
    new_shop.drop(1, new_shop.csv(1, 1.0))
    raw, clean = new_shop.steps[:2]
    execute(raw, new_shop.env, "2026-03-01")
    execute(clean, new_shop.env, "2026-03-01")
    digest = contract_info(new_shop.package.orders.Orders).digest
    assert [kept for table, kept in seen if table == "clean/orders"] == [[digest]]
