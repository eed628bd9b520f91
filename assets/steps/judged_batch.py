"""What a batch was made of and judged by: what a refusal keeps of it, and by which digests an equal batch is known again."""

import functools
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from assay.assets.steps.watched import version_of
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.transaction import Transaction


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
