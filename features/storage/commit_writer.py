"""Writing one commit to a Delta log on a local disk.

delta-rs opens a table with all its live files before it can commit, which takes longer with every day of history. A commit
that adds and removes data files needs none of that: it is one JSON file under the next number (Delta protocol, "Actions"
and "Writer Requirements"), which must not be there yet. Tables with features that ask more of a writer, names that must be
escaped, and object stores stay with delta-rs.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version as installed_version

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from assay.features.storage.delta_log import Action, commit_path
from assay.features.storage.log_entry import DataFile
from assay.features.storage.parquet_files import PARTITION, EncodedFile
from assay.features.storage.storage import NO_LINKS, Storage

CHECKPOINT_EVERY = 20
_PLAIN_WRITER = 3  # up to here: append-only, invariants, constraints, which our writer checks itself
# Settings that ask nothing of a commit, or what our writer does.
_SETTINGS = re.compile(
    r"delta\.(constraints\..+|logRetentionDuration|deletedFileRetentionDuration|enableExpiredLogCleanup|checkpointInterval)"
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_=./-]+")


def is_plain(protocol: Mapping[str, object], settings: Mapping[str, str], paths: Sequence[str]) -> bool:
    """Whether a commit of these files needs nothing that only delta-rs does."""
    return (
        protocol.get("minReaderVersion") == 1
        and protocol.get("minWriterVersion") in range(1, _PLAIN_WRITER + 1)
        and all(_SETTINGS.fullmatch(name) for name in settings)
        and all(_PLAIN_NAME.fullmatch(path) for path in paths)
    )


def write_commit(
    storage: Storage,
    table: str,
    version: int,
    added: Sequence[EncodedFile],
    removed: Sequence[DataFile],
    metadata: Mapping[str, str],
    *,
    partitioned: bool,
    table_metadata: Mapping[str, object] | None = None,
) -> bool | None:
    """Commit a version, with other `metaData` of the table where that is given. False: somebody else has committed it. None:
    the file system has no links, so that nothing was done."""
    now = int(time.time() * 1000)
    parameters = {"mode": "Append"} | ({"partitionBy": json.dumps([PARTITION])} if partitioned else {})
    info = {
        "timestamp": now,
        "operation": "WRITE",
        "operationParameters": parameters,
        "engineInfo": _engine(),
        **metadata,
    }
    described = [{"metaData": dict(table_metadata)}] if table_metadata is not None else []
    actions = [
        {"commitInfo": info},
        *described,
        *(_add(file, now) for file in added),
        *(_remove(file, now) for file in removed),
    ]
    content = "\n".join(json.dumps(action, ensure_ascii=False, separators=(",", ":")) for action in actions)
    try:
        return storage.put_new(commit_path(table, version), content.encode())
    except OSError as problem:
        if problem.errno in NO_LINKS:
            return None
        raise


@cache
def _engine() -> str:
    return f"assay:{installed_version('assay')}"


def _add(file: EncodedFile, now: int) -> Action:
    values = {PARTITION: file.partition} if file.partition is not None else {}
    return {
        "add": {
            "path": file.path,
            "partitionValues": values,
            "size": file.size,
            "modificationTime": now,
            "dataChange": True,
            "stats": file.stats,
        }
    }


def _remove(file: DataFile, now: int) -> Action:
    values = {PARTITION: file.partition} if file.partition is not None else {}
    return {
        "remove": {
            "path": file.path,
            "dataChange": True,
            "deletionTimestamp": now,
            "extendedFileMetadata": True,
            "partitionValues": values,
            "size": file.size,
        }
    }


def checkpoint_if_due(uri: str, version: int, options: Mapping[str, str] | None = None) -> None:
    """Have delta-rs sum up the log every so many commits: whoever opens the table with it reads the last checkpoint and
    what came after. Without one the table is as good, and slower to open."""
    if version % CHECKPOINT_EVERY == 0:
        try:
            DeltaTable(uri, version=version, storage_options=dict(options or {}) or None).create_checkpoint()
        except (DeltaError, OSError):
            return
