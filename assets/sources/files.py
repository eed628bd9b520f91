"""`Files`: what upstreams drop into the landing folder, by partition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.deliveries import Delivery, FolderError, Part
from assay.assets.sources.dispatch import SUFFIXES, delivery_blocks, delivery_parts, read_delivery
from assay.assets.sources.excel.declared import USUAL_EXCEL, Excel
from assay.assets.sources.file_names import suffix_of, uncompressed
from assay.assets.sources.landing.delivered import Delivered
from assay.assets.sources.landing.landing import Folder, Landing
from assay.assets.sources.landing.leftovers import Leftover, described, why_unplaced
from assay.assets.sources.landing.pattern import require_pattern
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.reader import NothingDelivered, Reading, SourceReader
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings
from assay.stable_text import stable_text

_OF_PATTERN = ("of the pattern",)


@dataclass(frozen=True)
class Files(SourceReader):
    """Files dropped into places that say the partition: `Files("tickets/{day}/*", (".csv", ".jsonl"))`,
    `Files("shop/orders_{day}.csv", (".csv",))`.

    The pattern is relative to the landing folder, with the wildcards of `glob`, also `**`. `{hour}`, `{day}`, `{week}`,
    `{month}`, and `{key}` for fixed keys, say in names of folders or of the file which partition it belongs to; `{partition}`
    is the one of these that the source's partitioning has. They are written as keys are, such as `2026-09-01`, or as they say
    themselves: `{day:%Y/%m/%d}`, `{week:%G-W%V}`. A file of a shorter time belongs to the partition that it is in: `{hour}`
    in a daily source. One partition is one batch: it is read whole, or refused whole.

    Suffixes are those of a reader, also with `.gz` or `.zst` after them, or `.zip`, and their case does not matter.
    Without any it is the one that the pattern ends in: `Files("shop/orders_{day}.csv")`. What matches the pattern and
    has none of them is not read, and the check `unread` names it. `csv` says how CSV files are written, where it
    is not with commas and in UTF-8: `csv=Csv(separator=";", encoding="cp1252")`; `excel` where the rows stand in
    Excel workbooks: `excel=Excel(sheet="Orders", header_row=3)`; `limits` what a file may be at most. `first_day` is the old way
    to say `partitioning=Partitioning.daily(…)` of the source.

    `connection` names where the files lie, if that is not the landing folder: `Files("tickets/{day}/*", (".csv",),
    connection="drops")`. The setting `ASSAY_CONNECTIONS__DROPS__URL` says the place, such as `s3://bucket/prefix` or
    `file:///folder`, and the pattern is relative to it.

    With `mode="snapshot"` the files of a partition have the whole state as of its end, such as all customers: a key occurs in
    each state that it is in, and what the newest one does not have is deleted.
    """

    pattern: str
    suffixes: tuple[str, ...] = _OF_PATTERN
    first_day: date | None = None
    csv: Csv = USUAL
    mode: Literal["append", "snapshot"] = field(default="append", repr=False, kw_only=True)
    limits: Limits = field(
        default=USUAL_LIMITS, repr=False, kw_only=True
    )  # decides nothing about the rows that are there
    excel: Excel = field(default=USUAL_EXCEL, repr=False, kw_only=True)
    connection: str = field(default="", repr=False, kw_only=True)

    def __post_init__(self) -> None:
        require_pattern(self.pattern)
        if self.mode not in ("append", "snapshot"):
            raise AssayError(
                f"Files({self.pattern!r}): there is no mode {self.mode!r}. The modes are: append, snapshot."
            )
        if self.suffixes == _OF_PATTERN:
            suffix = suffix_of(self.pattern)
            if uncompressed(suffix) not in SUFFIXES:
                raise AssayError(
                    f"Files({self.pattern!r}): the pattern does not end in a suffix that says how its files are read. "
                    f'Name them: Files({self.pattern!r}, (".csv",)).'
                )
            object.__setattr__(self, "suffixes", (suffix,))
        for suffix in self.suffixes:
            if uncompressed(suffix.lower()) not in SUFFIXES:
                raise AssayError(f"Files({self.pattern!r}): nothing reads {suffix!r}; there are {', '.join(SUFFIXES)}.")

    @property
    def kinds(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(suffix.removeprefix(".") for suffix in self.suffixes)

    @property
    def states(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.mode == "snapshot"

    @property
    def remote(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.connection)

    def identity(self, partitioning: Partitioning) -> str:
        """Daily files in UTC have the one that they always had, so that nothing is read again for a new version of Assay."""
        how = f"partitioning={partitioning!r}"
        if partitioning.kind == "daily" and partitioning.time_zone == "UTC" and partitioning.end is None:
            how = f"first_day={date.fromisoformat(partitioning.start)!r}"
        how += f", csv={stable_text(self.csv)}" if self.csv != USUAL else ""
        how += f", excel={stable_text(self.excel)}" if self.excel != USUAL_EXCEL else ""
        how += f", mode={self.mode!r}" if self.states else ""
        how += f", connection={self.connection.lower()!r}" if self.connection else ""
        return f"Files(pattern={self.pattern!r}, suffixes={stable_text(self.suffixes)}, {how})"

    def judged_by(self) -> str:
        return f" {self.limits!r}" if self.limits != USUAL_LIMITS else ""

    def landing(self, settings: Settings) -> Landing:
        """Where the files lie. Raises NotConnected for a connection that is not set, or leads to nothing of the kind."""
        if not self.connection:
            return Folder(settings.landing_path)
        from assay.assets.sources.objects.connection import landing_of

        return landing_of(settings, self.connection, self.limits)

    def lacks(self, settings: Settings) -> str:
        """What is wrong with the connection, if there is one. An object store is asked whether it lets us at the place."""
        if not self.connection:
            return ""
        from assay.assets.sources.objects.connection import lack_of

        return lack_of(settings, self.connection)

    def partitions(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        return self.landing(settings).partitions(places_of(self.pattern, partitioning))

    def delivered(self, settings: Settings, partitioning: Partitioning, before: bytes = b"") -> Delivered:
        return self.landing(settings).delivered(places_of(self.pattern, partitioning), before)

    def unplaced(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        if not partitioning.is_partitioned:
            return []
        return self.landing(settings).unplaced(places_of(self.pattern, partitioning))

    def why_unplaced(self, place: str, partitioning: Partitioning) -> str:
        return why_unplaced(places_of(self.pattern, partitioning), place)

    def outside(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        if not partitioning.is_timed:
            return []
        return self.landing(settings).outside(places_of(self.pattern, partitioning))

    def leftovers(
        self, settings: Settings, partitioning: Partitioning, partition: str | None = None, seen: bytes = b""
    ) -> Sequence[Leftover]:
        return self.landing(settings).left(places_of(self.pattern, partitioning), self.suffixes, partition, seen)

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        places, landing = places_of(self.pattern, reading.partitioning), self.landing(reading.settings)
        try:
            files = landing.scan(places, reading, self.suffixes, self.limits)
        except FolderError as found:
            problem = f"{found.problem}, so nothing of {reading.source} is taken for {reading.partition}"
            raise FolderError(found.path, problem, found.action) from found
        if not files:
            looked_for = f"{landing.root}{places.example(reading.partition)}"
            left = described(landing.left(places, self.suffixes, reading.partition, b""))
            message = f"{reading.source} has delivered nothing for {reading.partition} (looked for {looked_for})."
            raise NothingDelivered(f"{message} {left}".strip())
        return files

    def read(self, delivery: Delivery) -> pl.DataFrame:
        return read_delivery(delivery, delivery.content(), self.csv, self.limits, self.excel)

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        return delivery_blocks(delivery, self.csv, self.limits, self.excel)

    def parts(self, delivery: Delivery) -> Iterator[Part]:
        return delivery_parts(delivery, self.csv, self.limits, self.excel, self.suffixes)
