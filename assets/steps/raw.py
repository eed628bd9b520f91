"""Raw steps: what an upstream delivered, as delivered, with the way back to its bytes in every row.

The bytes of every delivered file are kept in the lake by their SHA-256 before anything else happens, refused files too.
A partition's delivery is taken whole or refused whole: then nothing is published, and the check says which file, which column
and what to do.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from assay.assets.sources import Delivery, DeliveryError, delivered_partitions, read_delivery, scan_partition
from assay.assets.sources.source import Files, Rows, Source
from assay.assets.sources.sql import read_changes
from assay.assets.steps.step import CheckSpec, NotReady, Resources, Step
from assay.checks import compare_columns, contract_info
from assay.checks.contract.contract import compiled
from assay.features.tables.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.parquet_files import PARTITION
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction

DELIVERY = "delivery"
RESENT = "resent"


def raw_step(source: Source) -> Step:
    """The step that fills `raw/<source>`."""
    reader = source.reader
    common: dict[str, Any] = {
        "outputs": (source.raw,),
        "code_version": hashlib.sha256(f"raw-1 {_identity(source)} {source.key}".encode()).hexdigest()[:16],
        "group": "ingest",
        "owner": contract_info(source.contract).owner,
        "description": f"{source.description} As delivered, with a link to the bytes in every row.".strip(),
    }
    if isinstance(reader, Files):
        return Step(
            prepare=lambda tx, env: _prepare_files(source, reader, tx, env),
            compute=lambda tx, env, taken: _compute_files(source, tx, env, taken),
            partitioning=source.partitioning,
            landed=lambda env: delivered_partitions(env.settings.landing_path, reader.pattern, source.partitioning),
            checks=(
                CheckSpec(
                    DELIVERY, source.raw, "Every file is readable and has the contract's columns.", blocking=True
                ),
                CheckSpec(RESENT, source.raw, "No file is one that already came (same bytes)."),
            ),
            kinds=tuple(suffix.removeprefix(".") for suffix in reader.suffixes),
            **common,
        )
    return Step(
        prepare=lambda tx, env: _prepare_rows(source, reader, tx, env),
        compute=lambda tx, env, batch: _compute_rows(source, tx, env, batch),
        batches=lambda env: [_next_batch(env.lake, source)],
        kinds=("sql",),
        **common,
    )


def _identity(source: Source) -> str:
    """What decides how the source is read, as text. Daily files in UTC have the one that they always had, so that nothing
    is read again for a new version of Assay."""
    reader, partitions = source.reader, source.partitioning
    if not isinstance(reader, Files):
        return repr(reader)
    if partitions.kind == "daily" and partitions.time_zone == "UTC" and partitions.end is None:
        first_day = date.fromisoformat(partitions.start)
        return f"Files(pattern={reader.pattern!r}, suffixes={reader.suffixes!r}, first_day={first_day!r})"
    return f"Files(pattern={reader.pattern!r}, suffixes={reader.suffixes!r}, partitioning={partitions!r})"


# -- files -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Taken:
    delivery: Delivery
    frame: pl.DataFrame


def _prepare_files(source: Source, reader: Files, tx: Transaction, env: Resources) -> list[Delivery]:
    key = tx.work.partition or ""
    found = scan_partition(env.settings.landing_path, reader.pattern, key, reader.suffixes)
    if not found:
        looked_for = reader.pattern.format(day=key, partition=key)
        raise NotReady(f"{source.name} has delivered nothing for {key} (looked for {looked_for}).")
    seen = _seen_elsewhere(env.lake, source.raw, key)
    taken: list[Delivery] = []
    for delivery in found:
        _keep(env.lake, delivery)
        first = seen.get(delivery.sha256) or next((t.path for t in taken if t.sha256 == delivery.sha256), None)
        if delivery.superseded_by is not None:
            continue
        if first is not None:
            message = f"{delivery.path} has the same bytes as {first}: taken once."
            tx.check(CheckResult(RESENT, source.raw, passed=False, severity="info", invalid=1, message=message))
            continue
        taken.append(delivery)
        tx.sources.append(_source_file(delivery, rows=0))
    return taken


def _source_file(delivery: Delivery, rows: int) -> SourceFile:
    return SourceFile(delivery.path, delivery.sha256, delivery.size, rows, kept_at(delivery.sha256))


def kept_at(sha256: str) -> str:
    """Where the lake keeps a delivered file's bytes."""
    return f"_landing/{sha256[:2]}/{sha256}"


