"""Seals: the digest of a table's newest commit, kept beside the table.

Every commit of ours vouches for those before it, so that the newest one is vouched for by nobody until another follows. For
tables that prove something by themselves (predictions, models, training sets) its digest is therefore also kept in a file of
its own. Who changes such a commit and knows nothing of seals is found out; who can write to the whole lake can change both,
which a record outside of the lake shows (the lineage store, and the copies of its events elsewhere).
"""

import json
from dataclasses import asdict, dataclass

from assay.errors import AssayError
from assay.features.storage.snapshot import Snapshot
from assay.features.storage.storage import Storage

FOLDER = "_seals"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a version of a table was when it was committed: `sha256` of its commit, and how many rows that wrote."""

    table: str
    table_id: str
    version: int
    sha256: str
    rows: int


def seal_path(table: str, table_id: str, version: int) -> str:
    """Where the seal of a version is kept. A table that is made anew has seals of its own."""
    return f"{FOLDER}/{table}/{table_id}/{version:020d}.json"


def seal(storage: Storage, snapshot: Snapshot, rows: int) -> None:
    """Keep the digest of a version that was just committed."""
    made = Seal(snapshot.table, snapshot.table_id, snapshot.version, snapshot.commit_sha256, rows)
    storage.put(seal_path(made.table, made.table_id, made.version), json.dumps(asdict(made), sort_keys=True).encode())


def read_seal(storage: Storage, table: str, table_id: str, version: int) -> Seal | None:
    """The seal of a version; None where there is none. Raises AssayError for a file that is no seal of this version."""
    path = seal_path(table, table_id, version)
    if storage.size(path) is None:
        return None
    try:
        found = Seal(**json.loads(storage.get(path)))
        if [type(getattr(found, name)) for name in Seal.__slots__] != [str, str, int, str, int]:
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise AssayError(f"{path} is damaged: it is no seal any more.") from None
    if (found.table, found.table_id, found.version) != (table, table_id, version):
        raise AssayError(f"{path} was changed: it is the seal of {found.table}@{found.version}.")
    return found


def last_sealed(storage: Storage, table: str, table_id: str) -> int:
    """The newest version of a table that has a seal; −1 where none has."""
    names = (path.rpartition("/")[2].removesuffix(".json") for path in storage.list(f"{FOLDER}/{table}/{table_id}"))
    return max((int(name) for name in names if name.isdecimal()), default=-1)
