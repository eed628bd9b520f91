"""A connection leads to a bucket or a folder, or says what is to be written."""

from pathlib import Path
from typing import Any

import pytest

from assay.assets.lacking import NotConnected
from assay.assets.sources.files import Files
from assay.assets.sources.objects.address import address_of
from assay.assets.sources.objects.connection import landing_of
from assay.errors import AssayError
from assay.settings import Settings

URL = "ASSAY_CONNECTIONS__DROPS__URL"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASECRETID", "AWS_SECRET_ACCESS_KEY": "verysecretkey"}


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("s3://", {}, "is not the address of a bucket. Write it like s3://bucket/prefix"),
        ("s3://AKIASECRETID:verysecretkey@bucket/p", {}, "is not the address of a bucket"),
        ("s3://bucket:9000/p", {}, "is not the address of a bucket"),
        ("s3://bucket/p?region=x", {}, "is not the address of a bucket"),
        ("s3://bucket/a//b", {}, "the prefix has an empty part"),
        ("s3://bucket/a/../b", {}, "the prefix has an empty part, or one of dots"),
        ("s3://bucket", {"AWS_ACES_KEY_ID": "verysecretkey"}, "Did you mean 'AWS_ACCESS_KEY_ID'?"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": "verysecretkey"}, "Set both, or neither"),
        ("s3://bucket", {"AWS_SKIP_SIGNATURE": "verysecretkey"}, "AWS_SKIP_SIGNATURE is true or false"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "minio:9000"}, "AWS_ENDPOINT_URL is no URL"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "http://minio:9000"}, "is not encrypted (http). Write https, or set AWS_ALLOW_HTTP"),
        ("postgresql://AKIASECRETID:verysecretkey@h/d", {}, "It leads to postgresql://, which is no store of files"),
        ("az://container", {}, "It leads to az://, which is no store of files"),
        ("file://relative/folder", {}, "does not say where files lie"),
        ("/folder", {}, "does not say where files lie. Write it like s3://bucket/prefix, or file:///folder"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_is_said_without_its_secrets(url: str, options: dict[str, str], text: str) -> None:
    settings = Settings(connections={"drops": {"url": url, "options": options}})  # type: ignore[arg-type]
    with pytest.raises(NotConnected) as raised:
        landing_of(settings, "drops")
    assert text in str(raised.value) and "ASSAY_CONNECTIONS__DROPS__" in str(raised.value)
    assert not [secret for secret in KEYS.values() if secret in str(raised.value)]
    assert Files("in/{day}/*", (".csv",), connection="Drops").lacks(settings) == str(raised.value)


def test_a_connection_that_is_not_set_names_the_setting_and_the_others() -> None:
    settings = Settings(connections={"crm": "sqlite:///x"})  # type: ignore[arg-type]
    lack = Files("in/{day}/*", (".csv",), connection="drops").lacks(settings)
    assert (
        lack.startswith(f"There is no connection 'drops': set {URL} to where the files lie")
        and "There are: crm." in lack
    )


def test_options_have_the_names_of_the_lakes(tmp_path: Path) -> None:
    address = address_of(
        "s3://Bucket.eu/a/b/", KEYS | {"aws_endpoint": "https://minio", "region": "eu-west-1", "AWS_TOKEN": "t"}, URL
    )
    assert (address.bucket, address.prefix, address.root) == ("Bucket.eu", "a/b/", "s3://Bucket.eu/a/b/")
    assert dict(address.options) == {
        "access_key_id": "AKIASECRETID", "secret_access_key": "verysecretkey", "endpoint_url": "https://minio",
        "region": "eu-west-1", "session_token": "t",
    }  # fmt: skip
    assert "verysecretkey" not in repr(address)


def test_variables_say_where_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "s3://bucket/p")
    monkeypatch.setenv("ASSAY_CONNECTIONS__DROPS__OPTIONS", '{"AWS_REGION": "eu-west-1"}')
    assert landing_of(Settings(), "drops").root == "s3://bucket/p/"
    monkeypatch.delenv("ASSAY_CONNECTIONS__DROPS__OPTIONS")
    monkeypatch.setenv("ASSAY_CONNECTIONS__DROPS__OPTIONS__AWS_REGION", "eu-central-1")
    landing: Any = landing_of(Settings(), "drops")
    assert dict(landing.bucket.address.options) == {"region": "eu-central-1"}
    monkeypatch.setenv(URL, f"file://{tmp_path}")
    monkeypatch.delenv("ASSAY_CONNECTIONS__DROPS__OPTIONS__AWS_REGION")
    assert landing_of(Settings(), "drops").root == f"file://{tmp_path}/"
    files = Files("in/{day}/*", (".csv",), connection="drops")
    assert files.lacks(Settings()) == ""
    monkeypatch.setenv(URL, f"file://{tmp_path}/none")
    assert "which is no folder. Make it, or correct the setting" in files.lacks(Settings())


def test_an_address_in_the_wrong_place_is_refused_with_the_right_one() -> None:
    with pytest.raises(AssayError, match=r"is an address, and a pattern is relative to one\. Declare Files\('tickets/"):
        Files("s3://bucket/tickets/{day}/*", (".csv",))
    with pytest.raises(ValueError, match=r"ASSAY_LANDING is a folder of this machine\. For files in an object store"):
        Settings(landing="s3://bucket/prefix")  # type: ignore[arg-type]
