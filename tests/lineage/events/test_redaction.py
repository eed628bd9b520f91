import pytest

from assay.lineage.events.redaction import redact, redact_message, redact_text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("no route to postgresql://reader:c4nary-pw@db:5432/crm", "postgresql://db:5432/crm"),
        ("postgresql://reader:c4nary-pw/with@signs@db/crm", "postgresql://db/crm"),
        ("https://c4nary-pw@host/path", "https://host/path"),
        ("s3 failed: aws_secret_access_key=c4nary-pw;region=eu", "region=eu"),
        ("https://host/x?sig=c4nary-pw&page=2", "page=2"),
        ("Authorization: Bearer c4nary-pw.abc", "Bearer ***"),
        ("key AKIAC4NARYC4NARYC4NA was refused", "was refused"),
    ],
)
def test_secrets_are_cut_out_of_texts(text: str, kept: str) -> None:
    redacted = redact_text(text)
    assert "c4nary" not in redacted.lower()
    assert kept in redacted


@pytest.mark.parametrize(
    "text", ["https://host:443/a@b", "abfss://box@account.dfs.core.windows.net/l", "team:data@example.org", "/a/b.csv"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_messages_lose_what_looks_like_personal_data() -> None:
    message = redact_message("c4nary@mail.example paid with 4111 1111 1111 1111 in line 12, run 2026-09-01")
    assert message == "*** paid with *** in line 12, run 2026-09-01"


def test_values_under_secret_keys_are_masked_whole() -> None:
    value = {
        "db_password": "c4nary-pw",
        "columns": [{"name": "password"}],
        "token": "",
        "api_key": ["c4nary-pw"],
        "n": 1,
    }
    assert redact(value) == {
        "db_password": "***",
        "columns": [{"name": "password"}],
        "token": "",
        "api_key": ["***"],
        "n": 1,
    }
