"""Settings: from the environment, from arguments, with defaults that touch nothing; secrets that print as stars."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.assets.databases.rows import connection_url
from assay.errors import AssayError
from assay.settings import Settings


def test_defaults_lie_under_one_folder() -> None:
    settings = Settings()
    assert (settings.lake_uri, settings.landing_path) == ("var/lake", Path("var/landing"))
    assert settings.lineage_url == f"sqlite:///{Path('var/lineage.db').resolve()}"
    assert not Path("var").exists() or Path("var").is_dir()


def test_the_environment_decides_and_arguments_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_HOME", "/somewhere")
    monkeypatch.setenv("ASSAY_STORAGE_OPTIONS", '{"AWS_REGION": "eu-north-1"}')
    assert Settings().lake_uri == "/somewhere/lake"
    assert Settings().lake_options == {"AWS_REGION": "eu-north-1"}
    monkeypatch.setenv("ASSAY_LAKE", "s3://bucket/lake")
    assert assay.open().settings.lake_uri == "s3://bucket/lake"
    assert assay.open(lake=tmp_path).settings.lake_uri == str(tmp_path)
    assert assay.open(home=tmp_path).settings.landing_path == tmp_path / "landing"


def test_secrets_print_as_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_LINEAGE_DB", "ASSAY_CONNECTIONS__ERP__URL", "ASSAY_OPENLINEAGE_URL"):
        monkeypatch.setenv(name, "postgresql://user:s3cret@host/db")
    monkeypatch.setenv("ASSAY_OPENLINEAGE_TRANSPORT", '{"type": "http", "auth": {"apiKey": "s3cret"}}')
    monkeypatch.setenv("ASSAY_STORAGE_OPTIONS", '{"AWS_SECRET_ACCESS_KEY": "s3cret"}')
    store = assay.open()
    assert "s3cret" not in f"{store.settings!r} {store.settings} {store!r} {store.settings.model_dump()}"
    assert repr(store) == f"Store(lake='var/lake', actor={store.actor!r})"
    assert "s3cret" in connection_url(store.settings, "erp")
    assert "apiKey" in store.settings.forward_to


def test_opening_creates_and_imports_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, assay; store = assay.open(home='there'); store.lake; "
        "print([name for name in ('dagster', 'torch', 'sqlalchemy', 'pandera') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_a_connection_is_set_in_the_environment_in_the_projects_env_or_in_a_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, project = tmp_path / "secrets", tmp_path / "project"
    secrets.mkdir()
    project.mkdir()
    (project / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    monkeypatch.chdir(project)
    with pytest.raises(AssayError, match=r"no connection 'erp': set ASSAY_CONNECTIONS__ERP__URL .* SQLAlchemy URL"):
        connection_url(Settings(), "erp")
    (secrets / "ASSAY_CONNECTIONS__ERP__URL").write_text("sqlite:////srv/secret-file.db\n")
    (secrets / "README").write_text("not a setting")
    monkeypatch.setenv("ASSAY_SECRETS_DIR", str(secrets))
    assert connection_url(Settings(), "erp") == "sqlite:////srv/secret-file.db"
    (project / ".env").write_text(
        "ASSAY_CONNECTIONS__ERP__URL=sqlite:////srv/env-file.db\nASSAY_CONNECTIONS__CRM=sqlite:////srv/c.db\n"
    )
    assert connection_url(Settings(), "erp") == "sqlite:////srv/env-file.db"
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", "sqlite:////srv/environment.db")
    assert (connection_url(Settings(), "ERP"), connection_url(Settings(), "crm")) == (
        "sqlite:////srv/environment.db",
        "sqlite:////srv/c.db",
    )
    with pytest.raises(AssayError, match=r"no connection 'web'.*There are: crm, erp\."):
        connection_url(Settings(), "web")


def test_a_connection_that_is_written_wrongly_does_not_print_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__ADDRESS", "postgresql://user:s3cret@host/db")
    with pytest.raises(ValueError, match=r"connections\.erp\.url") as caught:
        Settings()
    assert "s3cret" not in str(caught.value)


def test_the_actor_is_who_is_named_or_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_ACTOR", raising=False)
    monkeypatch.setenv("LOGNAME", "grace")
    assert assay.open(home=tmp_path).actor == "grace"
    monkeypatch.setenv("ASSAY_ACTOR", "a service")
    assert assay.open(home=tmp_path).actor == "a service"
    store = assay.open(home=tmp_path, actor="ada")
    with store.transaction("clean/t") as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    (created, commit) = store.table("clean/t").history()
    assert (created.actor, commit.actor) == ("", "ada")
    (run,) = {item.id for item in store.lineage_store.runs()}
    told = [event.data["run"]["facets"]["assay_actor"]["actor"] for event in store.lineage_store.events(run)]
    assert told == ["ada", "ada"]
    store.recorder.close()


def test_a_user_without_a_name_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_ACTOR", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    assert assay.open(home=tmp_path).actor == ""
