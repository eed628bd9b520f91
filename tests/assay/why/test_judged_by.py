"""Rules in words, and personal columns, from the declarations that the lake keeps."""

import json

import pytest

from assay.assets.stored_contracts import keep_contract
from assay.checks import Contract, Field, Timestamp, contract_info, contract_rules
from assay.checks.contract.contract import contract_text
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.lake import Lake
from assay.why.judged_by import declared_by, meaning, personal_classes


class Orders(Contract):
    order_id: str = Field(key=True, str_matches=r"O[0-9]+$")
    email: str = Field(pii="email", nullable=True)
    amount: float = Field(ge=0, le=500)
    state: str = Field(isin=["new", "paid"])
    code: str = Field(str_length={"min_value": 2, "max_value": 4})
    share: float = Field(in_range={"min_value": 0, "max_value": 1})
    at: Timestamp = Field()

    class Config(Contract.Config):
        version = "1"


DECLARED = json.loads(contract_text(Orders))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("amount.ge", "amount is at least 0"),
        ("amount.le", "amount is at most 500"),
        ("state.isin", "state is one of the agreed values (new, paid)"),
        ("code.length", "code has the agreed length (from 2 up to 4)"),
        ("share.in_range", "share lies in the agreed range (from 0 up to 1)"),
        ("order_id.unique", "order_id occurs once"),
        ("order_id.matches", "order_id has the agreed form"),
        ("volume", "the day has about as many rows as usual"),
        ("paid_has_date", "the project's own rule paid_has_date holds"),
        ("amount.new_kind", "the project's own rule amount.new_kind holds"),
    ],
)
def test_a_rule_in_words(rule: str, words: str) -> None:
    assert meaning(rule, DECLARED) == words


def test_without_the_declaration_a_rule_is_named_without_its_values() -> None:
    assert meaning("amount.ge", None) == "amount is at least the agreed least"
    assert meaning("state.isin", None) == "state is one of the agreed values"


def test_every_rule_of_a_contract_has_words() -> None:
    assert [rule.name for rule in contract_rules(Orders) if "own rule" in meaning(rule.name, DECLARED)] == []


def test_a_column_is_personal_where_any_contract_says_so() -> None:
    classes = personal_classes([DECLARED, None])
    assert classes["email"] == "email"
    assert classes["amount"] is None
    assert "unheard_of" not in classes
    later = json.loads(contract_text(Orders).replace("pii=None", "pii='free_text'"))
    assert personal_classes([DECLARED, later])["amount"] == personal_classes([later, DECLARED])["amount"] == "free_text"
    broken = json.loads(contract_text(Orders))
    broken["columns"][2][6] = "not source text ("
    assert personal_classes([broken])["amount"] == "free_text", "what cannot be read is masked most"


def test_the_declaration_is_that_of_the_commit(lake: Lake) -> None:
    keep_contract(lake.storage, Orders)

    def commit(digest: str) -> Commit:
        from datetime import UTC, datetime

        return Commit("clean/orders", 1, datetime(2026, 9, 1, tzinfo=UTC), "WRITE", contract={"digest": digest})

    assert declared_by(lake.storage, commit(contract_info(Orders).digest)) == DECLARED
    assert declared_by(lake.storage, commit("0" * 64)) is None
    assert declared_by(lake.storage, None) is None
