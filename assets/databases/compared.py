"""A look at a table, compared with what the lake holds of it: what was inserted, changed and deleted, and how many rows that are.

The rows are read once, some thousands at a time, and what is new of them waits on disk.
"""

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from assay.assets.databases.sql import OpenedTable
from assay.assets.databases.sql_values import frame_of_rows
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.undeclared import kept_of_rows
from assay.errors import AssayError, plural
from assay.features.storage.sections import Changes
from assay.features.storage.spool import Spool, Spooled
from assay.features.tables.lake import TableState
from assay.features.tables.row_prints import KnownRows, Rows, fingerprinted, last_of_each_key
from assay.features.tables.scan_in_order import scan_in_order
from assay.own_columns import CHANGE, DELETE, INSERT, OWN_COLUMNS, SEEN_AT, UPDATE

_READERS = ("_defect", "_line")  # what the database's reader says of a record


@dataclass(slots=True)
class Look:
    """What a look showed. `lines` are the bytes that are kept as evidence: a line of JSON for each row, with its batch, so that
    no two batches have the same bytes. `frames` are the same rows with their types."""

    batch: str
    seen_at: datetime
    columns: Mapping[str, pl.DataType]
    spool: Spool
    changes: Changes
    remarks: tuple[str, ...] = ()
    size: int = 0
    defects: int = 0
    _sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _parts: list[tuple[bytes | Spooled, bytes | Spooled]] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def add(self, rows: pl.DataFrame) -> None:
        """Keep rows, which have the column `_change`."""
        if rows.is_empty():
            return
        known = rows.drop(name for name in _READERS if rows[name].null_count() == rows.height)
        content = (
            known.select(pl.lit(int(self.batch)).alias("_batch"), CHANGE, pl.exclude(CHANGE)).write_ndjson().encode()
        )
        self._sha256.update(content)
        self.size += len(content)
        self.defects += rows.height - rows["_defect"].null_count()
        stream = io.BytesIO()
        rows.write_ipc(stream, compression="lz4")
        self._parts.append((self.spool.add(content), self.spool.add(stream.getvalue())))

    def lines(self) -> Iterator[bytes]:
        """The bytes of the extract."""
        return (_content(content) for content, _ in self._parts)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, numbered as their lines are: at least one frame, and the same columns in each."""
        readers = dict.fromkeys(_READERS if self.defects else (), pl.String())
        columns = pl.Schema({**self.columns, **readers, CHANGE: pl.String()})
        count = 0
        yield self._numbered(pl.DataFrame(schema=columns), 0)
        for _, content in self._parts:
            rows = pl.read_ipc(io.BytesIO(_content(content)))
            missing = [pl.lit(None, dtype).alias(name) for name, dtype in columns.items() if name not in rows.columns]
            yield self._numbered(rows.with_columns(missing).select(columns.names()).cast(columns, strict=False), count)
            count += rows.height

    def _numbered(self, rows: pl.DataFrame, before: int) -> pl.DataFrame:
        return rows.with_columns(
            pl.lit(self.seen_at, pl.Datetime("us", "UTC")).alias(SEEN_AT),
            pl.int_range(before + 1, before + pl.len() + 1, dtype=pl.Int64).alias("_row_number"),
        )

    def delivery(self, source: str, changes: Changes, remarks: Sequence[str], resume: str = "") -> Delivery:
        """The batch, as a delivery of a source."""
        return Delivery(
            f"{source}/extract-{self.batch}.ndjson",
            None,
            self.sha256,
            self.size,
            self.batch,
            remark=" ".join(remark for remark in (*self.remarks, *remarks) if remark),
            lines=self.lines,
            frames=self.frames,
            changes=changes,
            resume=resume,
        )


def _content(part: bytes | Spooled) -> bytes:
    return part.read() if isinstance(part, Spooled) else part


def look_at(
    opened: OpenedTable,
    frames: Iterable[pl.DataFrame],
    key: Sequence[str],
    known: KnownRows,
    state: TableState | None,
    declared: Collection[str],
    *,
    whole: bool,
    batch: str,
    seen_at: datetime,
    folder: Path,
    gone: Iterable[pl.DataFrame] = (),
) -> Look:
    """Compare rows of a table with what is known of their keys.

    Args:
        opened: The table.
        frames: Its rows, or some of them, as `OpenedTable.frames` gives them.
        key: The columns that identify a row, under their names in raw.
        known: What the lake holds.
        state: The raw table that holds it, if there is one.
        declared: The columns whose types may not change, under their names in raw.
        whole: These are all rows of the table: keys that are not among them are deleted.
        batch: The number of the batch that the changes will be.
        seen_at: When the look began.
        folder: Where what memory does not hold may wait.
        gone: Keys that are deleted, as far as they are known.

    Raises:
        AssayError: Rows lack a key, or share one, or a declared column has another type than in raw.
    """
    empty = frame_of_rows([], opened.columns).drop(_READERS)
    there_already = {} if state is None else state.schema
    kept = kept_of_rows([empty.schema], declared, there_already, opened.place)
    columns = dict(kept.of(empty).schema)
    new_names = {name for name, _ in kept.columns.values()} - empty.schema.keys() - there_already.keys()
    if state is not None and (whole or gone):
        columns |= {name: dtype for name, dtype in state.schema.items() if _is_data(name) and name not in columns}
    found = Look(batch, seen_at, columns, Spool(str(folder)), Changes(), kept.remarks if new_names else ())
    seen = np.zeros(len(known.rows), bool)
    new: list[Rows] = []
    updated = unchanged = 0
    for frame in frames:
        frame = kept.of(frame)
        _require_keys(opened.place, frame, key)
        rows = fingerprinted(frame, key)
        at = known.find(rows)
        there = at >= 0
        if seen[at[there]].any() or len(np.unique(at[there])) < there.sum():
            raise _repeated(opened.place, key)
        seen[at[there]] = True
        same = there.copy()
        before = known.rows[at[there]]
        same[there] = (before["values"] == rows["values"][there]) & (before["values_2"] == rows["values_2"][there])
        new.append(rows[~there])
        unchanged += int(same.sum())
        updated += int((there & ~same).sum())
        change = pl.when(pl.Series(there)).then(pl.lit(UPDATE)).otherwise(pl.lit(INSERT)).alias(CHANGE)
        found.add(frame.with_columns(change).filter(pl.Series(~same)))
    inserted = sum(map(len, new))
    if new and len(last_of_each_key(new)) < inserted:
        raise _repeated(opened.place, key)
    deleted = 0
    left = ~seen if whole else np.zeros(len(seen), bool)
    for frame in gone:
        at = known.find(fingerprinted(kept.of(frame), key))
        at = at[at >= 0]
        left[at] = ~seen[at]
    if state is not None and left.any():
        for rows in last_rows(state, key, KnownRows(known.rows[left])):
            deleted += rows.height
            found.add(rows.with_columns(pl.lit(DELETE).alias(CHANGE)))
    found.changes = Changes(
        keys=tuple(key),
        whole=whole,
        seen_at=seen_at.isoformat(),
        inserted=inserted,
        updated=updated,
        deleted=deleted,
        unchanged=unchanged,
    )
    return found


def last_rows(state: TableState, key: Sequence[str], asked: KnownRows) -> Iterator[pl.DataFrame]:
    """The last rows that raw has of some keys, with `_defect` and `_line`."""
    columns = [name for name in state.schema if _is_data(name) or name in _READERS]
    left = np.ones(len(asked.rows), bool)
    for batch in np.unique(asked.rows["batch"]):
        for frame in scan_in_order(state, [f"{batch:06d}"]).make(columns):
            rows = fingerprinted(frame, key)
            at = asked.find(rows)
            there = at >= 0
            was = asked.rows[at[there]]
            there[there] = (
                left[at[there]]
                & (was["batch"] == batch)
                & (was["values"] == rows["values"][there])
                & (was["values_2"] == rows["values_2"][there])
            )
            left[at[there]] = False
            lacking = [pl.lit(None, pl.String).alias(name) for name in _READERS if name not in frame.columns]
            yield frame.with_columns(*lacking).filter(pl.Series(there))


def _is_data(name: str) -> bool:
    return name not in OWN_COLUMNS


def _require_keys(place: str, frame: pl.DataFrame, key: Sequence[str]) -> None:
    for name in key:
        if absent := frame[name].null_count():
            raise AssayError(
                f"{place} has {plural(absent, 'row')} without {name}, so that nobody can say which row it was before. Fill it, "
                "or name other columns that identify a row: Source(key=…)."
            )


def _repeated(place: str, key: Sequence[str]) -> AssayError:
    return AssayError(
        f"{place} has several rows with the same {', '.join(key)}, so that nobody can say which row it was before. Name the "
        "columns that identify a row: Source(key=…)."
    )
