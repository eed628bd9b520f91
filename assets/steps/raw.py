"""Raw steps: what an upstream delivered, as delivered, with the way back to its bytes in every row.

The bytes of every delivered file are kept in the lake by their SHA-256 before anything else happens, refused files too.
A partition's delivery is taken whole or refused whole: then nothing is published, and the check says which file, which column
and what to do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.reader import NothingDelivered, Reading
from assay.assets.sources.source import Source
from assay.assets.steps.column_notes import contract_notes
from assay.assets.steps.step import CheckSpec, NotReady, Resources, Step
from assay.assets.steps.watched import Concern, Trust, Watched
from assay.checks import compare_columns, contract_info
from assay.checks.contract.contract import compiled
from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, TableMissing, TableState
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction

DELIVERY = "delivery"
RESENT = "resent"


def raw_step(source: Source) -> Step:
    """The step that fills `raw/<source>`."""
    reader, partitioned = source.reader, source.partitioning.is_partitioned
    checks = (
        CheckSpec(DELIVERY, source.raw, "Every file is readable and has the contract's columns.", blocking=True),
        CheckSpec(RESENT, source.raw, "No file is one that already came (same bytes)."),
    )
    return Step(
        outputs=(source.raw,),
        prepare=lambda tx, env: _prepare(source, tx, env),
        keep=lambda tx, env, observed: _keep(env, observed.listed),
        compute=lambda tx, env, observed: _compute(source, tx, env, observed.taken),
        code_version=hashlib.sha256(f"raw-1 {reader.identity(source.partitioning)} {source.key}".encode()).hexdigest()[
            :16
        ],
        partitioning=source.partitioning,
        watched=_watched(source) if partitioned else None,
        landed=(lambda env: reader.partitions(env.settings, source.partitioning)) if partitioned else None,
        batches=None if partitioned else lambda env: [_next_batch(env.lake, source)],
        checks=() if reader.extracts else checks,
        kinds=reader.kinds,
        columns={source.raw: contract_notes(source.contract)},
        owner=contract_info(source.contract).owner or "",
        description=f"{source.description} As delivered, with a link to the bytes in every row.".strip(),
    )


def _watched(source: Source) -> Watched:
    """Besides its files, a partition depends on which of their bytes other partitions hold."""
    return Watched(
        {source.raw: Concern(files=True)},
        marks=lambda settings: source.reader.marks(settings, source.partitioning),
        trust=lambda observed: Trust(files=frozenset(delivery.sha256 for delivery in observed.listed)),
    )


@dataclass(frozen=True, slots=True)
class _Observed:
    """What an upstream has delivered: everything, and what of it makes the batch."""

    listed: Sequence[Delivery]
    taken: list[Delivery]


@dataclass(frozen=True, slots=True)
class _Taken:
    delivery: Delivery
    frame: pl.DataFrame


def _prepare(source: Source, tx: Transaction, env: Resources) -> _Observed:
    """Looks at what was delivered and writes nothing. Raises NotReady where there is nothing (new)."""
    key = tx.work.partition or ""
    try:
        listed = source.reader.deliveries(_reading(source, key, tx, env))
    except NothingDelivered as nothing:
        raise NotReady(str(nothing)) from None
    if not listed:
        raise NotReady(f"{source.name} has delivered nothing for {key}.")
    before = _at(env.lake, source.raw)
    taken: list[Delivery] = []
    for delivery in listed:
        if delivery.superseded_by is not None:
            continue
        elsewhere = before.index.source(delivery.sha256, before.version, outside=key) if before else None
        first = elsewhere[2] if elsewhere else next((t.path for t in taken if t.sha256 == delivery.sha256), None)
        if first is not None:
            if source.partitioning.is_partitioned:  # without, everything that was read before is listed again
                message = f"{delivery.path} has the same bytes as {first}: taken once."
                tx.check(CheckResult(RESENT, source.raw, passed=False, severity="info", invalid=1, message=message))
            continue
        taken.append(delivery)
        tx.sources.append(_source_file(delivery, rows=0))
    if not taken and not source.partitioning.is_partitioned:
        raise NotReady(f"{source.name} has delivered nothing new.")
    return _Observed(listed, taken)


def _reading(source: Source, key: str, tx: Transaction, env: Resources) -> Reading:
    def earlier() -> pl.LazyFrame | None:
        try:
            return tx.read(source.raw, lookup=True)
        except TableMissing:
            return None

    return Reading(source.name, source.key, key, source.partitioning, env.settings, earlier, env.hashes)


def _source_file(delivery: Delivery, rows: int) -> SourceFile:
    return SourceFile(delivery.path, delivery.sha256, delivery.size, rows, kept_at(delivery.sha256))


def kept_at(sha256: str) -> str:
    """Where the lake keeps a delivered file's bytes."""
    return f"_landing/{sha256[:2]}/{sha256}"


