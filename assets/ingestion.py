"""Rows or files handed over directly: the same steps as for a delivery, without Dagster and without a landing folder."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from assay.assets.sources.deliveries import Delivery, Part
from assay.assets.sources.dispatch import delivery_blocks, delivery_parts, read_delivery
from assay.assets.sources.reader import Reading, SourceReader
from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import NotReady, Resources, execute
from assay.errors import AssayError
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.partitioning import Partitioning

Given = pl.DataFrame | Sequence[Mapping[str, Any]] | str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What handing over a batch did. Rows in = clean + quarantined.

    Attributes:
        partition: the partition, or the number of the batch of a source without partitioning.
        rows_in: rows that arrived.
        rows_clean: rows that meet the contract, or were released by somebody.
        rows_quarantined: rows that broke a rule and stay in quarantine.
        changed: whether there is anything new; the same bytes again change nothing.
        snapshots: the versions of `raw/…`, `clean/…` and `quarantine/…` that hold the batch, by table.
    """

    source: str
    partition: str
    rows_in: int
    rows_clean: int
    rows_quarantined: int
    changed: bool
    snapshots: Mapping[str, Snapshot]

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"snapshots": {table: str(snapshot) for table, snapshot in self.snapshots.items()}}

    def __str__(self) -> str:
        what = "" if self.changed else ", unchanged"
        return (
            f"{self.source} {self.partition}: {self.rows_in} rows, {self.rows_clean} clean, "
            f"{self.rows_quarantined} quarantined{what}"
        )


@dataclass(frozen=True)
class _HandedOver(SourceReader):
    """A source's reader with the deliveries already in hand."""

    reader: SourceReader
    given: tuple[Delivery, ...]

    @property
    def states(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.reader.states

    def identity(self, partitioning: Partitioning) -> str:
        return self.reader.identity(partitioning)

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        return [replace(delivery, partition=reading.partition) for delivery in self.given]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        if delivery.file is None or self.reader.extracts:
            return read_delivery(delivery, delivery.content())
        return self.reader.read(delivery)

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        if delivery.file is None or self.reader.extracts:
            return delivery_blocks(delivery)
        return self.reader.blocks(delivery)

    def parts(self, delivery: Delivery) -> Iterator[Part]:
        if delivery.file is None or self.reader.extracts:
            return delivery_parts(delivery)
        return self.reader.parts(delivery)


def ingest(source: Source, env: Resources, data: Given, partition: str | None = None) -> Ingested:
    """Run the raw and the clean step of a source on data that is handed over.

    Args:
        source: a declared source.
        env: what steps use, as `Store.env()` gives it.
        data: a frame, or rows as dicts, whose Parquet bytes are kept by their SHA-256, or the path of one file, or paths.
        partition: which partition it is; what it held before is replaced. A source without partitioning takes none: the data
            is its next batch, unless the same bytes came before.

    Raises:
        AssayError: There is no such partition, a file cannot be read, or the batch was refused (`AuditFailed`: nothing was
            published, and the message says why).
    """
    if source.reader.compares:
        raise AssayError(
            f"{source.name} is compared with a table elsewhere, and cannot be handed rows: what these do not have would not be "
            f"deleted. Run `assay materialize {source.raw}`, or declare another source."
        )
    given = _deliveries(source, env, data)
    step = raw_step(replace(source, reader=_HandedOver(source.reader, given)))
    if source.partitioning.is_partitioned:
        if partition is None:
            raise AssayError(f"Say which of the {source.partitioning} of {source.name} this is: partition=….")
        source.partitioning.require(partition)
    elif partition is not None:
        raise AssayError(f"{source.name} has no partitions: leave partition={partition!r} out.")
    elif step.batches is not None:
        (partition,) = step.batches(env)
    try:
        changed = execute(step, env, partition, remembered=False).changed
    except NotReady:
        changed, partition = False, _batch_with(source, env, given)
    changed |= execute(clean_step(source), env, partition, remembered=False).changed
    return _ingested(source, env, str(partition), changed)


def _deliveries(source: Source, env: Resources, data: Given) -> tuple[Delivery, ...]:
    again = f"store.ingest({source.name!r}, …)"
    data = _frame_of(source, data)
    if isinstance(data, pl.DataFrame):
        content = io.BytesIO()
        try:
            data.write_parquet(content)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
            raise AssayError(
                f"The rows for {source.name} cannot be kept as Parquet ({type(problem).__name__}): convert their columns to "
                "plain types."
            ) from None
        delivery = Delivery.of_bytes(f"{source.name}/frame", content.getvalue(), "")
        return (replace(delivery, path=f"{source.name}/{delivery.sha256[:12]}.parquet", handed_over=again),)
    files = [Path(item) for item in ([data] if isinstance(data, str | Path) else data)]
    if not files:
        raise AssayError(f"There is no file for {source.name}: give at least one.")
    deliveries = []
    for file in files:
        try:
            sha256, size = env.hashes.of(file)
        except OSError as problem:
            raise AssayError(f"{file} cannot be read ({problem.strerror}): check the path.") from None
        deliveries.append(Delivery(f"{source.name}/{file.name}", file, sha256, size, "", handed_over=again))
    return tuple(deliveries)


def _frame_of(source: Source, data: Given) -> pl.DataFrame | str | Path | Sequence[str | Path]:
    """Rows as dicts become a frame. Raises AssayError for what is neither rows nor paths."""
    if isinstance(data, pl.DataFrame | str | Path):
        return data
    items = list(data) if isinstance(data, list | tuple) else [data]
    if items and all(isinstance(item, Mapping) for item in items) and isinstance(data, list | tuple):
        try:
            return pl.DataFrame(items, infer_schema_length=None)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as problem:
            raise AssayError(
                f"The rows for {source.name} do not fit into one table ({type(problem).__name__}): give each column values of "
                "one type."
            ) from None
    wrong = next((item for item in items if not isinstance(item, str | Path)), None)
    if wrong is not None:
        raise AssayError(
            f"{source.name} cannot be given a {type(wrong).__name__}: give a polars DataFrame, a list of rows as dicts, or the "
            "path of a file, or several."
        )
    return [item for item in items if isinstance(item, str | Path)]


def _batch_with(source: Source, env: Resources, given: Sequence[Delivery]) -> str | None:
    """The batch that holds these bytes already."""
    state = env.lake.table(source.raw).at()
    found = (state.index.source(delivery.sha256, state.version) for delivery in given)
    return min((item[:2] for item in found if item is not None), default=(0, None))[1]


def _ingested(source: Source, env: Resources, partition: str, changed: bool) -> Ingested:
    rows, snapshots = {}, {}
    for table in (source.raw, source.clean, source.quarantine):
        state = env.lake.table(table).at()
        (commit, *_) = state.writers([partition])
        rows[table], snapshots[table] = state.rows([partition]), state.table_snapshot(commit.version)
    arrived, clean = rows[source.raw], rows[source.clean]
    return Ingested(source.name, partition, arrived, clean, arrived - clean, changed, snapshots)
