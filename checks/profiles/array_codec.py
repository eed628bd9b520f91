"""Arrays as short text, for states that are kept as JSON."""

import base64
import math
import zlib
from typing import Any

import numpy as np


def pack(values: np.ndarray) -> str:
    """Little-endian bytes, compressed, as base64."""
    return base64.b64encode(zlib.compress(values.astype(values.dtype.newbyteorder("<")).tobytes(), 6)).decode()


def unpack(text: str, dtype: Any) -> np.ndarray:
    """The inverse of `pack`: an array (n,) of that type."""
    wanted = np.dtype(dtype)
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), wanted.newbyteorder("<")).astype(wanted)


def pack_number(value: Any) -> Any:
    """A number as JSON has it; infinities and NaN, which JSON has not, as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def unpack_number(value: Any) -> Any:
    """The inverse of `pack_number`."""
    return float(value) if isinstance(value, str) else value
