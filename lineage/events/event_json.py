"""The JSON of anybody's events, in which an integer may have any number of digits."""

import json
import sys
from typing import Any

_DIGITS = 4_000  # below what Python converts, which takes time that grows with the square of the digits


def read_json(text: bytes | str) -> Any:
    """What a JSON document holds; integers longer than Python converts as the text of their digits. Raises ValueError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # of the limit on digits, which is no fault of the document
        return json.loads(text, parse_int=_integer)


def decoder() -> json.JSONDecoder:
    """Reads one document after another as `read_json` does."""
    return json.JSONDecoder(parse_int=_integer)


def _integer(digits: str) -> int | str:
    limit = sys.get_int_max_str_digits() or _DIGITS
    return int(digits) if len(digits) <= min(_DIGITS, limit) else digits
