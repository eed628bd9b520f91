"""What a store answers instead of objects: one line with the next step, an outage and no verdict on data, and no secret."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.assets.lacking import DENIED, SETTING, UNREACHABLE, NotConnected, outage_of
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.files import Files
from assay.assets.sources.limits import Limits
from assay.assets.sources.objects import s3, s3_errors
from assay.assets.sources.reader import Reading
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

DAILY = Partitioning.daily("2026-09-02")
DAY = "2026-09-03"
FILES = Files("in/{day}/*", (".csv",), connection="drops")
SECRETS = ("AKIASECRETID", "verysecretkey", "sessionsecret")
CREDENTIALS = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), SECRETS, strict=True))
NEXT = "ASSAY_CONNECTIONS__DROPS"


def error(code: str, text: str = "Ada Byron, 41") -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{text} {' '.join(SECRETS)}</Message></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()


def reading(settings: Settings) -> Reading:
    return Reading("s", ("k",), DAY, DAILY, settings, lambda: None, FileHashes())


def refusal(settings: Settings) -> AssayError:
    """What reading a partition raises, and what doctor says of the connection."""
    with pytest.raises(AssayError) as raised:
        FILES.deliveries(reading(settings))
    text = str(raised.value)
    assert "\n" not in text and "Next: " in text and NEXT in text, text
    assert not [secret for secret in SECRETS if secret in text] and "Ada" not in text
    s3_errors.forget_silence()
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "lack", "text"),
    [
        (404, "NoSuchBucket", SETTING, "does not exist where we asked for it. Next: correct the bucket in"),
        (403, "AccessDenied", DENIED, "this login may not list objects there. Next: have s3:ListBucket granted"),
        (403, "InvalidAccessKeyId", DENIED, "refuses this login (InvalidAccessKeyId). Next: correct AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", DENIED, "refuses this login (SignatureDoesNotMatch)"),
        (400, "ExpiredToken", DENIED, "refuses this login (ExpiredToken)"),
        (400, "AuthorizationHeaderMalformed", SETTING, "is in another region. Next: set AWS_REGION to the bucket's in"),
        (400, "Ada Byron, 41", SETTING, "refuses the request (no code). Next: correct"),
        (400, "AKIASECRETID", SETTING, "refuses the request (no code)"),
        (403, "verysecretkey", DENIED, "may not be read (no code)"),
        (400, "Aa" * 30, SETTING, "refuses the request (no code)"),
    ],
)
def test_what_a_store_refuses_is_said_with_the_setting(
    tmp_path: Path, drops: Any, status: int, code: str, lack: str, text: str
) -> None:
    drops.proxy.fault = lambda method, path: (status, error(code))
    settings = drops.settings(tmp_path, options=CREDENTIALS)
    problem = refusal(settings)
    assert text in str(problem) and outage_of(problem) == lack
    assert FILES.lacks(settings) == str(problem)
    assert "verysecretkey" not in repr(settings) + repr(FILES.landing(settings))


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (503, ""), (429, "TooManyRequests")]
)
def test_a_store_that_is_busy_is_asked_again_for_a_while_and_then_left_in_peace(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    left = [2]

    def busy(method: str, path: str) -> tuple[int, bytes] | None:
        left[0] -= 1
        return (status, error(code) if code else b"<html>busy</html>") if left[0] >= 0 else None

    drops.put(f"in/{DAY}/a.csv")
    drops.proxy.fault = busy
    settings = drops.settings(tmp_path)
    assert len(FILES.deliveries(reading(settings))) == 1, "the third time it answered"
    left[0] = 10**6
    drops.proxy.requests.clear()
    with pytest.raises(AssayError, match=r"s3://drops-\w+ does not answer .*Next: see that the store is up") as raised:
        FILES.deliveries(reading(settings))
    assert outage_of(raised.value) == UNREACHABLE
    asked = len(drops.proxy.requests)
    assert 3 <= asked <= 4
    with pytest.raises(AssayError, match="does not answer"):
        FILES.deliveries(reading(settings))
    assert len(drops.proxy.requests) == asked, "for some seconds nobody else waits for it"


def test_a_store_that_is_down_is_an_outage(tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        down = drops.settings(tmp_path, options={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        problem = refusal(down)
        assert "does not answer (EndpointConnectionError)" in str(problem) and outage_of(problem) == UNREACHABLE
        with pytest.raises(NotConnected, match="does not answer"):
            FILES.delivered(down, DAILY)


@pytest.mark.parametrize("drips", ["listings", "headers"])
def test_a_store_that_sends_a_byte_now_and_then_is_silent_and_one_that_is_slow_is_not(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch, drips: str
) -> None:
    drops.put(f"in/{DAY}/a.csv")
    monkeypatch.setattr(s3, "_PAGE_SECONDS", 0.3)
    drops.proxy.drip, drops.proxy.drips = 0.05, drips  # 20 bytes a second; a read waits for 15 seconds
    settings = drops.settings(tmp_path)
    for ask in (lambda: refusal(settings), lambda: FILES.lacks(settings)):
        began = time.monotonic()
        assert "does not answer (ReadTimeoutError). Next: see that the store is up" in str(ask())
        assert time.monotonic() - began < 5, "however often it is asked again"
        s3_errors.forget_silence()
    drops.proxy.drip = 0.0005
    monkeypatch.setattr(s3, "_SPEED", 10)
    assert len(FILES.deliveries(reading(settings))) == 1


def test_an_object_whose_headers_drip_is_given_up(tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drops.put(f"in/{DAY}/a.csv")
    monkeypatch.setattr(s3, "_OBJECT_SECONDS", 0.3)
    drops.proxy.fault = lambda method, path: setattr(
        drops.proxy, "drips", "objects" if "list-type" in path else "headers"
    )
    drops.proxy.drip = 0.05
    with pytest.raises(DeliveryError, match=r"in/2026-09-03/a\.csv: does not come .*\(it comes too slowly\)"):
        FILES.deliveries(reading(drops.settings(tmp_path)))


def test_what_is_no_store_at_all_is_said(tmp_path: Path, drops: Any) -> None:
    for page, text in ((b"<html><body>welcome", "does not answer"), (b"<html/>", "(what answers speaks no S3)")):
        drops.proxy.fault = lambda method, path, page=page: (200, page)
        assert text in str(refusal(drops.settings(tmp_path)))
    without = drops.settings(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        without.connections["drops"].options.pop(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            patch.delenv(name, raising=False)
        problem = refusal(without)
    assert "There are no credentials for s3://drops-" in str(problem) and outage_of(problem) == SETTING


LISTED = "<Name>b</Name><IsTruncated>{more}</IsTruncated>"
OBJECT = "<Contents><Key>prod/in/2026-09-03/{name}.csv</Key><Size>8</Size><ETag>x</ETag></Contents>"


@pytest.mark.parametrize(
    ("listing", "text"),
    [
        (LISTED.format(more="true") + OBJECT, "its listing goes on, and has no NextContinuationToken"),
        (
            LISTED.format(more="false") + "<Contents><Key>prod/in/a</Key></Contents>",
            "an object in its listing has no Size",
        ),
        (LISTED.format(more="false") + "<Contents><Size>1</Size></Contents>", "an object in its listing has no Key"),
        (LISTED.format(more="false") + "<Contents><Key>a</Key><Size>x</Size></Contents>", "ValueError"),
        (
            LISTED.format(more="true") + OBJECT + "<NextContinuationToken>t</NextContinuationToken>",
            "its listing has no end: it gives a NextContinuationToken again",
        ),
    ],
)
def test_a_listing_that_is_not_quite_one_is_said_with_what_is_missing(
    tmp_path: Path, drops: Any, listing: str, text: str
) -> None:
    drops.proxy.fault = lambda method, path: (200, f"<ListBucketResult>{listing}</ListBucketResult>".encode())
    settings = drops.settings(tmp_path)
    problem = refusal(settings)
    assert text in str(problem) and f"s3://{drops.bucket}" in str(problem) and outage_of(problem) == SETTING
    assert len(drops.proxy.requests) <= 2


def test_more_objects_than_may_be_listed_are_said_with_the_limit(tmp_path: Path, drops: Any) -> None:
    for name in "abc":
        drops.put(f"in/{DAY}/{name}.csv")
    settings = drops.settings(tmp_path)
    few = replace(FILES, limits=Limits(objects=2))
    with pytest.raises(NotConnected, match=r"has more than 2 objects .*Next: .*Limits\(objects=4\)"):
        few.deliveries(reading(settings))
    assert len(replace(FILES, limits=Limits(objects=3)).deliveries(reading(settings))) == 3


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("AWS_ENDPOINT_URL", "http://", "cannot be asked ("),
        ("AWS_ENDPOINT_URL", "http://a b:9000", "cannot be asked ("),
        ("AWS_SESSION_TOKEN", "sessionsecret\nmore", "AWS_SESSION_TOKEN has a line break"),
    ],
)
def test_settings_that_cannot_be_sent_are_wrong_settings(
    tmp_path: Path, drops: Any, name: str, value: str, text: str
) -> None:
    problem = refusal(drops.settings(tmp_path, options={name: value}))
    assert text in str(problem) and outage_of(problem) == SETTING


def test_a_line_break_in_a_credential_of_the_environment_is_a_wrong_setting(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = drops.settings(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        settings.connections["drops"].options.pop(name)
        monkeypatch.setenv(name, "AKIASECRETID\nx")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "sessionsecret\nmore")
    s3._client.cache_clear()  # which knows the environment of other tests
    problem = refusal(settings)
    assert "cannot be asked (HTTPClientError)" in str(problem) and outage_of(problem) == SETTING


def test_one_object_that_may_not_be_read_is_said_with_the_right_that_is_missing(tmp_path: Path, drops: Any) -> None:
    drops.put(f"in/{DAY}/a.csv")
    drops.proxy.fault = lambda method, path: (403, error("AccessDenied")) if "list-type" not in path else None
    problem = refusal(drops.settings(tmp_path))
    assert (
        "may not read objects there. Next: have s3:GetObject granted" in str(problem) and outage_of(problem) == DENIED
    )
    assert f"{DAY}/a.csv may not be read" in str(problem)
    drops.proxy.fault = lambda method, path: (400, error("InvalidRequest")) if "list-type" not in path else None
    with pytest.raises(DeliveryError, match=r"a\.csv: is not given by the store \(InvalidRequest\)"):
        FILES.deliveries(reading(drops.settings(tmp_path)))
    drops.proxy.fault = lambda method, path: (403, error("InvalidObjectState")) if "list-type" not in path else None
    with pytest.raises(DeliveryError, match=r"a\.csv: is archived; have it restored, and run again"):
        FILES.deliveries(reading(drops.settings(tmp_path)))
