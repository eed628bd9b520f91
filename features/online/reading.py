"""Reading a generation: values, states and where they come from, as the as-of join at that moment gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assay.errors import AssayError
from assay.features.online.backend import FoundRows, OpenGeneration
from assay.features.online.key_bytes import key_bytes, key_hashes
from assay.features.online.manifest import Joined, Stream
from assay.features.online.packing import to_series
from assay.features.serving.online import Keys, fitted, key_frame
from assay.features.serving.view_read import key_types
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


_STATES = np.array(["missing", "expired", "present"], object)


class OlderThanGeneration(AssayError):
    """The moment is before the generation's, and what held then is not in it."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewAnswer:
    """What one view (in its role) says.

    Args:
        joined: The view.
        version: Of its table.
        values: Column → values, in the order of the keys (None: no value); times as Polars keeps them.
        types: Column → type.
        state: `present`, `missing` or `expired`, per key.
        time: Event times, µs since 1970; None of a lookup.
    """

    joined: Joined
    version: int
    values: Mapping[str, list[Any]]
    types: Mapping[str, pl.DataType]
    state: list[str]
    time: list[int | None] | None

    def series(self) -> list[pl.Series]:
        """The values as columns."""
        return [to_series(name, values, self.types[name]) for name, values in self.values.items()]

    def times(self) -> pl.Series:
        """The event times as a column of µs since 1970."""
        return pl.Series("", self.time or [], pl.Int64)

    def states(self) -> pl.Series:
        """The states as a column."""
        name, number = f"{self.joined.name}.state", len(self.state)
        if self.state.count("present") == number:
            return _same(name, "present", number)
        return pl.Series(name, self.state, pl.String)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to some keys at one moment, from one generation."""

    keys: Sequence[pl.Series]
    at: int
    views: tuple[ViewAnswer, ...]

    @property
    def number(self) -> int:
        """How many rows."""
        return len(self.keys[0]) if self.keys else 0

    def frame(self) -> pl.DataFrame:
        """As `store.online(…).get` gives it: one row per key, in their order."""
        columns, number = list(self.keys), self.number
        ordered = [*(v for v in self.views if v.time is not None), *(v for v in self.views if v.time is None)]
        for view in ordered:
            name = view.joined.name
            columns += view.series()
            if view.time is not None:
                columns.append(view.times().cast(INSTANT).alias(f"{name}.event_time"))
            columns.append(view.states())
        for view in self.views:
            name = view.joined.name
            columns += [
                _same(f"{name}.table", view.joined.table, number),
                _same(f"{name}.version", view.version, number),
            ]
        for view in ordered:
            if view.time is not None:
                columns.append((self.at - view.times()).cast(pl.Duration("us")).alias(f"{view.joined.name}.age"))
        return pl.DataFrame(columns)


@lru_cache(1024)
def _same(name: str, value: str | int, number: int) -> pl.Series:
    """A column with one value."""
    dtype = pl.String if isinstance(value, str) else pl.Int64
    return pl.Series(name, [value], dtype).new_from_index(0, number)


@dataclass(slots=True, eq=False)
class GenerationReader:
    """A generation that is asked many times. What follows from it and from the types of keys is worked out once."""

    generation: OpenGeneration
    _streams: dict[str, Stream] = field(init=False)
    _wanted: dict[str, pl.DataType] = field(init=False)
    _types: dict[tuple[str, tuple[Any, ...]], tuple[pl.DataType, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._streams = {stream.id: stream for stream in self.generation.manifest.streams}
        self._wanted = self.key_types()
        taken: dict[str, str] = {}
        for joined in self.generation.manifest.joined:
            for column in joined.outputs.values():
                if column in taken:
                    raise AssayError(
                        f"{joined.name} would give column {column!r}, which {taken[column]} gives: write '… as another_name'."
                    )
                taken[column] = joined.name

    def key_types(self) -> dict[str, pl.DataType]:
        """The columns that are asked for, with their types."""
        found: dict[str, pl.DataType] = {}
        for joined in self.generation.manifest.joined:
            stream = self._streams[joined.stream]
            schema = self.generation.schemas[stream.id]
            for key, column in zip(stream.keys, stream.key_columns, strict=True):
                found.setdefault(joined.keys.get(key, key), schema[column])
        return found

    def get(self, keys: Keys, at: datetime | None = None) -> Answer:
        """The values valid at a moment.

        Args:
            keys: A frame, or a value or a list of values for each key column.
            at: With a time zone; None: now.

        Raises:
            AssayError: For keys that are missing or do not fit.
            OlderThanGeneration: The values of that moment are not kept.
        """
        moment = (utc(at, "at") if at is not None else datetime.now(UTC)) - _EPOCH
        micros = moment // _MICROSECOND
        asked = self._asked(keys)
        self._refuse_taken(list(asked))
        encoded: dict[tuple[Any, ...], tuple[list[bytes | None], npt.NDArray[np.uint64]]] = {}
        views = tuple(self._view(joined, asked, micros, encoded) for joined in self.generation.manifest.joined)
        return Answer(list(asked.values()), micros, views)

    def _asked(self, keys: Keys) -> dict[str, pl.Series]:
        """The keys as columns, in the types of the tables where they were given as Python has them."""
        if not isinstance(keys, Mapping):
            return {column.name: column for column in keys.get_columns()}
        if len(keys) == 1:  # the usual form, without a frame in between
            ((name, values),) = keys.items()
            dtype = self._wanted.get(name)
            if isinstance(dtype, pl.String) and type(values) is list and set(map(type, values)) == {str}:
                return {name: pl.Series(name, values, pl.String)}
        return {column.name: column for column in fitted(key_frame(keys), self._wanted).get_columns()}

    def _refuse_taken(self, columns: Sequence[str]) -> None:
        for joined in self.generation.manifest.joined:
            for column in joined.outputs.values():
                if column in columns:
                    raise AssayError(
                        f"feature column {column!r} of {joined.name} is among the keys: give the feature another name."
                    )

    def _view(
        self,
        joined: Joined,
        asked: Mapping[str, pl.Series],
        at: int,
        encoded: dict[tuple[Any, ...], tuple[list[bytes | None], npt.NDArray[np.uint64]]],
    ) -> ViewAnswer:
        manifest, stream = self.generation.manifest, self._streams[joined.stream]
        columns = [joined.keys.get(key, key) for key in stream.keys]
        types = self._compared(joined, stream, columns, asked)
        identity = (*columns, *types)
        if identity not in encoded:  # views that share their keys share their bytes
            series = [
                asked[column] if asked[column].dtype == dtype else asked[column].cast(dtype, strict=False)
                for column, dtype in zip(columns, types, strict=True)
            ]
            found = key_bytes(series, len(next(iter(asked.values()), [])))
            encoded[identity] = found, key_hashes(found)
        keys, hashes = encoded[identity]
        rows = self.generation.find(stream.id, keys, hashes, at)
        self._refuse_older(joined, stream, rows, at)
        here = rows.here if stream.states is None else rows.here & (rows.time == _state_at(stream.states, at))
        alive = here if joined.max_age_us is None else here & (at - rows.time <= joined.max_age_us)
        values, types_of, all_valid = {}, {}, rows.are_all_valid(alive)
        for feature, column in joined.outputs.items():
            if feature in joined.streams:
                values[column], types_of[column] = self._apart(joined, feature, keys, hashes, at, alive, stream)
            else:
                values[column] = rows.take(stream.features.index(feature), alive, all_valid=all_valid)
                types_of[column] = self.generation.schemas[stream.id][feature]
        times = None
        state = ["present"] * len(alive) if alive.all() else _STATES[here.astype(np.int8) + alive].tolist()
        if not stream.is_lookup:
            times = rows.time.tolist()
            if not here.all():
                times = [time if one else None for time, one in zip(times, here.tolist(), strict=True)]
        return ViewAnswer(joined, manifest.table(joined.table).version, values, types_of, state, times)

    def _apart(
        self,
        joined: Joined,
        feature: str,
        keys: list[bytes | None],
        hashes: npt.NDArray[np.uint64],
        at: int,
        row_alive: npt.NDArray[np.bool_],
        base: Stream,
    ) -> tuple[list[Any], pl.DataType]:
        """The latest value of a feature that is not null, where each is joined by itself."""
        stream = self._streams[joined.streams[feature]]
        rows = self.generation.find(stream.id, keys, hashes, at)
        self._refuse_older(joined, stream, rows, at)
        alive = rows.here if joined.max_age_us is None else rows.here & (at - rows.time <= joined.max_age_us)
        alive = alive if base.states is None else alive & row_alive
        return rows.take(0, alive), self.generation.schemas[stream.id][feature]

    def _compared(
        self, joined: Joined, stream: Stream, columns: Sequence[str], asked: Mapping[str, pl.Series]
    ) -> tuple[pl.DataType, ...]:
        """The types in which the keys that are asked for are compared, as in the as-of join."""
        given = tuple(asked[column].dtype if column in asked else None for column in columns)
        identity = (joined.name, given)
        if identity not in self._types:
            schema = {name: column.dtype for name, column in asked.items()}
            kept = self.generation.schemas[stream.id]
            table = pl.LazyFrame(
                schema={key: kept[column] for key, column in zip(stream.keys, stream.key_columns, strict=True)}
            )
            serving = Serving("", stream.keys, stream.event_time, kind="lookup" if stream.is_lookup else "as_of")
            self._types[identity] = key_types(joined.name, serving, table, schema, joined.keys)
        return self._types[identity]

    def _refuse_older(self, joined: Joined, stream: Stream, rows: FoundRows, at: int) -> None:
        begins = (self.generation.manifest.at - _EPOCH) // _MICROSECOND
        if at >= begins or stream.is_lookup:
            return
        if rows.later or (stream.states and at < _state_at(stream.states, begins)):
            raise OlderThanGeneration(
                f"{joined.name}: what held then is not in the online store, which answers from "
                f"{self.generation.manifest.at.isoformat()} on. Next: ask without `at`, or join as of that moment."
            )


def _state_at(states: tuple[int, ...], at: int) -> int:
    """The newest of the moments of states at or before a moment."""
    return max((one for one in states if one <= at), default=np.iinfo(np.int64).min)
