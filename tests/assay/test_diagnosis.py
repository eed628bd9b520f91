"""What `assay doctor` says about errors that are not Assay's own: the kind, the next step, and no secret."""

import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

import assay
from assay.diagnosis import Symptom, diagnose, explained


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


def test_a_misspelt_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> Symptom:
        return next(item for item in diagnose(assay.open(home=tmp_path)) if item.what == "settings")

    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", "sqlite:///secret.db")
    assert settings().ok
    assert "secret" not in settings().detail
    monkeypatch.setenv("ASSAY_LAKEE", "s3cret")
    assert settings() == Symptom(
        "settings",
        False,
        "Assay has no setting ASSAY_LAKEE and ignores it. Did you mean 'ASSAY_LAKE'? Correct or unset it.",
    )


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
