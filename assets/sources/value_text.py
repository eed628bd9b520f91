"""Values that have no column type of their own, as text that keeps everything they say."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal


def as_text(value: object) -> str | None:
    """A value of whatever type as text, with everything that it says."""
    match value:
        case None:
            return None
        case str():
            return str(value)  # drivers have kinds of their own
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=as_text)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return f"PT{Decimal(value // timedelta(microseconds=1)).scaleb(-6).normalize():f}S"
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
    return str(value)
