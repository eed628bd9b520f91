"""What the upstream consists of: files that arrive on a day, and the defects planted in them."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Planted:
    """One row that breaks exactly one rule. `row_number` counts a file's records from 1; `key` is null where unreadable."""

    source: str
    partition: date | None
    file: str | None
    row_number: int | None
    key: str | None
    rule: str
    defect: str


@dataclass(frozen=True, slots=True)
class LandingFile:
    """One delivered file. `rows` counts its records; `defect` says why none of them counts in the end, if so."""

    source: str
    path: str
    partition: date
    arrives: date
    content: bytes
    rows: int
    planted: tuple[Planted, ...] = ()
    defect: str | None = None
    healed_by: str | None = None
    copy_of: str | None = None
