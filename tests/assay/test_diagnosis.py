"""What `assay doctor` says about errors that are not Assay's own: the kind, the next step, and no secret."""

import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

import assay
from assay.diagnosis import Symptom, diagnose, explained

CLIENTS = """
from assay import Contract, Field, Rows, Source, Timestamp

class Clients(Contract):
    client: str = Field(key=True)
    at: Timestamp = Field()

clients = Source(
    name="clients", reader=Rows("clients", cursor="at", connection="crm"), contract=Clients, key=("client",), event_time="at"
)
"""


def lineage_of(store: assay.Store) -> Symptom:
    return next(item for item in diagnose(store) if item.what == "lineage store")


def test_a_database_that_is_down_is_named_so(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path, lineage_db="postgresql://assay:s3cret@127.0.0.1:1/lineage")
    symptom = lineage_of(store)
    assert not symptom.ok
    assert symptom.detail == (
        "The database cannot be reached. Next: start it, or correct the host and port in ASSAY_LINEAGE_DB."
    )


def test_a_database_file_that_is_no_database_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "lineage.db").write_bytes(b"not a database, but long enough to be read as the head of one" * 20)
    assert lineage_of(assay.open(home=tmp_path)).detail.startswith("The database file is damaged. Next: move it away")


def test_a_folder_that_may_not_be_written_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    symptom = lineage_of(assay.open(home=tmp_path / "home"))
    assert not symptom.ok
    assert "ASSAY_HOME" in symptom.detail or "ASSAY_*" in symptom.detail


def test_what_an_upstream_lacks_is_said_of_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.assets.declarations import declarations

    (tmp_path / "pyproject.toml").write_text('[tool.assay]\nname = "slots"\ndomains = ["slots"]\n')
    (tmp_path / "slots").mkdir()
    changes = CLIENTS.replace('cursor="at", connection="crm"', 'connection="crm", mode="changes", slot="mine"')
    (tmp_path / "slots" / "clients.py").write_text(changes)
    (tmp_path / "slots" / "others.py").write_text(changes.replace("clients", "others"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ASSAY_CONNECTIONS__CRM__URL", "postgresql://u:s3cret@127.0.0.1:1/crm")
    declarations.cache_clear()
    try:
        upstreams = next(item for item in diagnose(assay.open(home=tmp_path / "home")) if item.what == "upstreams")
    finally:
        declarations.cache_clear()
    assert not upstreams.ok
    assert upstreams.detail.count("does not answer") == 2
    assert "table clients" in upstreams.detail
    assert "table others" in upstreams.detail
    assert "s3cret" not in upstreams.detail


def test_a_misspelt_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> Symptom:
        return next(item for item in diagnose(assay.open(home=tmp_path)) if item.what == "settings")

    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", "sqlite:///secret.db")
    assert settings().ok
    assert "secret" not in settings().detail
    monkeypatch.setenv("ASSAY_PUSH_TOKENS__ORDERS", "s3cret")
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__OPTIONS__AWS_REGION", "s3cret")
    assert settings().ok, settings().detail
    monkeypatch.setenv("ASSAY_LAKEE", "s3cret")
    assert settings() == Symptom(
        "settings",
        False,
        "Assay has no setting ASSAY_LAKEE, which the environment sets, and ignores it. Did you mean 'ASSAY_LAKE'? Correct or "
        "unset it.",
    )


def test_what_is_set_is_named_with_its_place_and_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(what: str = "settings") -> Symptom:
        return next(item for item in diagnose(assay.open()) if item.what == what)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n[tool.assay]\ndomains = ["shop_of_sets"]\n'
    )
    (tmp_path / "shop_of_sets").mkdir()
    (tmp_path / "shop_of_sets" / "__init__.py").write_text(CLIENTS)
    monkeypatch.syspath_prepend(tmp_path)
    assert found().detail == "all defaults"
    lacks = found("connections")
    assert not lacks.ok
    assert lacks.detail.startswith(
        "clients cannot be read. There is no connection 'crm': set ASSAY_CONNECTIONS__CRM__URL"
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "assay_connections__crm__url").write_text("postgresql://u:s3cret@127.0.0.1:1/crm")
    (tmp_path / ".env").write_text("ASSAY_HISTORY_DAYS=31\nASSAY_ACTOR=s3cret\nOTHER=s3cret\n")
    monkeypatch.setenv("ASSAY_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("ASSAY_HISTORY_DAYS", "32")
    assert found().detail == (
        f"ASSAY_HISTORY_DAYS, ASSAY_SECRETS_DIR from the environment; ASSAY_ACTOR from {tmp_path / '.env'}; "
        f"ASSAY_CONNECTIONS__CRM__URL from ASSAY_SECRETS_DIR={tmp_path / 'secrets'}"
    )
    assert found("connections") == Symptom("connections", True, "crm; no source lacks one")
    (tmp_path / ".env").write_text("ASSAY_HISTORY_DAY=31\n")
    assert found().detail.startswith(f"Assay has no setting ASSAY_HISTORY_DAY, which {tmp_path / '.env'} sets, and")


def database_error(text: str) -> SQLAlchemyError:
    return sa.exc.OperationalError("SELECT secret", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"),
            "torch is not installed.*'assay\\[embeddings\\]'",
        ),
        (
            ModuleNotFoundError("No module named 'flights'", name="flights"),
            "flights is not installed.*pip install flights",
        ),
        (PermissionError(errno.EACCES, "denied", "/srv/lake"), "may not read or write /srv/lake.*ASSAY_HOME"),
        (OSError(errno.EROFS, "read-only", "/srv/lake"), "may not read or write /srv/lake"),
        (OSError(errno.ENOSPC, "full"), "The disk is full. Next: free some space"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "A server does not answer"),
        (NotADirectoryError(errno.ENOTDIR, "no folder", "/srv/x"), "The system refused /srv/x"),
        (database_error("database is locked"), "locked by another process"),
        (database_error("unable to open database file"), "cannot be opened or written"),
        (database_error('password authentication failed for user "assay"'), "refuses this login"),
        (ValueError("s3cret"), "Unexpected ValueError"),
    ],
)
def test_each_kind_has_its_next_step(problem: Exception, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(explained(problem))


def test_the_place_of_an_unexpected_error_is_named_and_its_text_is_not() -> None:
    try:
        raise ValueError("postgresql://assay:s3cret@host/db")
    except ValueError as problem:
        said = explained(problem)
    assert "Unexpected ValueError at test_diagnosis.py:" in said
    assert "s3cret" not in said


def test_a_contract_that_judged_batches_and_was_changed_is_named(tmp_path: Path) -> None:
    def contracts() -> Symptom:
        return next(item for item in diagnose(assay.open(home=tmp_path)) if item.what == "contracts")

    assert contracts().ok
    folder = tmp_path / "lake" / "_contracts"
    folder.mkdir(parents=True)
    (folder / f"{'0' * 64}.json").write_text("{}")
    found = contracts()
    assert not found.ok and f"{'0' * 64}.json was changed: restore it from a backup." in found.detail
