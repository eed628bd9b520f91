"""What decides whether a step has anything to do, as far as the planner can watch it without looking at each partition.

A step that is `Watched` promises that what it would do for a partition is decided by nothing but: its declaration, the
tables named here, the files that were delivered for the partition, its settings, and the time, as its `Trust` says.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from assay.assets.sources.landing.delivered import Delivered
from assay.features.storage.delta_log import Change
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.partitioning import UNPARTITIONED, Partitioning
from assay.features.tables.transaction import Transaction
from assay.settings import Settings


@dataclass(frozen=True, slots=True)
class Window:
    """How a step reads a table that is cut like itself: the events of `[end − width, end)`, where `end` is the end of its
    partition, by a column with their time (None: by the names of the partitions)."""

    cut: Partitioning
    width: timedelta
    time: str | None


@dataclass(frozen=True, slots=True)
class Concern:
    """Which partitions of a step a changed partition of a table concerns.

    Attributes:
        reach: that of its own key, and so many later ones; None: every partition of the step.
        presence: no partition; the table only has to be there.
        cut: how the table is cut, where `until` is given.
        until: partitions that begin at this time or later concern nothing (with `time`, if their rows are not earlier; with
            `grows`, if they were only added).
        time: the column by which rows are joined as of a moment: rows that are only added concern the partitions with a
            later moment.
        grows: rows that were added by someone who knew all the others concern the partition of their own key alone.
        files: also the partitions for which one of the changed partition's files was delivered.
        displaces: also the partitions that the change says must be judged again.
        window: also the partitions whose windows have events of the changed partition, or had some before.
    """

    reach: int | None = 0
    presence: bool = False
    cut: Partitioning = UNPARTITIONED
    until: datetime | None = None
    time: str = ""
    grows: bool = False
    files: bool = False
    displaces: bool = False
    window: Window | None = None

    def ignores(self, change: Change) -> bool:
        """Whether no partition at all is concerned."""
        if self.presence:
            return True
        if self.until is None:
            return False
        key = change.partition
        begin = self.cut.bounds(key)[0] if key is not None and self.cut.is_timed and self.cut.is_key(key) else None
        if begin is not None and begin < self.until:
            return False
        if self.grows:
            return begin is not None and change.grown
        if self.time:
            earliest = change.earliest(self.time)
            return earliest is not None and earliest >= self.until
        return begin is not None


@dataclass(frozen=True, slots=True)
class Trust:
    """For how long, and until which change, what was seen of a partition holds.

    Attributes:
        since: not before this time.
        until: not from this time on.
        latest: the latest moment of the rows that features are joined to.
        files: SHA-256 of what was delivered for it.
    """

    since: datetime | None = None
    until: datetime | None = None
    latest: datetime | None = None
    files: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Watched:
    """What the planner watches of a step (see the module).

    Attributes:
        tables: each table that decides anything, the step's own outputs too, and which partitions its changes concern.
        delivered: given what steps use (`Resources`), what has changed of its deliveries since a look that was kept, or None
            where that is not known; then all partitions are looked at.
        settings: what else decides, as text.
        trust: for how long what `prepare` gave holds.
        alike: whether a batch that was refused would find in the tables that it is looked up in nothing else than it found
            then, although they have changed: of what `prepare` gave, its partition, and their versions then (`version_of`).
    """

    tables: Mapping[str, Concern]
    delivered: Callable[[Any, bytes], Delivered | None] | None = None
    settings: Callable[[Settings], str] = lambda settings: ""
    trust: Callable[[Any], Trust] = lambda prepared: Trust()
    alike: Callable[[Any, str, Mapping[str, str]], bool] = lambda prepared, partition, before: False


def version_of(snapshot: Snapshot) -> str:
    """A version of a table as a text: of another table at the same place it is another."""
    return f"{snapshot.version}@{snapshot.table_id}@{snapshot.commit_sha256}"


def same_partition(*tables: str) -> dict[str, Concern]:
    """Tables of which a partition concerns the partition of the same key."""
    return dict.fromkeys(tables, Concern())


# -- what a batch was made of and judged by: what a refusal keeps, and how an equal batch is known again ----------------


def judged(tx: Transaction, outputs: Sequence[str], judged_by: str) -> dict[str, Any]:
    """What a refusal keeps of a batch and of what it was judged by."""
    return made_of(tx) | {
        "given": batch_digest(tx, outputs, judged_by),
        "batch": batch_digest(tx, outputs, judged_by, lookups=False),
        "looked_up": {item.table: version_of(item) for item in _looked_up(tx, outputs)},
    }


def made_of(tx: Transaction) -> dict[str, Any]:
    """The delivered files of a batch, and the versions of the tables that it was made from."""
    return {
        "files": tuple((item.path, item.sha256) for item in tx.sources),
        "read": {item.snapshot.table: item.snapshot.version for item in tx.reads if not item.lookup},
    }


def batch_digest(tx: Transaction, outputs: Sequence[str], judged_by: str, *, lookups: bool = True) -> str:
    """What decides what becomes of a batch, as a digest: also what it is looked up in, such as the table of a foreign key. A
    batch that was refused may be taken when that has changed; one that was taken stays as it is."""
    others = {f"{table.table_id}@{table.version}" for table in _looked_up(tx, outputs)} if lookups else set[str]()
    return hashlib.sha256(" ".join([tx.fingerprint, judged_by, _release(), *sorted(others)]).encode()).hexdigest()


def _looked_up(tx: Transaction, outputs: Sequence[str]) -> list[Snapshot]:
    return [item.snapshot for item in tx.reads if item.lookup and item.snapshot.table not in outputs]


@functools.cache
def _release() -> str:
    """Of Assay: another one may read what this one does not."""
    return version("assay")
