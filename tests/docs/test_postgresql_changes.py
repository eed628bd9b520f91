"""docs/upstreams/postgresql-changes.md, followed on a real server: its SQL, its declaration, its commands."""

import re
import shlex
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "upstreams" / "postgresql-changes.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("dagster_home")
def test_the_page_does_what_it_says(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.cli import cli

    (tmp_path / "shop" / "crm").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\nname = "shop"\ndomains = ["shop.crm"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    url = postgres_url.replace("postgres:@", "assay:@")
    for name, value in {"HOME": tmp_path / "var", "CONNECTIONS__CRM__URL": url, "ACTOR": "reader"}.items():
        monkeypatch.setenv(f"ASSAY_{name}", str(value))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    scope: dict[str, object] = {}
    languages = set[str]()
    with psycopg.connect(postgres_url, autocommit=True) as database:
        for language, text in FENCE.findall(PAGE.read_text()):
            languages.add(language)
            if language == "sql":
                for statement in text.split(";\n"):  # as psql does, each for itself
                    database.execute(statement.encode())
            elif language == "python":
                if "customers = Source(" in text:
                    (tmp_path / "shop" / "crm" / "customers.py").write_text(f'"""Customers."""\n\n{text}')
                exec(compile(text, str(PAGE), "exec"), scope)
            else:
                for line in text.splitlines():
                    done = CliRunner().invoke(cli, shlex.split(line)[1:], catch_exceptions=False)
                    assert done.exit_code == 0, done.output
        database.execute("SELECT pg_drop_replication_slot('assay_customers')")
        database.execute("DROP OWNED BY assay; DROP ROLE assay")
    assert languages == {"sql", "python", "sh"}
