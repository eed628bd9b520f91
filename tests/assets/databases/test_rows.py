"""Connections by name: where their addresses come from."""

from pathlib import Path

import pytest

import assay
from assay.assets.databases.rows import connection_url


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
