"""A source, declared: where it is read, what must hold of it, and how it is cut into batches."""

from dataclasses import dataclass
from datetime import date

from assay.checks import Contract
from assay.checks.contract.contract import compiled
from assay.errors import AssayError
from assay.features.tables.kinds import Kind
from assay.settings import Settings


@dataclass(frozen=True, slots=True)
class Files:
    """Files dropped by day: `Files("tickets/{day}/*", (".csv", ".jsonl"), first_day=date(2026, 9, 1))`.

    The pattern is relative to the landing folder. One day is one batch: it is read whole, or refused whole.
    """

    pattern: str
    suffixes: tuple[str, ...]
    first_day: date


@dataclass(frozen=True, slots=True)
class Rows:
    """A database table, read incrementally: rows whose `cursor` column has moved on since the last batch.

    `url_setting` names the setting with the SQLAlchemy URL (PostgreSQL, or a SQLite file).
    """

    table: str
    cursor: str
    url_setting: str

    def url(self, settings: Settings) -> str:
        return getattr(settings, self.url_setting)


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream system. Everything else follows: `raw/<name>`, `clean/<name>`, `quarantine/<name>`, one check per rule.

    `key` identifies a row (used for incremental reading and row-level lineage). `expected_ratio` marks a day whose number
    of rows is that many times more, or less, than usual.
    """

    name: str
    reader: Files | Rows
    contract: type[Contract]
    key: tuple[str, ...]
    event_time: str
    expected_ratio: float = 5.0
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise AssayError(f"Source name {self.name!r}: use letters, digits and underscores; it names tables.")
        if not self.key:
            raise AssayError(f"Source {self.name!r} needs a key: the columns that identify a row.")
        if patterns := [column.name for column in compiled(self.contract).columns if column.pattern is not None]:
            raise AssayError(
                f"Source {self.name!r}: its tables and checks need known columns, but {patterns[0]!r} of the contract "
                f"{self.contract.__name__} is a pattern; declare each column by its name."
            )

    @property
    def raw(self) -> str:
        return Kind.RAW.table(self.name)

    @property
    def clean(self) -> str:
        return Kind.CLEAN.table(self.name)

    @property
    def quarantine(self) -> str:
        return Kind.QUARANTINE.table(self.name)

    @property
    def releases(self) -> str:
        """Decisions about quarantined rows."""
        return Kind.RELEASES.table(self.name)

    @property
    def first_day(self) -> date | None:
        return self.reader.first_day if isinstance(self.reader, Files) else None
