"""The rows of deliveries as raw tables take them: agreed types, numbered, linked to their bytes, one frame after the other.

What is wrong with a delivery may show only at its last record. So the rows are read once, and whoever takes them asks
`problems` afterwards: where there are any, nothing of the partition may be published.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

import polars as pl

from assay.assets.sources.csv_dialect import USUAL, Csv, dialect_seen
from assay.assets.sources.deliveries import Delivery, DeliveryError, Part, RecordsBeside
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.file_names import suffix_of
from assay.assets.sources.landing.leftovers import Leftover
from assay.assets.sources.reader import SourceReader
from assay.assets.sources.source import Source
from assay.assets.sources.undeclared import Kept, declared_names, kept_of, kept_of_rows
from assay.checks import compare_columns
from assay.checks.contract.columns import how_to_do_without, how_to_rename, how_to_retype
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import Column
from assay.checks.validation.parse import typed
from assay.errors import AssayError, plural, refuse_case_twins
from assay.features.storage.column_names import first_unusable
from assay.own_columns import SEEN_AT, delivered_name, is_link, upstream_name

AT_ONCE = 1 << 28  # bytes of first frames that are kept while the other deliveries are looked at
# A day on which everything was sent before is a batch of no rows, which is still a batch.
_READERS = ("_row_number", "_defect", "_line", "_json")  # which a reader may give
_LINKS = {
    "_row_number": pl.Int64(),
    "_defect": pl.String(),
    "_line": pl.String(),
    "_source_file": pl.String(),
    "_source_sha256": pl.String(),
    "_batch_id": pl.String(),
    "_ingested_at": pl.Datetime("us", "UTC"),
}


@dataclass(slots=True)
class _Opened:
    """A delivery of which the columns are known, of each of its parts. `first` and `rest` are its rows; None: they are to be
    read from the start."""

    delivery: Delivery
    parts: list[tuple[Delivery, pl.DataFrame]]
    first: pl.DataFrame | None
    rest: Iterator[pl.DataFrame] | None


@dataclass(slots=True)
class DeliveredRows:
    """The rows of some deliveries of a source. `linked` reads them all; then `problems` says what was wrong, and `rows` how
    many each delivery has, by its SHA-256. `known` are the columns that raw has; `holds_from` is when a state begins to hold;
    `remarks` say what is kept otherwise, and `unread` which files in a delivery are not read."""

    source: Source
    deliveries: Sequence[Delivery]
    hashes: FileHashes
    progress: Callable[[str, int, int], None]
    known: Mapping[str, pl.DataType] = field(default_factory=dict)
    holds_from: datetime | None = None
    remarks: list[str] = field(default_factory=list)
    unread: list[Leftover] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    def linked(self, batch: str, arrived: Mapping[str, datetime]) -> Iterator[pl.DataFrame]:
        """Frames with the same columns: all that any delivery has, and the links. Of no delivery it is one without rows.

        Args:
            batch: What the batch is called.
            arrived: When each delivery came in, by its SHA-256.
        """
        opened = self._opened()
        kept = self._kept(opened)
        seen = [] if self.holds_from is None else [pl.lit(self.holds_from, _LINKS["_ingested_at"]).alias(SEEN_AT)]

        def link(rows: pl.DataFrame, delivery: Delivery) -> pl.DataFrame:
            return kept.of(rows).with_columns(
                *seen,
                pl.lit(delivery.path).alias("_source_file"),
                pl.lit(delivery.sha256).alias("_source_sha256"),
                pl.lit(batch).alias("_batch_id"),
                pl.lit(arrived[delivery.sha256], dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
            )

        columns = [link(columns, part) for one in opened for part, columns in one.parts] or [
            pl.DataFrame(schema=_LINKS)
        ]
        like = pl.concat(columns, how="diagonal")
        yield like
        for number, one in enumerate(opened):
            self.progress(f"reading {self.source.name}", number, len(opened))
            try:
                for part, rows in self._all(one):
                    self.rows[one.delivery.sha256] = self.rows.get(one.delivery.sha256, 0) + rows.height
                    if not self.problems:
                        yield pl.concat([like, link(rows, part)], how="diagonal")
                    del rows
            except DeliveryError as problem:
                self._refuse(one.delivery, problem)
        may_be_empty = all(suffix_of(part.path).startswith(".parquet") for one in opened for part, _ in one.parts)
        if unfit := sum(len(one.delivery.beside.unfit) for one in opened if one.delivery.beside):
            self.remarks.append(
                f"{plural(unfit, 'record')} did not fit beside the others, and went to quarantine as unreadable: a name that "
                "differs only in case from another, more names than all may have together, or values under two names of one "
                "column."
            )
        if opened and may_be_empty and not any(self.rows.values()):  # a part of a batch may have none
            for one in opened:
                problem = f"has no rows ({one.delivery.size:,} bytes)"
                self._refuse(one.delivery, DeliveryError(one.delivery.path, problem, one.delivery.how_to_correct))

    def _kept(self, opened: Sequence[_Opened]) -> Kept:
        """How the columns that the contract does not know are kept."""
        declared = declared_names(self.source.contract)
        schemas = [columns.schema for one in opened for _, columns in one.parts]
        if self.source.reader.extracts:
            kept = kept_of_rows(schemas, declared, self.known, self.source.name)
        else:
            kept = kept_of(schemas, declared, self.known)
        self.remarks += kept.remarks
        return kept

    def _opened(self) -> list[_Opened]:
        """The deliveries that can be used as far as their first rows show, which say what columns there are."""
        opened: list[_Opened] = []
        types: dict[str, tuple[pl.DataType, str]] = {}
        kept = 0
        there: dict[str, None] = {}
        for delivery in self.deliveries:
            if self.source.reader.single_records:
                delivery = replace(delivery, beside=self._beside(there))
            one, usable = _Opened(delivery, [], None, None), True
            try:
                for part, frames in self._parts(delivery, self.unread):
                    try:
                        first = next(frames)
                        _require_same_types(self.source, part, first, types)
                    except DeliveryError as problem:
                        self._refuse(delivery, problem)
                        usable = False
                        continue
                    one.parts.append((part, first.clear()))
                    there |= dict.fromkeys(first.columns)
                    kept += first.estimated_size() if part is delivery else 0
                    if part is delivery and (len(self.deliveries) == 1 or kept <= AT_ONCE):
                        one.first, one.rest = first, frames
                    del first, frames
            except DeliveryError as problem:
                self._refuse(delivery, problem)
                continue
            if usable:
                opened.append(one)
        return opened

    def _beside(self, before: Iterable[str]) -> RecordsBeside:
        """What the next delivery has to fit beside, in the upstream's words."""
        columns = compiled(self.source.contract).columns
        names = [tuple(map(upstream_name, (column.name, *column.options.was))) for column in columns]
        data = (upstream_name(name) for name in (*self.known, *before) if not is_link(name))
        return RecordsBeside(frozenset({*data, *chain(*names)}), [one for one in names if one[1:]])

    def _all(self, one: _Opened) -> Iterator[tuple[Delivery, pl.DataFrame]]:
        """All rows of a delivery, each frame with the part that it is from."""
        first, rest = one.first, one.rest
        one.first = one.rest = None
        if first is None or rest is None:
            for part, frames in self._parts(one.delivery):
                for rows in frames:
                    yield part, rows
                    del rows
            return
        yield one.delivery, first
        del first
        for rows in rest:
            yield one.delivery, rows
            del rows

    def _parts(
        self, delivery: Delivery, unread: list[Leftover] | None = None
    ) -> Iterator[tuple[Delivery, Iterator[pl.DataFrame]]]:
        """The parts of a delivery that are read, as deliveries of the same bytes, with their rows. A delivery that is one part
        is itself. Raises DeliveryError."""
        with _explained(delivery, self.source.reader):
            for part in self.source.reader.parts(delivery):
                one = delivery if part.path == delivery.path else delivery.member(part.path)
                if part.frames is not None:
                    yield one, self._read(one, part, part.frames)
                elif unread is not None:
                    unread.append(Leftover(part.path, part.why))

    def _refuse(self, delivery: Delivery, problem: DeliveryError) -> None:
        self.problems.append(str(problem))
        if delivery.file is not None:
            self.hashes.forget(delivery.file)  # changed where its size, time and inode do not show it

    def _read(self, delivery: Delivery, part: Part, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The records of a part, numbered, with the contract's columns: at least one frame. Raises DeliveryError."""
        rows, columns = 0, None
        with _explained(delivery, self.source.reader):
            for frame in frames:
                _require_names(frame, delivery)
                agreed = frame
                if self.source.reader.single_records:
                    agreed = _completed(agreed, self.source)
                if not self.source.reader.extracts:
                    numbered = _numbered(_apart(agreed, delivery), rows)
                    try:
                        agreed = _as_agreed(self.source, delivery, numbered, part.csv)
                    except DeliveryError:
                        # What is wrong with the whole, such as its encoding, says why: it is raised here.
                        for _ in frames:
                            pass
                        raise
                if columns is not None and agreed.schema != columns:
                    raise DeliveryError(
                        delivery.path,
                        f"was given by {type(self.source.reader).__name__} in frames with different columns",
                        "correct the reader's `blocks`, and run again",
                    )
                columns = agreed.schema
                rows += frame.height
                del frame
                yield agreed
                del agreed
        if columns is None:
            raise DeliveryError(
                delivery.path,
                f"was read by {type(self.source.reader).__name__} without giving any frame",
                "have the reader's `blocks` give at least one, which may be empty",
            )


@contextmanager
def _explained(delivery: Delivery, reader: SourceReader) -> Iterator[None]:
    """Raise DeliveryError for whatever a reader raises: the text of a foreign error may hold values of the file."""
    try:
        yield
    except AssayError:
        raise
    except Exception as problem:
        why = f"cannot be read by {type(reader).__name__} ({type(problem).__name__})"
        raise DeliveryError(delivery.path, why, "correct the file or the reader, and run again") from problem


def _require_names(frame: pl.DataFrame, delivery: Delivery) -> None:
    """Raise DeliveryError for a column that no table can hold. Its name may be anything, so the error gives its position."""
    if (found := first_unusable(frame.schema.items())) is not None:
        position, why = found
        action = f"have it renamed: {delivery.how_to_correct}"
        raise DeliveryError(delivery.path, f"this column {why}", action, column=f"#{position}")


def _completed(frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The frame with the contract's columns that it lacks, without values."""
    missing = [
        column.name
        for column in compiled(source.contract).columns
        if not {column.name, *column.options.was} & set(frame.columns)
    ]
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)


def _apart(frame: pl.DataFrame, delivery: Delivery) -> pl.DataFrame:
    """The frame, of which no column but a reader's own has the name of one of ours."""
    taken = [name for name in frame.columns if is_link(name) and name not in _READERS]
    for name in taken:
        if delivered_name(name) in frame.columns:
            problem = f"has both {name!r} and {delivered_name(name)!r}, and the first is kept under the second name"
            raise DeliveryError(delivery.path, problem, "have the reader rename one")
    return frame.rename({name: delivered_name(name) for name in taken}) if taken else frame


def _numbered(frame: pl.DataFrame, before: int) -> pl.DataFrame:
    missing = {
        "_row_number": pl.int_range(before + 1, before + pl.len() + 1, dtype=pl.Int64),
        "_defect": pl.lit(None, pl.String),
        "_line": pl.lit(None, pl.String),
    }
    return frame.with_columns(value.alias(name) for name, value in missing.items() if name not in frame.columns)


def _as_agreed(source: Source, delivery: Delivery, frame: pl.DataFrame, csv: Csv = USUAL) -> pl.DataFrame:
    """The delivery with the contract's columns. A typed column may come in another type only if the contract reads each value.

    Raises DeliveryError for a missing column, naming the one it was probably renamed to, and for a changed type.
    """
    try:
        refuse_case_twins(frame.columns, "the delivery")
    except AssayError as problem:
        raise DeliveryError(delivery.path, str(problem), delivery.how_to_correct) from None
    columns = compiled(source.contract).columns
    called = _names(columns, frame, delivery, several=source.reader.single_records)
    expected = {column.name: str(column.dtype) for column in columns if column.required}
    present = {name: column for column, name in called.items()}
    delivered = {present.get(name, name): str(dtype) for name, dtype in frame.schema.items() if not is_link(name)}
    drift = compare_columns(expected, delivered)
    action = f"{delivery.how_to_correct}, or change the contract: "
    if drift.missing:
        partner = {old: new for old, new, _ in drift.renamed}
        column = drift.missing[0]
        likely = f" (there is a new column {partner[column]!r}: renamed?)" if column in partner else ""
        former = next(one.options.was for one in columns if one.name == column)
        action += (
            how_to_rename(column, partner[column], former)
            if column in partner
            else how_to_do_without(column, expected[column])
        )
        problem = f"the contract's column {column!r} is missing{likely}"
        if delivered.keys() <= {(header := ",".join(delivered))} and (seen := dialect_seen(header, csv)) is not None:
            problem, action = (
                f"{problem}; {seen.what}",
                f"{seen.declare}, or {delivery.how_to_correct}",
            )
        raise DeliveryError(delivery.path, problem, action, column=column)
    declared = {column.name: column for column in columns}
    for name, wanted, actual in drift.retyped:
        converted = _lossless(frame[called.get(name, name)], declared[name])
        if converted is None:
            problem = f"column {name!r} is {actual}, and the contract cannot read all of its values as {wanted}"
            if isinstance(frame.schema[called.get(name, name)], pl.Datetime) and isinstance(
                declared[name].dtype, pl.Datetime
            ):
                problem += " (if times without a zone mean UTC, the field says so: naive_utc=True)"
            raise DeliveryError(delivery.path, problem, action + how_to_retype(name, actual), column=name)
        frame = frame.with_columns(converted)
    return frame


def _names(columns: Sequence[Column], frame: pl.DataFrame, delivery: Delivery, *, several: bool) -> dict[str, str]:
    """Column -> the former name under which the delivery has it. Raises DeliveryError for one that has two of its names, unless
    it may have `several`, each record under one of them."""
    called: dict[str, str] = {}
    for column in columns:
        names = [name for name in (column.name, *column.options.was) if name in frame.columns]
        if len(names) > 1 and not several:
            problem = f"has both {names[0]!r} and {names[1]!r}, and the contract says that they are names of one column"
            action = f"{delivery.how_to_correct}, or remove was= from the contract and declare both"
            raise DeliveryError(delivery.path, problem, action, column=column.name)
        if names and names[0] != column.name:
            called[column.name] = names[0]
    return called


def _require_same_types(
    source: Source, delivery: Delivery, frame: pl.DataFrame, types: dict[str, tuple[pl.DataType, str]]
) -> None:
    """Raise DeliveryError for a column of the contract that has another type than in a file of the same day: text and typed
    files. `types` are those of the files before, with the path of the first, to which this one's are added."""
    delivered, own = frame.schema, dict[str, tuple[pl.DataType, str]]()
    for column in compiled(source.contract).columns:
        names = (column.name, *column.options.was)
        if (dtype := next((delivered[name] for name in names if name in delivered), None)) is not None:
            known, path = types.get(column.name, (dtype, delivery.path))
            if known != dtype:
                problem = f"is {dtype} here and {known} in {path}"
                raise DeliveryError(delivery.path, problem, "deliver one format per source", column=column.name)
            own[column.name] = known, path
    types.update(own)


def _lossless(values: pl.Series, column: Column) -> pl.Series | None:
    """The values in the contract's type, or None where the contract itself could not read one of them."""
    value = typed(pl.col(values.name), values.dtype, column).alias(values.name)
    read = values.to_frame().with_columns(value).to_series()
    return read if read.null_count() == values.null_count() else None
