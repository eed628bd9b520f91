"""`Pushed`: records that an upstream sends, cut into files of the landing folder, which are read like any other."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.files import Files
from assay.errors import AssayError

ROWS = 50_000
SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True)
class Pushed(Files):
    """Records that are sent to `assay receive` over HTTP: `Pushed("orders", every=timedelta(minutes=15))`.

    What comes in is kept at once, and cut into a file of its partition (by the time of receipt) when the partition is over, when
    there are `rows` of it, or when its first record has waited for `every`, whichever is first. Each cut makes its
    partition stale, and a partition is judged as a whole: for short waits choose hourly partitions.

    The files are JSON lines in `<folder>/<partition>/` of the landing folder. Files that are put there by hand are read, too.

    Attributes:
        folder: the folder in the landing folder.
        rows: the number of records at which a file is cut; a request is never cut apart.
        every: how long a record waits at most. None: until the partition is over.
    """

    pattern: str = field(default="", init=False)
    suffixes: tuple[str, ...] = field(default=(".jsonl",), init=False)
    first_day: date | None = field(default=None, init=False, repr=False)
    csv: Csv = field(default=USUAL, init=False, repr=False)
    mode: Literal["append", "snapshot"] = field(default="append", init=False, repr=False)  # records are added, always
    connection: str = field(default="", init=False, repr=False)  # they are cut into the landing folder
    folder: str = ""
    rows: int = field(default=ROWS, repr=False)  # how files are cut decides nothing about what is in them
    every: timedelta | None = field(default=None, repr=False)

    single_records = True  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if not self.folder.isidentifier():
            raise AssayError(f"Pushed({self.folder!r}): name its folder with letters, digits and underscores.")
        if self.rows < 1:
            raise AssayError(f"Pushed({self.folder!r}): rows must be 1 or more.")
        if self.every is not None and self.every < SHORTEST:
            raise AssayError(f"Pushed({self.folder!r}): every must be a second or more.")
        object.__setattr__(self, "pattern", f"{self.folder}/{{partition}}/*")
        super().__post_init__()

    def judged_by(self) -> str:
        return f"{super().judged_by()} records beside each other"
