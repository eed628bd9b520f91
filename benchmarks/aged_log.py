"""Makes a table old: real commits, as our writer makes them, at 20,000 a second instead of one by one.

Each commit is by a run of its own, vouches for those before it as ours do, and adds the file of a partition of its own (an
hour) or nothing. The files themselves are not there: nobody who asks about other partitions reads them, and the indexes of keys
are told that they hold none of the keys that are asked for. A checkpoint is made by delta-rs at the end, as
`features.storage.commit_writer` has it made.
"""

import hashlib
import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from assay.features.storage.commit_metadata import to_metadata
from assay.features.storage.commit_writer import CHECKPOINT_EVERY
from assay.features.storage.delta_log import VOUCHES, commit_path, far_back
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.key_index import FOLDER as KEYS
from assay.features.tables.lake import Lake

_ID = "prediction_id"
_CHECKPOINT = 10_000  # versions between checkpoints where nobody reads: each names all files


def add_commits(lake: Lake, table: str, count: int, first: datetime, *, files: bool = True) -> None:
    """Add so many commits to a table, one an hour from `first` on.

    Args:
        lake: In a local folder.
        table: A partitioned one, with one commit at least.
        count: At least 1.
        first: The first partition's hour; no partition may be there already.
        files: whether each adds a data file of ten rows; else it says that its partition has none.
    """
    state, chosen = lake.table(table).at(), random.Random(f"{table} {first}")
    log = Path(lake.storage.root, commit_path(table, 0)).parent
    digests = state.index.digests(range(state.version + 1))
    columns, last = list(state.schema), state.version + count
    for number in range(count):
        version, hour = state.version + 1 + number, first + timedelta(hours=number)
        vouched = {str(one): digests[one] for one in (version - 1, *far_back(version)) if one in digests}
        info = _info(table, version, hour, vouched, rows=10 if files else 0)
        actions = [{"commitInfo": info}, *([_add(chosen, hour, columns)] if files else [])]
        content = "\n".join(
            json.dumps(action, ensure_ascii=False, separators=(",", ":")) for action in actions
        ).encode()
        (log / f"{version:020d}.json").write_bytes(content)
        digests[version] = hashlib.sha256(content).hexdigest()
        if version % _CHECKPOINT == 0 or (version % CHECKPOINT_EVERY == 0 and version > last - CHECKPOINT_EVERY):
            DeltaTable(state.table.uri, version=version).create_checkpoint()


def without_unread_keys(lake: Lake) -> None:
    """The indexes of keys take files that are not there for such as were vacuumed, which may have held any key."""
    for path in Path(lake.storage.root, KEYS).rglob("index.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"unread": []}))


def _info(table: str, version: int, hour: datetime, vouched: dict[str, str], *, rows: int) -> dict[str, Any]:
    metadata = to_metadata(
        run_id=str(uuid.UUID(int=hash((table, version)) % 2**128, version=4)),
        actor="",
        period=None,
        asset=table,
        partition=_key(hour),
        fingerprint=f"{version:064x}",
        inputs=(),
        sources=(),
        contract=None,
        checks=(),
        code_version="1",
        mode="append" if table.startswith("predictions/") else "replace",
        rows=rows,
        run={},
        sections={},
        extra={},
    )
    return {
        "timestamp": int(hour.timestamp() * 1000),
        "operation": "WRITE",
        "operationParameters": {"mode": "Append", "partitionBy": f'["{PARTITION}"]'},
        "engineInfo": "assay:benchmark",
        **metadata,
        VOUCHES: json.dumps(vouched),
    }


def _key(hour: datetime) -> str:
    return hour.strftime("%Y-%m-%dT%H")


def _add(chosen: random.Random, hour: datetime, columns: list[str]) -> dict[str, Any]:
    """An action with the statistics that our writer keeps: of times, and of prediction ids."""
    low, high = hour.astimezone(UTC), hour.astimezone(UTC) + timedelta(minutes=59)
    times = [name for name in ("event_time", "created_at") if name in columns]
    bounds = [dict.fromkeys(times, f"{at:%Y-%m-%dT%H:%M:%S}.000000Z") for at in (low, high)]
    if _ID in columns:
        for bound, at in zip(bounds, (low, high), strict=True):
            bound[_ID] = _uuid7(at, chosen)
    stats = {"numRecords": 10, "minValues": bounds[0], "maxValues": bounds[1], "nullCount": {}}
    return {
        "add": {
            "path": f"{PARTITION}={_key(hour)}/{chosen.randbytes(32).hex()}.parquet",
            "partitionValues": {PARTITION: _key(hour)},
            "size": 5_000,
            "modificationTime": int(hour.timestamp() * 1000),
            "dataChange": True,
            "stats": json.dumps(stats),
        }
    }


def _uuid7(at: datetime, chosen: random.Random) -> str:
    bits = int(at.timestamp() * 1000) << 80 | 7 << 76 | chosen.getrandbits(12) << 64 | 2 << 62 | chosen.getrandbits(62)
    return str(uuid.UUID(int=bits))
