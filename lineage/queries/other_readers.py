"""Jobs of other producers that read tables of the lake. What they make lies outside of it: no log has it, only events do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from assay.features.tables.lake import Lake
from assay.lineage.events.events import JOBS
from assay.lineage.events.naming import LOGICAL, dataset_name
from assay.lineage.events.redaction import redact_text
from assay.lineage.store import bulk
from assay.lineage.store.lineage_store import LineageStore

_READERS = """SELECT DISTINCT $0, j.namespace, j.name, j.id FROM $rows CROSS JOIN datasets d
 JOIN job_datasets l ON l.dataset_id = d.id JOIN jobs j ON j.id = l.job_id
 WHERE d.namespace = $1 AND d.name = $2 AND l.written = $3b"""
_WRITTEN = """SELECT DISTINCT l.job_id, d.namespace, d.name FROM $rows CROSS JOIN job_datasets l
 JOIN datasets d ON d.id = l.dataset_id WHERE l.job_id = $0i AND l.written = $1b"""
_NAMED = 20  # datasets that a job writes


@dataclass(frozen=True, slots=True)
class OtherReader:
    """A job of another producer: the tables that it read, and some of the datasets (`namespace:name`) that it writes."""

    namespace: str
    job: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"reads": list(self.reads), "writes": list(self.writes)}

    def __str__(self) -> str:
        made = f", and writes {', '.join(self.writes)}" if self.writes else ""
        return f"{self.job} ({self.namespace}) reads {', '.join(self.reads)}{made}"


def other_readers(store: LineageStore, lake: Lake, tables: Iterable[str]) -> tuple[OtherReader, ...]:
    """The jobs of other producers that events have reading any of these tables, by name or by address; whichever version."""
    asked: list[list[Any]] = []
    for table in sorted(set(tables)):
        address = dataset_name(lake.storage.uri(table))
        asked += [[table, LOGICAL, table, False], [table, address.namespace, address.name, False]]
    if not asked:
        return ()
    with store.reading() as connection:
        bulk.by_index(connection)
        rows = [row for row in bulk.execute(connection, _READERS, asked) if not row[1].startswith(JOBS)]
        ids = sorted({row[3] for row in rows})
        written = bulk.execute(connection, _WRITTEN, [[job, True] for job in ids]).all() if ids else []
    found: list[OtherReader] = []
    for job in ids:
        named = next((row[1], row[2]) for row in rows if row[3] == job)
        reads = tuple(sorted({row[0] for row in rows if row[3] == job}))
        writes = sorted(f"{row[1]}:{row[2]}" for row in written if row[0] == job)[:_NAMED]
        found.append(OtherReader(redact_text(named[0]), redact_text(named[1]), reads, tuple(map(redact_text, writes))))
    return tuple(sorted(found, key=lambda item: (item.namespace, item.job)))
