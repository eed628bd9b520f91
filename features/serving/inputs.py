"""What may be named as an input of a piece of work: anything that is, or has, a snapshot."""

from typing import Protocol

from assay.errors import AssayError
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.transaction import Transaction


class HasSnapshot(Protocol):
    """Such as a version of a training set or of a model, or the slice that was read."""

    @property
    def snapshot(self) -> Snapshot: ...


Input = Snapshot | HasSnapshot


def read_input(tx: Transaction, item: Input) -> None:
    """Make a snapshot, or what has one, an input of the transaction: a slice with its partitions only.

    Raises AssayError if the table is not the one that it was, or for what is no input.
    """
    snapshot = item if isinstance(item, Snapshot) else getattr(item, "snapshot", None)
    if not isinstance(snapshot, Snapshot):
        raise AssayError(
            f"{type(item).__name__} cannot be an input. Pass a Snapshot, a Slice, a TrainingSetVersion or a ModelVersion."
        )
    if isinstance(item, Slice):
        tx.note(snapshot.table, item.partitions, version=snapshot.version, lookup=item.lookup, excluded=item.excluded)
    else:
        tx.note(snapshot.table, version=snapshot.version)
    now = tx.state(snapshot.table).snapshot
    if (now.table_id, now.commit_sha256) != (snapshot.table_id, snapshot.commit_sha256):
        raise AssayError(
            f"{snapshot} is another table now (deleted and made again): what was made from it cannot be logged."
        )
