"""How a source is read: a small protocol. `Files` and `Rows` implement it; a reader of one's own takes a few lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from assay.assets.sources.deliveries import Delivery, Part
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.landing.delivered import Delivered, by_marks
from assay.assets.sources.landing.leftovers import Leftover
from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings
from assay.stable_text import stable_text


class NothingDelivered(AssayError):
    """There is nothing (new) to read yet. Not an error: the source waits."""


class Postponed(NothingDelivered):
    """Nobody has asked now what there is: it is looked at the next time."""


class NotReadYet(AssayError):
    """Something was delivered of which planning knows no SHA-256, because that takes reading it: a run does."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader is asked for: the deliveries of one partition of a source.

    Attributes:
        source: the source's name.
        key: its columns that identify a row.
        partition: the partition's key; of a source without partitioning, the number of the next batch (`000001`).
        partitioning: how the source is cut, for the partition's bounds in time.
        settings: where things are, and the connections by name.
        earlier: the rows that `raw/<source>` has so far (None: the table does not exist), for readers that go on where
            they stopped.
        hashes: SHA-256 of files, remembered.
        table: the same rows as the table that holds them, for readers that open only the files that they need.
        declared: the columns that the contract knows, by all of their names, and those that Assay adds.
        taken: the files that the partition is made of now, as its last commit names them.
        planning: whether nobody takes anything yet: what is dear to read is not read, but raises NotReadYet.
        forced: whether somebody wants the upstream to be asked now (`--force`), however short ago it was asked.
    """

    source: str
    key: tuple[str, ...]
    partition: str
    partitioning: Partitioning
    settings: Settings
    earlier: Callable[[], pl.LazyFrame | None]
    hashes: FileHashes
    table: Callable[[], TableState | None] = lambda: None
    declared: frozenset[str] = frozenset()
    taken: Callable[[], Sequence[SourceFile]] = lambda: ()
    planning: bool = False
    forced: bool = False

    @property
    def landing(self) -> Path:
        """The landing folder."""
        return self.settings.landing_path


class SourceReader(Protocol):
    """Lists what an upstream has delivered and reads it. Inherit from it in a frozen dataclass.

    Planning calls `partitions` and `deliveries` often, and a dry run too: they observe and write nothing. The bytes of every
    delivery are kept in the lake before they are read. A delivery whose bytes have come before is not taken again.

    Attributes:
        kinds: words for the UI, such as `csv`.
        extracts: whether the deliveries are made by the reader itself out of typed rows; then their columns are not compared
            with the contract's before validation, and no record of them can be unreadable.
        single_records: whether a delivery is made of records that came one by one: a column that none of them has is null in
            each, and not missing in the delivery.
        compares: whether the deliveries are changes (`_change`, `_seen_at`) against what raw holds of each key, so that later
            rows of a key stand for the earlier ones.
        states: whether each partition has the whole state of something as of its end, not what was added to it.
        remote: whether a server is asked, which may not answer. What a look finds of it is then left for a while (see `silent`).
        numbered: whether what is new since the last batch is always the next one, so that a source cannot cut it in another way.
    """

    kinds: tuple[str, ...] = ()
    extracts: bool = False
    single_records: bool = False
    compares: bool = False
    states: bool = False
    remote: bool = True
    numbered: bool = False

    def identity(self, partitioning: Partitioning) -> str:
        """What decides how the source is read, as text: another one makes everything stale."""
        return f"{stable_text(self)} {partitioning!r}"

    def judged_by(self) -> str:
        """What else decides which deliveries are refused, but not what rows the others have, as text: with another one what was
        refused is read again, and nothing else."""
        return ""

    def partitions(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        """The partitions for which anything has been delivered. Not asked of a source without partitioning."""
        del settings, partitioning
        return []

    def marks(self, settings: Settings, partitioning: Partitioning) -> Mapping[str, str] | None:
        """For each partition with deliveries a text that changes when anything that is delivered for it does, cheaply: the
        planner then asks for the deliveries of those partitions alone whose text has changed. "" where it may still change
        without a trace. A reader that gives marks reads nothing but deliveries (not `earlier`). Not asked of a source without
        partitioning.

        Returns:
            The texts by partition, or None (the default) where there are none: all partitions are looked at each time.
        """
        del settings, partitioning
        return None

    def delivered(self, settings: Settings, partitioning: Partitioning, before: bytes = b"") -> Delivered | None:
        """What has changed of the deliveries since another look, for a reader that can tell with less than a mark of each
        partition.

        Args:
            settings: where things are.
            partitioning: how the source is cut.
            before: `seen` of the other look; empty: there was none, and everything has changed.

        Returns:
            What has changed, by default as `marks` has it, or None where there are none.
        """
        marks = self.marks(settings, partitioning)
        return None if marks is None else by_marks(marks, before)

    def lacks(self, settings: Settings) -> str:
        """What the settings lack for the source to be read, such as a connection, with what to do; empty where nothing is
        missing. Without it the lack shows when a run fails of it."""
        del settings
        return ""

    def settle(self, settings: Settings, source: str, table: TableState | None) -> None:
        """Let the upstream forget what the lake holds. Called after a commit and when there is nothing to do, and never by
        planning or a dry run. What it raises is logged and fails nothing: it is called again.

        Args:
            settings: where things are.
            source: the source's name.
            table: `raw/<source>` as it is now; None: there is none yet.
        """
        del settings, source, table

    def warnings(self, settings: Settings) -> Sequence[str]:
        """What people should know of the upstream though it can be read, in sentences. `assay doctor` asks; the upstream may be
        asked."""
        del settings
        return ()

    def unplaced(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        """Folders or the like where something was delivered under a name that is no partition's, so that it is never read."""
        del settings, partitioning
        return []

    def why_unplaced(self, place: str, partitioning: Partitioning) -> str:
        """Why nobody reads what is in one of those folders, as a sentence that says how its name is to be written; empty where
        its name is a key."""
        try:
            partitioning.require(place.rpartition("/")[2])
        except AssayError as problem:
            return str(problem)
        return ""

    def outside(self, settings: Settings, partitioning: Partitioning) -> list[str]:
        """Folders or the like where something was delivered for a time before the partitioning starts, or after it ends, in
        order."""
        del settings, partitioning
        return []

    def leftovers(
        self, settings: Settings, partitioning: Partitioning, partition: str | None = None, seen: bytes = b""
    ) -> Sequence[Leftover]:
        """What lies where deliveries of existing partitions are looked for and is not read, with the reason.

        Args:
            settings: where things are.
            partitioning: how the source is cut.
            partition: of this one only; None: of all.
            seen: what the last look at the deliveries showed (see `delivered`), if there was one.
        """
        del settings, partitioning, partition, seen
        return ()

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        """Everything delivered for a partition, in a stable order. Empty, or NothingDelivered with a reason, where there is
        nothing (yet)."""
        ...

    def read(self, delivery: Delivery) -> pl.DataFrame:
        """Every record of a delivery, with the columns as delivered; text where the format has no types.

        It may add `_row_number` (from 1), and for a record that cannot be read `_defect` (`unparsable`, `encoding`) and
        `_line` (its text): such rows go to quarantine. Raises DeliveryError for a delivery that cannot be used as a whole.
        """
        ...

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        """What `read` gives, frame by frame, for deliveries that memory does not hold: at least one frame, and the same columns
        in each. Steps ask for this. Rows that have no `_row_number` are counted on from frame to frame.

        Raises DeliveryError like `read`, at any frame: nothing of the delivery is published then.
        """
        yield self.read(delivery)

    def parts(self, delivery: Delivery) -> Iterator[Part]:
        """The files that a delivery holds, such as those in a zip file, one after the other; by default it is one itself, with
        what `blocks` gives. Steps ask for this: what a contract says of columns must be right for each of them."""
        yield Part(delivery.path, self.blocks(delivery))
