"""How much a delivered file may be: what no usual file is, is refused before it fills the machine."""

from dataclasses import dataclass, fields

from assay.assets.sources.deliveries import DeliveryError
from assay.errors import AssayError

SMALL = 1 << 26  # bytes of content that a file may have however small it is


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may have at most: `Files(…, limits=Limits(columns=5_000))`. More is refused, with the number.

    Attributes:
        columns: columns of a file, or different keys in its JSON lines.
        line_mb: megabytes of one line.
        times: how many times as large as the file its content may be: unpacked, or decoded from Parquet.
        object_mb: megabytes of one object of an object store, which is copied to this machine as a whole.
        objects: objects of an object store below the fixed beginning of the pattern, all of which are listed at each look.
    """

    columns: int = 2_000
    line_mb: int = 64
    times: int = 250  # gzip reaches 1,030 with one byte repeated, and seldom 100 with tables
    object_mb: int = 20_000
    objects: int = 500_000  # some 300 MB of memory

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) < 1:
                raise AssayError(f"Limits({one.name}={getattr(self, one.name)}): give a number above 0.")

    def require_columns(self, path: str, count: int, what: str = "columns", line: int | None = None) -> None:
        """Raise DeliveryError for a file with more columns than it may have."""
        if count > self.columns:
            action = f"ask the upstream to put them into values, or declare Files(…, limits=Limits(columns={2 * self.columns}))"
            problem = f"has more than {self.columns:,} {what}, so that data seem to stand in the names"
            raise DeliveryError(path, problem, action, line=line)

    def require_object(self, path: str, size: int) -> None:
        """Raise DeliveryError for an object that is larger than it may be."""
        if size > self.object_mb << 20:
            megabytes = -(-size >> 20)
            action = f"ask the upstream for smaller ones, or declare Files(…, limits=Limits(object_mb={megabytes}))"
            raise DeliveryError(path, f"has {megabytes:,} MB, more than the {self.object_mb:,} that are taken", action)

    @property
    def line(self) -> int:
        """Bytes of one line."""
        return self.line_mb << 20

    def content(self, size: int) -> int:
        """Bytes of content that a file of this size may have."""
        return max(SMALL, self.times * size)


USUAL_LIMITS = Limits()
