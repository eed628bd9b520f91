"""Which partitions of a table hold what a question is answered with, found without a look at all of them.

An as-of question needs, per key, the newest row at or before the first moment that is asked about, and all rows from there to
the last. What began before the first moment is therefore looked for from the newest partition back, and only until each key
has such a row; partitions that cannot hold a key that is still missing are passed over (by the table's key index). Where only
known rows count, the row must have been known at that moment; where nulls are skipped, one is needed for each feature. So a
feature that is always null for a key has all partitions within max_age read that may hold the key.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.key_index import KeyIndex, key_print
from assay.features.tables.lake import TableState
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, instant
from assay.own_columns import CHANGE, DELETE

Between = tuple[datetime | None, datetime | None]

_ROUNDED_US = 1000  # Delta's statistics may be rounded to milliseconds
_FIRST = 4  # partitions that are looked at together; then twice as many each time
_TIME, _FLOOR = "__time", "__floor"
_EVERYBODY = "__everybody"  # the key of rows that are the same for all
_SETTLES = "__settles"  # the time of a row, if none before it is needed (for a feature)


def partitions_as_of(
    state: TableState,
    serving: Serving,
    spine: pl.DataFrame,
    between: Between,
    *,
    bounded: bool = True,
    known: bool = False,
    features: Sequence[str] = (),
) -> list[str] | None:
    """The partitions that are needed to answer a spine: all that reach beyond the first moment, and of the others those with
    the newest row of a key. None for a table without partitions. Files without statistics count as needed.

    Args:
        state: The table.
        serving: How it is served.
        spine: Rows with the key columns.
        between: The first and the last moment that is asked about.
        bounded: Leave out what is older than the view's max_age.
        known: Rows count only from when they were known.
        features: Columns of which the newest values are needed that are not null.
    """
    if not state.partitioned:
        return None
    first, last = between
    max_age = serving.max_age_us if bounded else None
    keys = _Asked.of(state, serving, spine, serving.known_time if known else None, tuple(features))
    if first is None or last is None or keys is None or state.checkpointed is not None:
        return sorted(_spans(state, serving.event_time, between, max_age))
    begin = _microseconds(first)
    recent = _spans(state, serving.event_time, between, 0)
    straddling = [key for key, span in recent.items() if span.low <= begin]
    earliest = None if max_age is None else begin - max_age - _ROUNDED_US
    # Of partitions that begin later, all rows may answer; only of those that hold `first` it is asked how far back they reach.
    return sorted({*recent, *_with_newest(keys, first, straddling, earliest)})


def _with_newest(keys: "_Asked", first: datetime, straddling: Sequence[str], earliest: int | None) -> Iterator[str]:
    """The partitions that hold the newest row at or before `first` of a key, or a later one."""
    state, seen, found = keys.state, set(straddling), [keys.rows(straddling, first)]
    newest, size, among = keys.settled(found), _FIRST, None
    while True:
        page = keys.older(_microseconds(first) - _ROUNDED_US, earliest, len(seen) + size, among)
        todo: dict[str, int] = {}
        for key, high in page:
            if key not in seen:
                todo.setdefault(key, high)
        if not todo and len(page) < len(seen) + size:
            break
        size *= 2
        if not todo:
            continue
        missing = keys.without(newest, next(iter(todo.values())) + _ROUNDED_US)
        if missing.is_empty():
            break
        # Which partitions hold a key is known before files of them are vacuumed that no answer needed.
        is_old = state.version < state.index.latest
        narrowed = len(seen) > len(straddling) or is_old
        may_hold = keys.partitions(missing if narrowed else missing.clear())
        if narrowed and may_hold is not None:
            among = may_hold
            todo = {key: high for key, high in todo.items() if key in among}
        if is_old:  # one that was vacuumed is needed only if it is the next one still
            todo = {key: high for number, (key, high) in enumerate(todo.items()) if not number or keys.is_there(key)}
        found.append(keys.rows(list(todo), first))
        seen.update(todo)
        newest = keys.settled(found)
    rows = pl.concat(found).join(newest.rename({_TIME: _FLOOR}), on=keys.keys.columns, how="left")
    yield from rows.filter(pl.col(_FLOOR).is_null() | (pl.col(_TIME) >= pl.col(_FLOOR)))[PARTITION]


def partitions_with(state: TableState, serving: Serving, spine: pl.DataFrame) -> list[str] | None:
    """The partitions of a lookup table that hold a key of the spine; None for a table without partitions."""
    if not state.partitioned:
        return None
    keys = list(serving.keys)
    asked = spine.select(pl.col(key).cast(state.schema[key], strict=False) for key in keys).drop_nulls().unique()
    rows = holding(state, keys, asked).select(*keys, PARTITION).join(asked.lazy(), on=keys, how="semi")
    return rows.select(PARTITION).unique().collect()[PARTITION].sort().to_list()


def holding(state: TableState, keys: Sequence[str], asked: pl.DataFrame) -> pl.LazyFrame:
    """The rows of those partitions of a table that may hold one of these keys, without a look at the others.

    Args:
        state: The table.
        keys: Its key columns.
        asked: Keys: these columns, in the table's types.
    """
    partitions = partitions_holding(state, keys, asked) if state.partitioned else None
    return state.scan(None if partitions is None else [key for key in partitions if key is not None])


def partitions_holding(state: TableState, keys: Sequence[str], asked: pl.DataFrame) -> list[str | None] | None:
    """The partitions of a table that may hold one of these keys; None where that is not known, so that any may.

    Args:
        state: The table.
        keys: Its key columns.
        asked: Keys: these columns, in the table's types.
    """
    print_ = key_print([pl.col(key) for key in keys])
    # Polars gives its hashes another form at times.
    index = KeyIndex(f"keys {list(keys)}", f"polars {pl.__version__}", lambda rows: rows.select(key=print_))
    return index.partitions(state, asked.select(print_).to_series().drop_nulls())


# -- the search --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    """The event times in a partition, µs since 1970: no row is before `low`, none after `high`."""

    low: float
    high: float


def _spans(state: TableState, time: str, between: Between, max_age_us: int | None) -> dict[str, _Span]:
    first, last = between
    if last is None:
        return {}
    earliest = None
    if first is not None and max_age_us is not None:
        earliest = _microseconds(first) - max_age_us - _ROUNDED_US
    spans: dict[str, _Span] = {}
    for file, low, high in state.ranges_between(time, earliest, _microseconds(last)):
        if file.partition is None:
            continue
        known = spans.get(file.partition, _Span(float("inf"), float("-inf")))
        spans[file.partition] = _Span(
            min(known.low, float("-inf") if low is None else low - _ROUNDED_US),
            max(known.high, float("inf") if high is None else high + _ROUNDED_US),
        )
    return spans


@dataclass(frozen=True, slots=True)
class _Asked:
    """The distinct keys of a spine, in the table's types, and what is asked of their rows."""

    state: TableState
    serving: Serving
    keys: pl.DataFrame
    known_time: str | None
    features: tuple[str, ...]

    @classmethod
    def of(
        cls,
        state: TableState,
        serving: Serving,
        spine: pl.DataFrame,
        known_time: str | None,
        features: tuple[str, ...],
    ) -> "_Asked | None":
        """None where the columns are not there: the join says so."""
        if not set(serving.keys) <= {*state.schema} & {*spine.columns}:
            return None
        columns = [pl.col(key).cast(state.schema[key], strict=False) for key in serving.keys]
        keys = spine.select(columns).drop_nulls().unique() if columns else pl.DataFrame({_EVERYBODY: [True]})
        return cls(state, serving, keys, known_time, features)

    @property
    def _settling(self) -> list[str]:
        return [f"{_SETTLES}{number}" for number in range(max(1, len(self.features)))]

    def rows(self, partitions: Sequence[str], first: datetime) -> pl.DataFrame:
        """The times at or before `first` of each key's rows in some partitions that may be needed, with each partition."""
        keys, schema, where = self.keys.columns, self.state.schema, f"the table {self.state.table.name}"
        time, at = instant(schema, self.serving.event_time, where), pl.lit(first).cast(INSTANT)
        known = pl.lit(True) if self.known_time is None else instant(schema, self.known_time, where) <= at
        gone = pl.col(CHANGE).eq_missing(DELETE) if CHANGE in schema else pl.lit(False)
        settles = [known & (pl.col(feature).is_not_null() | gone) for feature in self.features] or [known]
        named = zip(self._settling, settles, strict=True)
        rows = (
            self.state.scan(partitions)
            .with_columns(pl.lit(True).alias(_EVERYBODY))
            .select(
                *keys, time.alias(_TIME), PARTITION, *(pl.when(here).then(time).alias(name) for name, here in named)
            )
            .filter(pl.col(_TIME) <= at)
            .join(self.keys.lazy(), on=keys, how="semi")
        )
        floor = self._floor(pl.col(name).max().over(keys) for name in self._settling)
        rows = rows.filter(floor.is_null() | (pl.col(_TIME) >= floor))
        return rows.group_by(*keys, _TIME, PARTITION).agg(pl.col(self._settling).max()).collect()

    def settled(self, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """For each key the time before which no row is needed; null where that is not known yet."""
        newest = pl.concat(found).group_by(self.keys.columns).agg(pl.col(self._settling).max())
        return newest.select(*self.keys.columns, self._floor(map(pl.col, self._settling)).alias(_TIME))

    @staticmethod
    def _floor(settles: Iterable[pl.Expr]) -> pl.Expr:
        times = list(settles)
        return pl.when(pl.all_horizontal(time.is_not_null() for time in times)).then(pl.min_horizontal(times))

    def older(
        self, below: int, earliest: int | None, limit: int, among: Collection[str | None] | None
    ) -> list[tuple[str, int]]:
        """Partitions with a file whose rows are all before a moment (µs), and the time of its last row; the newest first."""
        named = None if among is None else [key for key in among if key is not None]
        column = self.serving.event_time
        return self.state.index.newest_partitions(self.state.version, column, earliest, below, limit, named)

    def without(self, newest: pl.DataFrame, high: int) -> pl.DataFrame:
        """The keys of which a row up to `high` (µs) can still be newer than what was found, or as new."""
        settled = newest.filter(pl.col(_TIME).dt.epoch("us") > high)
        return self.keys.join(settled, on=self.keys.columns, how="anti")

    def is_there(self, partition: str) -> bool:
        """Whether the files of a partition were not vacuumed."""
        storage, table = self.state.table.lake.storage, self.state.table.name
        return all(storage.size(f"{table}/{file.path}") is not None for file in self.state.files_of([partition]))

    def partitions(self, keys: pl.DataFrame) -> set[str | None] | None:
        if not self.serving.keys:
            return None
        found = partitions_holding(self.state, self.serving.keys, keys)
        return None if found is None else set(found)


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
