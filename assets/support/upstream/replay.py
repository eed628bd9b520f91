"""Write the demo's upstream: every file and row that has arrived by a day, and the truth about all of them.

The same call gives the same bytes; what is there already and right is not touched; a later day adds the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from assay.assets.support.upstream.calendar import LAST_DAY
from assay.assets.support.upstream.card_events import event_files
from assay.assets.support.upstream.customers import current
from assay.assets.support.upstream.database import bring_up_to_date, sqlite_url
from assay.assets.support.upstream.texts import load
from assay.assets.support.upstream.ticket_files import ticket_files
from assay.assets.support.upstream.truth import truth
from assay.assets.support.upstream.values import LandingFile
from assay.errors import AssayError

# Called with what is done, what there is to do, and its name.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in place now. `tickets` and `events` count the records of usable files, defective ones and repeats included."""

    landing: Path
    truth_path: Path
    until: date
    files_written: int
    files_unchanged: int
    tickets: int
    events: int
    customers: int
    customers_changed: int


def replay(
    landing: Path,
    *,
    tickets: Path | None = None,
    database_url: str | None = None,
    until: date | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Deliver everything up to the end of the day `until` (default: all 30 days).

    `tickets` is a folder with banking77's train.csv and test.csv; without it, the texts are generated. Customers go to
    `database_url`, by default the SQLite file `customers.db` in the landing folder. Raises `AssayError` for a folder that is
    not banking77's, a landing folder that cannot be written, and a database that cannot be used.
    """
    until = LAST_DAY if until is None else until
    landing = landing.resolve()
    files = [*ticket_files(*load(tickets)), *event_files()]
    arrived = [file for file in files if file.arrives <= until]
    truth_path = landing.with_name(f"{landing.name}.truth.json")
    written = 0
    try:
        for done, file in enumerate(arrived, start=1):
            written += _write(landing / file.path, file.content)
            if progress:
                progress(done, len(arrived), file.path)
        _write(truth_path, truth(files))
    except OSError as error:
        raise AssayError(f"{landing} cannot be written ({error.strerror}); choose another landing folder") from error
    customers = current(until)
    changed = bring_up_to_date(database_url or sqlite_url(landing / "customers.db"), customers)
    return Summary(
        landing=landing,
        truth_path=truth_path,
        until=until,
        files_written=written,
        files_unchanged=len(arrived) - written,
        tickets=_rows(arrived, "tickets"),
        events=_rows(arrived, "card_events"),
        customers=len(customers),
        customers_changed=changed,
    )


def _rows(files: list[LandingFile], source: str) -> int:
    return sum(file.rows for file in files if file.source == source and file.defect is None)


def _write(file: Path, content: bytes) -> bool:
    """Put the content in place at once, so that no reader sees half a file; False if it was there already."""
    if file.is_file() and file.read_bytes() == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(file)
    return True
