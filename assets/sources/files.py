"""`Files`: what upstreams drop into the landing folder, by partition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.deliveries import (
    Delivery,
    FolderError,
    delivered_partitions,
    folders_outside,
    scan_partition,
    split_pattern,
    unplaced_folders,
)
from assay.assets.sources.dispatch import SUFFIXES, delivery_blocks, read_delivery
from assay.assets.sources.file_names import COMPRESSED
from assay.assets.sources.leftovers import Leftover, described, left_among, left_in
from assay.assets.sources.listing import Delivered, delivered_since, names_in
from assay.assets.sources.reader import NothingDelivered, Reading, SourceReader
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings


@dataclass(frozen=True)
class Files(SourceReader):
    """Files dropped into a folder per partition: `Files("tickets/{day}/*", (".csv", ".jsonl"))`.

    The pattern is relative to the landing folder; `{day}` (or `{partition}`, which means the same) is the key of the
    source's partitioning, such as `2026-09-01`, or `2026-09` of a monthly source. One partition is one batch: it is read
    whole, or refused whole.

    Suffixes are those of a reader, also with `.gz` after them, and their case does not matter. What matches the pattern and has
    none of them is not read, and the check `unread` names it. `csv` says how CSV files are written, where it is not with commas
    and in UTF-8: `csv=Csv(separator=";", encoding="cp1252")`. `first_day` is the old way to say
    `partitioning=Partitioning.daily(…)` of the source.
    """

    pattern: str
    suffixes: tuple[str, ...]
    first_day: date | None = None
    csv: Csv = USUAL

    def __post_init__(self) -> None:
        split_pattern(self.pattern)
        for suffix in self.suffixes:
            if suffix.lower().removesuffix(COMPRESSED) not in SUFFIXES:
                raise AssayError(f"Files({self.pattern!r}): nothing reads {suffix!r}; there are {', '.join(SUFFIXES)}.")

    @property
    def kinds(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(suffix.removeprefix(".") for suffix in self.suffixes)

    def identity(self, partitioning: Partitioning) -> str:
        """Daily files in UTC have the one that they always had, so that nothing is read again for a new version of Assay."""
        how = f"partitioning={partitioning!r}"
        if partitioning.kind == "daily" and partitioning.time_zone == "UTC" and partitioning.end is None:
            how = f"first_day={date.fromisoformat(partitioning.start)!r}"
        how += f", csv={self.csv!r}" if self.csv != USUAL else ""
        return f"Files(pattern={self.pattern!r}, suffixes={self.suffixes!r}, {how})"

    def partitions(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        return delivered_partitions(settings.landing_path, self.pattern, partitioning)

    def delivered(self, settings: Settings, partitioning: Partitioning, before: bytes = b"") -> Delivered:
        return delivered_since(settings.landing_path, self.pattern, partitioning, before)

    def unplaced(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        if not partitioning.is_partitioned:
            return []
        return unplaced_folders(settings.landing_path, self.pattern, partitioning, self.suffixes)

    def outside(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        return folders_outside(settings.landing_path, self.pattern, partitioning) if partitioning.is_timed else []

    def leftovers(
        self, settings: Settings, partitioning: Partitioning, partition: str | None = None, seen: bytes = b""
    ) -> Sequence[Leftover]:
        landing = settings.landing_path
        if partition is not None:
            return left_in(landing, self.pattern, partition, self.suffixes)
        if not seen:
            keys = self.partitions(settings, partitioning)
            return [one for key in keys for one in left_in(landing, self.pattern, key, self.suffixes)]
        return left_among(self.pattern, self.suffixes, names_in(seen), prefix=split_pattern(self.pattern)[0])

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        try:
            files = scan_partition(reading.landing, self.pattern, reading.partition, self.suffixes, reading.hashes)
        except FolderError as found:
            problem = f"{found.problem}, so nothing of {reading.source} is taken for {reading.partition}"
            raise FolderError(found.path, problem, found.action) from found
        if not files:
            looked_for = self.pattern.format(day=reading.partition, partition=reading.partition)
            left = described(left_in(reading.landing, self.pattern, reading.partition, self.suffixes))
            message = f"{reading.source} has delivered nothing for {reading.partition} (looked for {looked_for})."
            raise NothingDelivered(f"{message} {left}".strip())
        return files

    def read(self, delivery: Delivery) -> pl.DataFrame:
        return read_delivery(delivery, delivery.content(), self.csv)

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        return delivery_blocks(delivery, self.csv)