def _keep(env: Resources, deliveries: Sequence[Delivery]) -> None:
    storage = env.lake.storage
    for delivery in deliveries:
        if storage.size(kept_at(delivery.sha256)) != delivery.size:
            try:
                storage.keep(kept_at(delivery.sha256), delivery.content())
            except DeliveryError:
                if delivery.file is not None:
                    env.hashes.forget(delivery.file)  # changed where its size, time and inode do not show it
                raise


def _next_batch(lake: Lake, source: Source) -> str:
    state = _at(lake, source.raw)
    last = state.last_partition() if state else None
    return f"{int(last) + 1 if last else 1:06d}"


def _at(lake: Lake, table: str) -> TableState | None:
    """The table as it is now, if there is one. Not pinned: what other partitions hold is no input of this one."""
    try:
        return lake.table(table).at()
    except TableMissing:
        return None


def _compute(source: Source, tx: Transaction, env: Resources, deliveries: list[Delivery]) -> Mapping[str, Any]:
    taken, problems = [], []
    for number, delivery in enumerate(deliveries):
        env.progress(f"reading {source.name}", number, len(deliveries))
        try:
            frame = _read(source, delivery, env)
            _require_same_types(delivery, frame, taken)
        except DeliveryError as problem:
            problems.append(str(problem))
        else:
            taken.append(_Taken(delivery, frame))
    tx.check(
        CheckResult(
            DELIVERY,
            source.raw,
            passed=not problems,
            severity="block",
            evaluated=len(deliveries),
            invalid=len(problems),
            message=" | ".join(problems),
        )
    )
    tx.audit()
    tx.sources[:] = [_source_file(item.delivery, item.frame.height) for item in taken]
    batch = hashlib.sha256(" ".join(sorted(item.delivery.sha256 for item in taken)).encode()).hexdigest()[:16]
    frames = [(item.frame, item.delivery.path, item.delivery.sha256) for item in taken]
    arrived = _arrived_before(env.lake, source.raw, tx.work.partition or "")
    # Of others the time that their bytes were kept: the same for everybody who takes them at this moment.
    for item in taken:
        sha256 = item.delivery.sha256
        arrived.setdefault(sha256, env.lake.storage.modified(kept_at(sha256)) or datetime.now(UTC))
    tx.write(source.raw, _linked(frames, batch, arrived))
    return {"files": [item.delivery.path for item in taken]}


def _read(source: Source, delivery: Delivery, env: Resources) -> pl.DataFrame:
    """The records of a delivery, numbered, with the contract's columns. Raises DeliveryError."""
    try:
        frame = source.reader.read(delivery)
    except DeliveryError:
        if delivery.file is not None:
            env.hashes.forget(delivery.file)
        raise
    except AssayError:
        raise
    except Exception as problem:
        # The text of a foreign error may hold values of the file.
        why = f"cannot be read by {type(source.reader).__name__} ({type(problem).__name__})"
        raise DeliveryError(delivery.path, why, "correct the file or the reader, and run again") from problem
    if source.reader.extracts:
        return frame
    missing = {
        "_row_number": pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        "_defect": pl.lit(None, pl.String),
        "_line": pl.lit(None, pl.String),
    }
    added = [value.alias(name) for name, value in missing.items() if name not in frame.columns]
    return _as_agreed(source, delivery, frame.with_columns(added))