def _keep(lake: Lake, delivery: Delivery) -> None:
    if lake.storage.size(kept_at(delivery.sha256)) != delivery.size:
        lake.storage.put_once(kept_at(delivery.sha256), delivery.content())


def _seen_elsewhere(lake: Lake, table: str, day: str) -> dict[str, str]:
    """SHA-256 → path of the files that other days' live rows came from."""
    try:
        writers = lake.table(table).at().writers(None)
    except TableMissing:
        return {}
    return {item.sha256: item.path for commit in writers if commit.partition != day for item in commit.sources}


def _compute_files(source: Source, tx: Transaction, env: Resources, deliveries: list[Delivery]) -> Mapping[str, Any]:
    taken, problems = [], []
    for number, delivery in enumerate(deliveries):
        env.progress(f"reading {source.name}", number, len(deliveries))
        try:
            frame = _as_agreed(source, delivery, read_delivery(delivery, delivery.content()))
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
    tx.write(source.raw, _linked(frames, batch, _arrived_before(env.lake, source.raw, tx.work.partition or "")))
    return {"files": [item.delivery.path for item in taken]}


def _as_agreed(source: Source, delivery: Delivery, frame: pl.DataFrame) -> pl.DataFrame:
    """The delivery with the contract's columns. A typed column may come in another type only if nothing is lost.

    Raises DeliveryError for a missing column, naming the one it was probably renamed to, and for a changed type.
    """
    columns = compiled(source.contract).columns
    expected = {column.name: str(column.dtype) for column in columns if column.required}
    delivered = {name: str(dtype) for name, dtype in frame.schema.items() if not name.startswith("_")}
    drift = compare_columns(expected, delivered)
    action = f"ask the upstream to re-send it as {delivery.next_revision} in the same folder, or change the contract"
    if drift.missing:
        partner = {old: new for old, new, _ in drift.renamed}
        column = drift.missing[0]
        likely = f" (there is a new column {partner[column]!r}: renamed?)" if column in partner else ""
        problem = f"the contract's column {column!r} is missing{likely}"
        raise DeliveryError(delivery.path, problem, action, column=column)
    dtypes = {column.name: column.dtype for column in columns}
    for name, wanted, found in drift.retyped:
        converted = _lossless(frame[name], dtypes[name])
        if converted is None:
            problem = f"column {name!r} is {found}, the contract says {wanted}, and converting would lose something"
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
    try:
        rows = lake.table(table).scan().filter(pl.col(PARTITION) == day)
    except TableMissing:
        return {}
    return dict(rows.select("_source_sha256", "_ingested_at").unique("_source_sha256").collect().iter_rows())


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


# -- rows of a database ------------------------------------------------------------------------------------------------


def _next_batch(lake: Lake, source: Source) -> str:
    try:
        known = lake.table(source.raw).at().partitions()
    except TableMissing:
        known = []
    return f"{int(known[-1]) + 1 if known else 1:06d}"


def _prepare_rows(source: Source, reader: Rows, tx: Transaction, env: Resources) -> pl.DataFrame:
    """The rows that changed since the last batch. Raises NotReady when there are none."""
    since, seen = None, None
    try:
        earlier = tx.read(source.raw, lookup=True)
    except TableMissing:
        earlier = None
    if earlier is not None:
        since = earlier.select(pl.col(reader.cursor).max()).collect().item()
        seen = earlier.filter(pl.col(reader.cursor) == since).collect()
    changes = read_changes(reader.url(env.settings), reader.table, reader.cursor, source.key, since, seen)
    if changes.is_empty():
        raise NotReady(f"{source.name} has no changes since {since}.")
    return changes


def _compute_rows(source: Source, tx: Transaction, env: Resources, changes: pl.DataFrame) -> Mapping[str, Any]:
    extract = changes.drop("_row_number", strict=False)
    content = extract.write_ndjson().encode()
    sha256 = hashlib.sha256(content).hexdigest()
    env.lake.storage.put_once(kept_at(sha256), content)
    path = f"{source.name}/extract-{tx.work.partition}.ndjson"
    tx.sources.append(SourceFile(path, sha256, len(content), changes.height, kept_at(sha256)))
    tx.check(CheckResult(DELIVERY, source.raw, passed=True, severity="block", evaluated=changes.height))
    tx.write(source.raw, _linked([(changes, path, sha256)], sha256[:16]))
    return {"files": [path]}
