"""UUIDv7 (RFC 9562) from a time and a digest: ids that sort by time, and that a retry makes again."""

import uuid
from datetime import UTC, datetime, timedelta

from assay.errors import AssayError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(milliseconds: int, digest: bytes) -> uuid.UUID:
    """48 bits of ms since 1970 UTC, then the first 74 bits of `digest` around version and variant.

    Raises ValueError for a time that 48 bits cannot hold, or a digest of fewer than 10 bytes.
    """
    if not 0 <= milliseconds < 1 << 48 or len(digest) < 10:
        raise ValueError("a UUIDv7 takes a time from 1970 on and at least 74 bits")
    bits = int.from_bytes(digest[:10], "big") >> 6
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def uuid7_time(text: str) -> datetime:
    """The time in an id. Raises AssayError when the text is not a UUIDv7."""
    try:
        parsed = uuid.UUID(text)
        moment = _EPOCH + timedelta(milliseconds=parsed.int >> 80)
    except (ValueError, OverflowError):  # 48 bits reach beyond the year 9999
        parsed, moment = None, _EPOCH
    if parsed is None or parsed.version != 7 or str(parsed) != text.lower():
        raise AssayError(
            "That is not a prediction id. Ids look like 01990b3c-5c00-7abc-8def-0123456789ab; "
            "they are in the column prediction_id of predictions/<model>."
        )
    return moment
