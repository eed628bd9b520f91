"""The rows of a stream that were found for some keys, whichever parts they are in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.features.online.part import Ints, Part

Piece = tuple[Part, Ints | None, Ints]
"""A part, the places in the answer of what it has (None: all of them), and the numbers of its rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One row per key that was asked for, or none.

    Args:
        number: How many keys.
        rows: The packed rows in the order of the answer, whatever where there is none; None where there are none, or parts are
            packed differently.
        pieces: The parts with rows.
        here: Which keys have a row that does not delete them.
        time: Event times, µs since 1970; whatever where there is no row.
        later: Some keys have rows, but all of them are available only later than asked for.
    """

    number: int
    rows: np.ndarray[Any, Any] | None
    pieces: tuple[Piece, ...]
    here: npt.NDArray[np.bool_]
    time: Ints
    later: bool

    def are_all_valid(self, alive: npt.NDArray[np.bool_]) -> bool:
        """Whether each feature of each key has a value: nearly always, and then nothing has to be left out."""
        return self.rows is not None and bool(alive.all() and self.rows["valid"].all())

    def take(self, feature: int, alive: npt.NDArray[np.bool_], *, all_valid: bool = False) -> list[Any]:
        """The values of a feature (by its place in the stream), None where the key is not `alive`."""
        if self.rows is not None:
            part, where, places = self.pieces[0]
            if where is None or part.places[feature].kind == "fixed":  # else what is behind the rows differs by part
                valid = None if all_valid else (self.rows["valid"][:, feature] & alive).tolist()
                return part.take(feature, self.rows, places, valid)
        values: list[Any] = [None] * self.number
        for part, where, places in self.pieces:
            rows = part.rows[np.maximum(places, 0)]
            mine = alive if where is None else alive[where]
            taken = part.take(feature, rows, places, (rows["valid"][:, feature] & mine).tolist())
            for place, value in zip(range(self.number) if where is None else where.tolist(), taken, strict=True):
                values[place] = value
        return values


def find(parts: Sequence[Part], keys: Sequence[bytes | None], hashes: npt.NDArray[np.uint64], at: int) -> Found:
    """The rows of keys as of a moment.

    Args:
        parts: Of a stream. A key is in one of them.
        keys: As `key_bytes` gives them; None: a null.
        hashes: Of the keys; whatever for a null.
        at: µs since 1970.
    """
    filled = [part for part in parts if len(part.hashes)]
    if len(filled) == 1:
        (part,) = filled
        places, rows, later = part.find(keys, hashes, at)
        here = (places >= 0) & (rows["gone"] == 0)
        return Found(len(keys), rows, ((part, None, places),), here, rows["time"], later)
    number, later = len(keys), False
    here, time = np.zeros(number, bool), np.zeros(number, np.int64)
    alike = len({part.rows.dtype for part in filled}) == 1
    together = np.zeros(number, filled[0].rows.dtype) if alike else None
    pieces: list[Piece] = []
    for part in filled:
        places, rows, too_late = part.find(keys, hashes, at)
        later, where = later or too_late, np.flatnonzero(places >= 0)
        if len(where):
            rows = rows[where]
            here[where], time[where] = rows["gone"] == 0, rows["time"]
            pieces.append((part, where, places[where]))
            if together is not None:
                together[where] = rows
    return Found(number, together if pieces else None, tuple(pieces), here, time, later)
