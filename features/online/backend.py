"""What an online store must be able to do, whatever it is made of. The same tests ask it of each (`tests/features/online`)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.features.online.manifest import Manifest, Stream


class FoundRows(Protocol):
    """One row per key that was asked for, or none."""

    @property
    def here(self) -> npt.NDArray[np.bool_]:
        """Which keys have a row that does not delete them."""
        ...

    @property
    def time(self) -> npt.NDArray[np.int64]:
        """Event times, µs since 1970; whatever where there is no row."""
        ...

    @property
    def later(self) -> bool:
        """Whether some keys have rows, but only such that are available later than asked for."""
        ...

    def are_all_valid(self, alive: npt.NDArray[np.bool_]) -> bool:
        """Whether it is known that no value is null."""
        ...

    def take(self, feature: int, alive: npt.NDArray[np.bool_], *, all_valid: bool = False) -> list[Any]:
        """The values of a feature (by its place in the stream), None where the key is not `alive`; times as numbers."""
        ...


class OpenGeneration(Protocol):
    """A generation that stays as it is for as long as somebody reads it."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def schemas(self) -> Mapping[str, Mapping[str, pl.DataType]]:
        """The types of each stream's keys and features."""
        ...

    def find(self, stream: str, keys: Sequence[bytes | None], hashes: npt.NDArray[np.uint64], at: int) -> FoundRows:
        """The rows of keys as of a moment (µs since 1970)."""
        ...


class NewGeneration(Protocol):
    """A generation that is being built, and that nobody reads before it is published."""

    def write(self, stream: Stream, part: int, rows: pl.DataFrame) -> None:
        """Write the rows of one part of a stream."""
        ...

    def keep(self, stream: Stream) -> None:
        """Take a stream of the current generation as it is."""
        ...

    def publish(self, manifest: Manifest, built_at: datetime) -> Manifest:
        """Make it the current one, in one step. Returns its manifest, with its number."""
        ...


class Backend(Protocol):
    """Where generations are kept."""

    def sets(self) -> list[str]:
        """What is kept, such as `router@1`, sorted."""
        ...

    def mark(self, name: str) -> object | None:
        """Changes when another generation is published; None: there is none. Asked at each read."""
        ...

    def manifest(self, name: str) -> Manifest | None:
        """Of the current generation; None where there is none."""
        ...

    def open(self, name: str) -> OpenGeneration:
        """The current generation. Raises AssayError where there is none."""
        ...

    def former_rows(self, name: str, stream: Stream, part: int) -> pl.DataFrame:
        """The rows of a part of the current generation's stream, as they were written."""
        ...

    def building(self, name: str) -> AbstractContextManager[NewGeneration]:
        """A new generation. Raises AssayError while another process builds one of the set."""
        ...
