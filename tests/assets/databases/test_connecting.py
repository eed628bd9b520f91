"""Databases that do not answer, refuse a login or are not there: named without a user, a password or a part of one."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from assay.assets.databases.sql import place_of, read_changes
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected, outage_of
from assay.errors import AssayError

SECRET = "s3cret-word"
TABLE = "people"


def test_an_unreachable_database_is_named_without_user_or_password() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        with pytest.raises(AssayError, match=r"PostgreSQL 127\.0\.0\.1:9/shop, table people does not answer") as caught:
            read_changes(f"{scheme}://jane:{SECRET}@127.0.0.1:9/shop", TABLE, "updated_at", "id")
        assert SECRET not in str(caught.value)
        assert "jane" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.fixture
def locked_url(postgres_url: str) -> Iterator[str]:
    """Of a user whom the server asks for a password, which is the user's own name, and who may read nothing."""
    name = f"locked_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'".encode())
        found = admin.execute("SHOW hba_file").fetchone()
        assert found is not None
        rules = Path(found[0])
        before = rules.read_text()
        rules.write_text(f"local all {name} scram-sha-256\nhost all {name} all scram-sha-256\n{before}")
        admin.execute("SELECT pg_reload_conf()")
        yield sa.make_url(postgres_url).set(username=name, password=name).render_as_string(hide_password=False)
        rules.write_text(before)
        admin.execute("SELECT pg_reload_conf()")
        admin.execute(f"DROP ROLE {name}".encode())


def test_a_login_that_is_refused_names_the_setting_and_is_no_verdict(locked_url: str, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, updated_at TIMESTAMPTZ)")
    setting, url = "ASSAY_CONNECTIONS__ERP__URL", sa.make_url(locked_url)
    wrong = {
        "password": url.set(password=SECRET),
        "user": url.set(username=f"{SECRET}_user"),
        "database": url.set(database="nothing"),
        "right": url,
    }
    for what, address in wrong.items():
        text = address.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
        if what == "user":  # whom the server trusts, as it does everybody here, but does not know
            text = sa.make_url(postgres_url).set(username=f"{SECRET}_user").render_as_string(hide_password=False)
        with pytest.raises(NotConnected) as caught:
            read_changes(text, TABLE, "updated_at", "id", setting=setting)
        assert outage_of(caught.value) == DENIED, what
        assert f"database in {setting}" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert "locked_" not in str(caught.value)


def test_of_a_password_that_is_not_escaped_nothing_is_shown() -> None:
    with pytest.raises(NotConnected) as caught:
        read_changes(f"postgresql://jane:x@{SECRET}@nobody.invalid/shop", TABLE, "updated_at", "id", setting="S")
    assert SECRET not in str(caught.value)
    assert "PostgreSQL nobody.invalid/shop, table people does not answer" in str(caught.value)
    assert outage_of(caught.value) == UNREACHABLE


@pytest.mark.parametrize("password", ["p@ss/word", "p@se?cret", "p@ss/w@rd?x", "a@b"])
def test_of_no_password_that_is_not_escaped_a_part_is_shown(password: str) -> None:
    url = sa.make_url(f"postgresql://jane:{password}@127.0.0.1:1/db")
    place = place_of(url, "t")
    assert place.startswith("PostgreSQL") and place.endswith("table t")
    for part in re.split("[@/?]", password):
        assert part not in place.replace("127.0.0.1:1/db", "").replace("PostgreSQL", "").replace("table t", "")


def test_a_missing_sqlite_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="no such file"):
        read_changes(f"sqlite:///{tmp_path / 'a.db'}", TABLE, "updated_at", "id")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url", [f"mysql://jane:{SECRET}@h/d", f"jane {SECRET}", f"postgresql://jane:{SECRET}@h:port/d", ""]
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(AssayError) as caught:
        read_changes(url, TABLE, "updated_at", "id")
    assert SECRET not in str(caught.value)
