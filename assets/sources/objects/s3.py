"""A bucket that speaks S3: what lies below a prefix, and the bytes of one state of an object."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from assay.assets.http_deadline import answered_within
from assay.assets.lacking import SETTING, NotConnected
from assay.assets.sources.limits import USUAL_LIMITS
from assay.assets.sources.objects.address import Address, is_set
from assay.assets.sources.objects.s3_errors import Changed, answered, no_store

PIECE = 1 << 20  # bytes of an object that are read at a time, at most
_PAGE = 1000  # keys; more S3 does not give at once
# What comes slower is given up. A store that sends a byte now and then would be waited for without an end.
_PAGE_SECONDS = 15.0  # for a page of a listing, however often it is asked for
_OBJECT_SECONDS = 60.0
_SPEED = 100_000  # bytes in a second, besides


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a listing. `modified` is the time as the store writes it."""

    key: str
    size: int
    etag: str
    modified: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The bytes of an object that are read, and which version of it they are, in a store that keeps versions."""

    pieces: Iterator[bytes]
    version_id: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """The objects of a bucket. Requests are made again for a while where the store is busy; then it raises NotConnected."""

    address: Address

    def listed(self, prefix: str, most: int = USUAL_LIMITS.objects) -> Iterator[Found]:
        """The objects whose keys begin with a prefix, by key: one request for each thousand of them. Raises NotConnected, also
        for more than `most` of them, and for an answer that is no listing."""
        more, tokens, count = dict[str, str](), set[str](), 0
        while True:
            with answered(self.address), answered_within(_PAGE_SECONDS, _SPEED):
                page = _client(self.address.options).list_objects_v2(
                    Bucket=self.address.bucket, Prefix=prefix, MaxKeys=_PAGE, **more
                )
            if page.keys().isdisjoint(("Name", "KeyCount", "IsTruncated")):  # nor is it an empty listing
                raise no_store(self.address, "what answers speaks no S3")
            contents = page.get("Contents") or ()
            count += len(contents)
            if count > most:
                raise self._too_many(prefix, most)
            yield from map(self._found, contents)
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token:
                raise no_store(self.address, "its listing goes on, and has no NextContinuationToken")
            if token in tokens:
                raise no_store(self.address, "its listing has no end: it gives a NextContinuationToken again")
            tokens.add(token)
            more = {"ContinuationToken": token}

    def _found(self, item: dict[str, Any]) -> Found:
        for name in ("Key", "Size"):
            if name not in item:
                raise no_store(self.address, f"an object in its listing has no {name}")
        return Found(item["Key"], int(item["Size"]), item.get("ETag", ""), str(item.get("LastModified", "")))

    def _too_many(self, prefix: str, most: int) -> NotConnected:
        return NotConnected(
            f"{self.address.store}/{prefix} has more than {most:,} objects below it, all of which are listed at each look. Next: "
            f"have old ones deleted by a lifecycle rule, or declare Files(…, limits=Limits(objects={2 * most})).",
            SETTING,
        )

    def require_open(self) -> None:
        """Raise NotConnected where nothing can be listed at the place: one request."""
        with answered(self.address), answered_within(_PAGE_SECONDS, _SPEED):
            _client(self.address.options).list_objects_v2(
                Bucket=self.address.bucket, Prefix=self.address.prefix, MaxKeys=1
            )

    @contextmanager
    def opened(self, found: Found) -> Iterator[Opened]:
        """The bytes of an object in the state that was listed. Raises Changed where it is in another one, or gone; Unserved."""
        with answered(self.address, found.key), answered_within(_OBJECT_SECONDS, _SPEED):
            # What has another ETag by now is not sent.
            only = {"IfMatch": found.etag} if found.etag else {}
            answer = _client(self.address.options).get_object(Bucket=self.address.bucket, Key=found.key, **only)
        body = answer["Body"]
        try:
            if found.etag and _plain(answer.get("ETag") or found.etag) != _plain(found.etag):
                raise Changed(found.key, gone=False)  # of a store that does not look at IfMatch
            with answered(self.address, found.key):
                yield Opened(_pieces(body), _version(answer))
        finally:
            body.close()


def _pieces(body: Any) -> Iterator[bytes]:
    """What has come, as it comes: botocore's own body waits for a whole piece."""
    stream = body._raw_stream
    while piece := stream.read1(PIECE):
        yield piece


def _plain(etag: str) -> str:
    """Without the mark and the quotes that stores and proxies write or leave out."""
    return etag.removeprefix("W/").strip('"')


def _version(answer: dict[str, Any]) -> str:
    version = answer.get("VersionId") or ""
    return "" if version == "null" else version  # of a bucket that keeps none


@functools.lru_cache(16)
def _client(options: tuple[tuple[str, str], ...]) -> Any:
    """Made once for a store: it reads descriptions of the service from disk. Threads may use it at the same time."""
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    given, session = dict(options), Session()
    # Times stay the text that they are: parsing thousands of them is most of what a listing costs.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    style = "path" if "endpoint_url" in given else "auto"
    config = Config(
        signature_version=UNSIGNED if is_set(given, "skip_signature") else None,
        max_pool_connections=10,
        connect_timeout=5,
        read_timeout=15,
        retries={"mode": "standard", "total_max_attempts": 3},
        s3={"addressing_style": "virtual" if is_set(given, "virtual_hosted_style_request") else style},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",  # bytes are known by their SHA-256
    )
    return session.create_client(
        "s3",
        region_name=given.get("region"),
        endpoint_url=given.get("endpoint_url"),
        aws_access_key_id=given.get("access_key_id"),
        aws_secret_access_key=given.get("secret_access_key"),
        aws_session_token=given.get("session_token"),
        config=config,
    )
