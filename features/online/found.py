"""The rows of a stream that were found for some keys, whichever parts they are in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.features.online.part import Ints, Part

Piece = tuple[Part, Ints | None, np.ndarray[Any, Any], Ints]
"""A part, the places in the answer of what it has (None: all of them), the packed rows and their numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One row per key that was asked for, or none.

    Args:
        number: How many keys.
        pieces: The parts with rows.
        here: Which keys have a row that does not delete them.
        time: Event times, µs since 1970; whatever where there is no row.
        later: Some keys have rows, but all of them are available only later than asked for.
    """

    number: int
    pieces: tuple[Piece, ...]
    here: npt.NDArray[np.bool_]
    time: Ints
    later: bool

    def are_all_valid(self, alive: npt.NDArray[np.bool_]) -> bool:
        """Whether each feature of each key has a value: nearly always, and then nothing has to be left out."""
        if len(self.pieces) != 1 or self.pieces[0][1] is not None:
            return False
        return bool(alive.all() and self.pieces[0][2]["valid"].all())

    def take(self, feature: int, alive: npt.NDArray[np.bool_], *, all_valid: bool = False) -> list[Any]:
        """The values of a feature (by its place in the stream), None where the key is not `alive`."""
        if len(self.pieces) == 1 and self.pieces[0][1] is None:
            part, _, rows, places = self.pieces[0]
            valid = None if all_valid else (rows["valid"][:, feature] & alive).tolist()
            return part.take(feature, rows, places, valid)
        values: list[Any] = [None] * self.number
        for part, where, rows, places in self.pieces:
            assert where is not None
            valid = (rows["valid"][:, feature] & alive[where]).tolist()
            for place, value in zip(where.tolist(), part.take(feature, rows, places, valid), strict=True):
                values[place] = value
        return values


def find(parts: Sequence[Part], keys: Sequence[bytes | None], hashes: npt.NDArray[np.uint64], at: int) -> Found:
    """The rows of keys as of a moment.

    Args:
        parts: Of a stream.
        keys: As `key_bytes` gives them; None: a null.
        hashes: Of the keys; whatever for a null.
        at: µs since 1970.
    """
    pieces: list[Piece] = []
    here, time, later = np.zeros(len(keys), bool), np.zeros(len(keys), np.int64), False
    for part in parts:
        if not len(part.hashes):
            continue
        places, rows, too_late = part.find(keys, hashes, at)
        later, is_found = later or too_late, places >= 0
        if len(parts) == 1:
            return Found(len(keys), ((part, None, rows, places),), is_found & (rows["gone"] == 0), rows["time"], later)
        where = np.flatnonzero(is_found)
        if len(where):
            rows = rows[where]
            pieces.append((part, where, rows, places[where]))
            here[where], time[where] = rows["gone"] == 0, rows["time"]
    return Found(len(keys), tuple(pieces), here, time, later)
