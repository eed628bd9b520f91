"""One file set of packed rows: sorted by the hashes of the keys, mapped into memory, searched by many keys at once.

`hashes.npy` and `rows.npy` are NumPy's own format, `tail.bin` has what has no width, and `rows.arrow` the same rows as columns:
what the next generation begins with, and anybody's tool reads.
"""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.features.online.folding import AVAILABLE, GONE, TIME
from assay.features.online.key_bytes import key_bytes, key_hashes
from assay.features.online.packing import Place, Tail, kind_of_column, pack, unpack

HASHES, ROWS, TAIL, COLUMNS, ABOUT = "hashes.npy", "rows.npy", "tail.bin", "rows.arrow", "part.json"
HASH = "_hash"

Ints = npt.NDArray[np.int64]


def write_part(folder: Path, rows: pl.DataFrame, keys: Sequence[str], features: Sequence[str]) -> int:
    """Write packed rows. Returns how many bytes.

    Args:
        folder: Where; it is made.
        rows: With the keys, the internal columns and the features; rows of one key in the order in which they are available.
        keys: The key columns.
        features: What is read of them.
    """
    folder.mkdir(parents=True)
    if HASH in rows.columns:
        known = rows.filter(pl.col(HASH).is_not_null())
        new = rows.filter(pl.col(HASH).is_null()).drop(HASH)
        rows = pl.concat([known, _hashed(new, keys).select(known.columns)]) if new.height else known
    else:
        rows = _hashed(rows, keys)
    rows = rows.sort(HASH, AVAILABLE, maintain_order=True)
    rows.write_ipc(folder / COLUMNS)
    hashes = rows[HASH].to_numpy()
    places = [Place(f"f{number}", kind_of_column(rows[name]), rows[name].dtype) for number, name in enumerate(features)]
    own: list[Any] = [
        ("available", "<i8"),
        ("time", "<i8"),
        ("back", "<u4"),
        ("gone", "u1"),
        ("key", "<u8"),
        ("keyn", "<u4"),
    ]
    own.append(("valid", "?", (max(1, len(features)),)))
    fields = [*own, *(field for place in places for field in place.fields())]
    packed = np.zeros(rows.height, np.dtype(fields, align=True))
    packed["available"], packed["time"] = rows[AVAILABLE].to_numpy(), rows[TIME].to_numpy()
    packed["gone"] = rows[GONE].cast(pl.UInt8).to_numpy()
    packed["back"] = _before(hashes)
    with (folder / TAIL).open("wb") as stream:
        tail = Tail(stream)
        packed["key"], packed["keyn"] = tail.add(key_bytes([rows[key] for key in keys], rows.height))
        for number, (name, place) in enumerate(zip(features, places, strict=True)):
            packed["valid"][:, number] = rows[name].is_not_null().to_numpy()
            pack(place, rows[name], packed, tail)
        stream.write(b"\0")  # an empty file cannot be mapped
    np.save(folder / HASHES, hashes)
    np.save(folder / ROWS, packed)
    about = {"rows": rows.height, "kinds": [place.kind for place in places], "features": list(features)}
    (folder / ABOUT).write_text(json.dumps(about))
    return sum(file.stat().st_size for file in folder.iterdir())


def _hashed(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    found = [key or b"" for key in key_bytes([rows[key] for key in keys], rows.height)]
    return rows.with_columns(pl.Series(HASH, key_hashes(found), pl.UInt64))


def _before(hashes: npt.NDArray[np.uint64]) -> Ints:
    """How many rows before each one have the same hash."""
    place = np.arange(len(hashes))
    first = np.ones(len(hashes), bool)
    first[1:] = hashes[1:] != hashes[:-1]
    return place - np.maximum.accumulate(np.where(first, place, 0))


def rows_of_part(folder: Path) -> pl.DataFrame:
    """The rows as columns, as they were written."""
    return pl.read_ipc(folder / COLUMNS)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part that is open. It stays readable when its files are deleted."""

    hashes: npt.NDArray[np.uint64]
    rows: np.ndarray[Any, Any]
    tail: mmap.mmap
    places: tuple[Place, ...]
    beside: pl.DataFrame

    @classmethod
    def open(cls, folder: Path) -> "Part":
        about = json.loads((folder / ABOUT).read_text())
        schema = pl.read_ipc_schema(folder / COLUMNS)
        places = tuple(
            Place(f"f{number}", kind, schema[name])
            for number, (name, kind) in enumerate(zip(about["features"], about["kinds"], strict=True))
        )
        beside = [name for name, kind in zip(about["features"], about["kinds"], strict=True) if kind == "beside"]
        kept = pl.read_ipc(folder / COLUMNS, columns=beside).rechunk() if beside else pl.DataFrame()
        with (folder / TAIL).open("rb") as stream:
            tail = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
        hashes, rows = np.load(folder / HASHES, mmap_mode="r"), np.load(folder / ROWS, mmap_mode="r")
        return cls(hashes.view(np.ndarray), rows.view(np.ndarray), tail, places, kept)

    def find(
        self, keys: Sequence[bytes | None], hashes: npt.NDArray[np.uint64], at: int
    ) -> tuple[Ints, np.ndarray[Any, Any], bool]:
        """For each key the number of the row that is the last one available at a moment, −1 where there is none; the packed rows
        (whatever where there is none); and whether some keys have rows, but only later ones.

        Args:
            keys: As `key_bytes` gives them.
            hashes: Of the keys; whatever for None.
            at: The moment, µs since 1970.
        """
        place = np.searchsorted(self.hashes, hashes, "right") - 1
        rows, is_hash = self.rows[place], self.hashes[place] == hashes
        begins, ends, tail = rows["key"].tolist(), (rows["key"] + rows["keyn"]).tolist(), self.tail
        candidates = zip(is_hash.tolist(), keys, begins, ends, strict=True)
        same = [hashed and tail[begin:end] == key for hashed, key, begin, end in candidates]
        found = is_hash & same & (rows["back"] == 0) & (rows["available"] <= at)
        if found.all():
            return place, rows, False
        backs, later = rows["back"].tolist(), False
        for number in np.flatnonzero(is_hash & ~found).tolist():
            key = keys[number]
            other = -1 if key is None else self._among(key, int(place[number]), backs[number], at)
            if other >= 0:
                place[number], rows[number], found[number] = other, self.rows[other], True
            later = later or other == _LATER
        place[~found] = -1
        return place, rows, later

    def _among(self, key: bytes, last: int, back: int, at: int) -> int:
        """The same of one key, among the rows with its hash up to `last`; _LATER where all of them come later."""
        there = False
        for place in range(last, last - back - 1, -1):
            begin, length = int(self.rows["key"][place]), int(self.rows["keyn"][place])
            if self.tail[begin : begin + length] == key:
                if self.rows["available"][place] <= at:
                    return place
                there = True
        return _LATER if there else -1

    def take(self, number: int, rows: np.ndarray[Any, Any], place: Ints, here: Sequence[bool] | None) -> list[Any]:
        """The values of the feature with this number.

        Args:
            number: The place of the feature among those of the part.
            rows: Packed rows.
            place: Their numbers in this part.
            here: Which of them have a value; None: all.
        """
        where = self.places[number]
        if where.kind != "beside":
            return unpack(where, rows, here, self.tail)
        names = [f"f{n}" for n, one in enumerate(self.places) if one.kind == "beside"]
        values = self.beside.to_series(names.index(where.field)).gather(np.maximum(place, 0)).to_list()
        return values if here is None else [v if one else None for v, one in zip(values, here, strict=True)]


_LATER = -2
