"""Connections by name: where their addresses come from."""

from pathlib import Path

import pytest

import assay
from assay.assets.databases.rows import Rows, connection_url
from assay.settings import Settings


@pytest.mark.parametrize("folder", [".", "tests/deep"])
def test_a_relative_sqlite_path_begins_at_the_projects_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    (tmp_path / ".env").write_text("ASSAY_CONNECTIONS__ERP__URL=sqlite:///ops.sqlite\n")
    (tmp_path / "tests" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    assert connection_url(assay.open().settings, "erp") == f"sqlite:///{tmp_path / 'ops.sqlite'}"


@pytest.mark.parametrize(
    "url", ["sqlite:////srv/ops.sqlite", "sqlite:///:memory:", "postgresql://host/shop", "sqlite://"]
)
def test_other_addresses_stay_as_they_are(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", url)
    assert connection_url(assay.open().settings, "erp") == url


def test_a_setting_that_is_missing_or_leads_nowhere_is_known_without_asking_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ACTOR", "nobody")
    setting, reader = "ASSAY_CONNECTIONS__ERP__URL", Rows("orders", cursor="at", connection="erp")
    assert reader.lacks(Settings()).startswith(f"There is no connection 'erp': set {setting} to its SQLAlchemy URL")
    for url, words in (
        ("no url: s3cret", f"{setting} cannot be parsed"),
        ("sqlite:///ops.db", f"there is no such file. Correct {setting}"),
        ("oracle+missing://u:s3cret@host/x", "there is no driver for 'oracle+missing'"),
        ("postgresql://u:s3cret@127.0.0.1:1/shop", ""),
    ):
        monkeypatch.setenv(setting, url)
        lack = reader.lacks(Settings())
        assert words in lack if words else not lack
        assert "s3cret" not in lack
    monkeypatch.delenv(setting)
    default = Rows("orders", cursor="at", connection="erp", default=lambda settings: "sqlite:///ops.db")
    assert default.lacks(Settings()) == "", "it may come"
    monkeypatch.setenv(setting, "sqlite:///ops.db")
    assert "there is no such file" in default.lacks(Settings())
