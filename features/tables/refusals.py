"""Batches that a table did not take, or that could not be made: of which partition, since when and why, and of what.

They are kept in the lake beside the tables, so that whoever looks at a table sees what is missing in it, and nothing is run
again that would be refused again. A partition that is written is no longer refused.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from assay.errors import AssayError
from assay.features.tables.guard import Denied
from assay.features.tables.lake import Lake, TableMissing

FOLDER = "_refused"
_WHOLE = "+whole"  # no partition key begins so


@dataclass(frozen=True, slots=True)
class Refusal:
    """A batch that was refused as a whole, or whose work failed.

    Attributes:
        table: that refused it.
        partition: which one; None: the table has none.
        problem: why, in sentences; never with values.
        given: what it was made of and judged by, as a digest: an equal batch is refused again. Empty where its work failed, which
            may be different the next time.
        at: when.
        tables: all that would have been written together.
        batch: the digest without the tables that it was looked up in, and `looked_up` their versions then, by name.
        files: the delivered files in it, path and SHA-256; `read` the versions of the tables that it was made from, by name.
            Empty in refusals by earlier releases.
        run_id, parent_id: the run that refused it, and the orchestrator's run that this was a step of.
    """

    table: str
    partition: str | None
    problem: str
    given: str
    at: datetime
    tables: tuple[str, ...]
    run_id: str = ""
    parent_id: str = ""
    batch: str = ""
    looked_up: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()
    read: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return not self.given

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat(), "tables": list(self.tables)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        if not isinstance(data, Mapping):
            raise TypeError("a refusal is a JSON object")
        files = tuple((path, sha256) for path, sha256 in data.get("files", ()))
        read: dict[str, Any] = {
            "at": datetime.fromisoformat(data["at"]),
            "tables": tuple(data["tables"]),
            "files": files,
        }
        return cls(**(dict(data) | read))


def keep_refusal(lake: Lake, refusal: Refusal) -> None:
    """Keep it until the partition is written, or another batch of it is refused."""
    content = json.dumps(refusal.to_dict(), ensure_ascii=False).encode()
    lake.storage.put(_path(refusal.table, refusal.partition), content)


def forget_refusal(lake: Lake, table: str, partition: str | None) -> None:
    """The partition is written, or what was refused is not delivered any more."""
    path = _path(table, partition)
    if lake.storage.size(path) is not None:
        lake.storage.delete(path)


def find_refusal(lake: Lake, table: str, partition: str | None) -> Refusal | None:
    """What was refused last of a partition, if it was not written since."""
    path = _path(table, partition)
    return _read(lake, path) if lake.storage.size(path) is not None else None


def refusals(lake: Lake, table: str = "") -> list[Refusal]:
    """What is refused now of all tables that may be read, or of one: by table and partition."""
    paths = (path for path in lake.storage.walk(f"{FOLDER}/{table}".rstrip("/")) if path.endswith(".json"))
    kept = (refusal for path in paths if (refusal := _read(lake, path)) is not None)
    return [refusal for refusal in kept if not _written_since(lake, refusal)]


def _written_since(lake: Lake, refusal: Refusal) -> bool:
    """Whether another process wrote the partition while the refusal was kept. Who may not read the table learns nothing."""
    try:
        commit = lake.table(refusal.table).at().writer_of(refusal.partition)
    except TableMissing:
        return False
    except Denied:
        return True
    except AssayError:  # the table's own page says what is wrong with it
        return False
    return commit is not None and commit.timestamp > refusal.at


def _path(table: str, partition: str | None) -> str:
    return f"{FOLDER}/{table}/{_WHOLE if partition is None else partition}.json"


def _read(lake: Lake, path: str) -> Refusal | None:
    """None where it was written by another version, or is gone at this moment: then it is found out again."""
    with suppress(AssayError, ValueError, KeyError, TypeError):
        return Refusal.from_dict(json.loads(lake.storage.get(path)))
    return None
