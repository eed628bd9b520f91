"""What is wrong with the upstream, for whoever checks the pipeline. The pipeline itself never reads it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from hashlib import sha256

from assay.assets.support.upstream import calendar
from assay.assets.support.upstream.customers import current, planted
from assay.assets.support.upstream.values import LandingFile, Planted


def truth(files: Sequence[LandingFile]) -> bytes:
    """The truth about the whole upstream, as JSON: planted rows and files, and the row counts once everything is healed."""
    counted = [file for file in files if file.defect is None]
    rows = [*planted(), *(row for file in counted for row in file.planted)]
    contents = {
        "calendar": _calendar(),
        "rows": [asdict(row) for row in rows],
        "files": [_file(file, files) for file in files if file.defect],
        "volume": [_volume(files)],
        "counts": _counts(counted, rows),
    }
    return (json.dumps(contents, indent=1, default=date.isoformat) + "\n").encode()


def _calendar() -> dict[str, object]:
    return {
        "first_day": calendar.FIRST_DAY,
        "last_day": calendar.LAST_DAY,
        "days": calendar.DAYS,
        "test_first_day": calendar.TEST_FIRST_DAY,
        "volume_day": calendar.day(calendar.VOLUME_NUMBER),
    }


def _file(file: LandingFile, files: Sequence[LandingFile]) -> dict[str, object]:
    """A file none of whose rows counts, and what makes up for it."""
    entry: dict[str, object] = {
        "source": file.source,
        "partition": file.partition,
        "file": file.path,
        "defect": file.defect,
        "sha256": sha256(file.content).hexdigest(),
        "arrives": file.arrives,
        "healed_by": file.healed_by,
        "healed_on": next((other.arrives for other in files if other.path == file.healed_by), None),
        "copy_of": file.copy_of,
    }
    if file.defect == "renamed_column":
        entry |= {"expected_column": "amount", "delivered_column": "amount_eur"}
    return entry


def _volume(files: Sequence[LandingFile]) -> dict[str, object]:
    """The flood, beside a usual day of the same weeks."""
    rows = Counter[date]()
    for file in files:
        if file.source == "tickets" and file.defect is None and file.partition < calendar.TEST_FIRST_DAY:
            rows[file.partition] += file.rows
    flood = calendar.day(calendar.VOLUME_NUMBER)
    usual = sorted(count for day, count in rows.items() if day != flood)
    return {"source": "tickets", "partition": flood, "rows": rows[flood], "usual": usual[len(usual) // 2]}


def _counts(files: Sequence[LandingFile], planted_rows: Sequence[Planted]) -> list[dict[str, object]]:
    raw = Counter[tuple[str, date | None]]({("customers", None): len(current(calendar.LAST_DAY))})
    for file in files:
        raw[file.source, file.partition] += file.rows
    quarantined = Counter((row.source, row.partition) for row in planted_rows)
    return [
        {
            "source": source,
            "partition": partition,
            "raw": count,
            "clean": count - quarantined[source, partition],
            "quarantined": quarantined[source, partition],
        }
        for (source, partition), count in raw.items()
    ]