def _as_agreed(source: Source, delivery: Delivery, frame: pl.DataFrame) -> pl.DataFrame:
    """The delivery with the contract's columns. A typed column may come in another type only if nothing is lost.

    Raises DeliveryError for a missing column, naming the one it was probably renamed to, and for a changed type.
    """
    columns = compiled(source.contract).columns
    expected = {column.name: str(column.dtype) for column in columns if column.required}
    delivered = {name: str(dtype) for name, dtype in frame.schema.items() if not name.startswith("_")}
    drift = compare_columns(expected, delivered)
    action = f"{delivery.how_to_correct}, or change the contract"
    if drift.missing:
        partner = {old: new for old, new, _ in drift.renamed}
        column = drift.missing[0]
        likely = f" (there is a new column {partner[column]!r}: renamed?)" if column in partner else ""
        problem = f"the contract's column {column!r} is missing{likely}"
        raise DeliveryError(delivery.path, problem, action, column=column)
    dtypes = {column.name: column.dtype for column in columns}
    for name, wanted, actual in drift.retyped:
        converted = _lossless(frame[name], dtypes[name])
        if converted is None:
            problem = f"column {name!r} is {actual}, the contract says {wanted}, and converting would lose something"
            raise DeliveryError(delivery.path, problem, action, column=name)
        frame = frame.with_columns(converted)
    return frame


def _require_same_types(delivery: Delivery, frame: pl.DataFrame, taken: list[_Taken]) -> None:
    """Raise DeliveryError for a column that has another type than in a file of the same day: text and typed files."""
    for other in taken:
        for name in frame.columns:
            if name in other.frame.columns and frame.schema[name] != other.frame.schema[name]:
                problem = f"is {frame.schema[name]} here and {other.frame.schema[name]} in {other.delivery.path}"
                raise DeliveryError(delivery.path, problem, "deliver one format per source", column=name)


def _lossless(values: pl.Series, wanted: pl.DataType) -> pl.Series | None:
    """The values in another type, or None where the way back does not give the same ones. A time without a zone is not
    converted: which instant it means is for the upstream to say."""
    if isinstance(wanted, pl.Datetime) and getattr(values.dtype, "time_zone", None) is None:
        return None
    try:
        converted = values.cast(wanted, strict=True)
        return converted if converted.cast(values.dtype, strict=True).equals(values, null_equal=True) else None
    except pl.exceptions.PolarsError:
        return None


def _arrived_before(lake: Lake, table: str, day: str) -> dict[str, datetime]:
    """When the files that the day already holds came in: bytes that stay keep their time of arrival."""
    state = _at(lake, table)
    if state is None or not state.partitioned:
        return {}
    rows = state.scan([day]).select("_source_sha256", "_ingested_at")
    return dict(rows.unique("_source_sha256").collect().iter_rows())


def _linked(
    frames: list[tuple[pl.DataFrame, str, str]], batch: str, arrived: Mapping[str, datetime] | None = None
) -> pl.DataFrame:
    """The frames as one, each row linked to its file."""
    now = datetime.now(UTC)
    linked = [
        frame.with_columns(
            pl.lit(path).alias("_source_file"),
            pl.lit(sha256).alias("_source_sha256"),
            pl.lit(batch).alias("_batch_id"),
            pl.lit((arrived or {}).get(sha256, now), dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
        )
        for frame, path, sha256 in frames
    ]
    return pl.concat(linked, how="diagonal") if linked else pl.DataFrame(schema=_LINKS)


# A day on which everything was sent before is a batch of no rows, which is still a batch.
_LINKS = {
    "_row_number": pl.Int64(),
    "_defect": pl.String(),
    "_line": pl.String(),
    "_source_file": pl.String(),
    "_source_sha256": pl.String(),
    "_batch_id": pl.String(),
    "_ingested_at": pl.Datetime("us", "UTC"),
}
