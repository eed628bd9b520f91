"""What a new generation of a feature set has to do: which streams it has, and of each which partitions have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from assay.features.online.manifest import Joined, Manifest, Stream, TableVersion
from assay.features.online.table_rows import table_rows
from assay.features.serving.feature_refs import Join, open_computed, open_joins, states_of
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.request import request
from assay.features.tables.lake import TableState
from assay.features.tables.reader import Reader
from assay.features.tables.serving import Serving

PART_ROWS = 500_000  # packed rows that are held at a time

Action = Literal["full", "changes", "keep"]


@dataclass(frozen=True, slots=True, eq=False)
class StreamPlan:
    """What becomes of one stream.

    Args:
        stream: As it will be.
        state: Its table, at the version that is read.
        serving: How the table is served.
        action: `full`: all rows are read; `changes`: those of the `changed` partitions; `keep`: none.
        why: In words.
        changed: The partitions with other rows than in the generation before.
        former: The stream in the generation before, where it goes on from there.
    """

    stream: Stream
    state: TableState
    serving: Serving
    action: Action
    why: str
    changed: tuple[str, ...] = ()
    former: Stream | None = None

    @property
    def reads(self) -> int:
        """How many rows of the table are read at least."""
        if self.action == "keep":
            return 0
        return self.state.rows(None if self.action == "full" else list(self.changed))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        table, version = self.state.table.name, self.state.version
        own = {"stream": self.stream.id, "table": table, "version": version, "action": self.action, "why": self.why}
        return own | {"rows_read": self.reads, "partitions": len(self.changed)}


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a new generation has to do; `is_needed` is False where it would be the one that is there."""

    set: FeatureSet
    former: Manifest | None
    streams: tuple[StreamPlan, ...]
    joined: tuple[Joined, ...]
    tables: tuple[TableVersion, ...] = field(default=())

    @property
    def is_needed(self) -> bool:
        return self.former is None or any(one.action != "keep" for one in self.streams) or not self._same_joins()

    def _same_joins(self) -> bool:
        former = self.former
        return former is not None and (former.joined, former.tables, former.sha256) == (
            self.joined,
            self.tables,
            self.set.digest(),
        )


def plan(reader: Reader, features: FeatureSet, at: int, former: Manifest | None, *, full: bool = False) -> Plan:
    """Compare a feature set's tables with the generation that is there. Reads no rows.

    Args:
        reader: Resolves each table to one version.
        features: The set.
        at: The new generation's moment, µs since 1970.
        former: The generation that is there.
        full: Read everything again.

    Raises:
        AssayError: For unknown views or features.
        MixedDefinitions: A view is asked for by a definition that has not computed all partitions.
    """
    wanted = request(features, JoinOptions())
    joins = open_joins(reader, wanted, {})
    open_computed(reader, wanted, {})  # notes the definitions of what is computed of them
    streams: dict[str, Stream] = {}
    joined = []
    for name, join in joins.items():
        join.by.refuse_others(None)
        base = _stream(join, None)
        known = streams.get(base.id, base)
        columns = dict.fromkeys((*known.features, *(() if _apart(join) else join.taken)))
        streams[base.id] = replace(base, features=tuple(columns))
        apart = {feature: _stream(join, feature) for feature in join.taken} if _apart(join) else {}
        streams |= {one.id: one for one in apart.values()}
        own = {feature: one.id for feature, one in apart.items()}
        joined.append(
            Joined(
                name,
                join.view,
                join.state.table.name,
                base.id,
                dict(join.keys),
                join.taken,
                join.serving.max_age_us,
                own,
            )
        )
    by_view = {join.view: join for join in joins.values()}
    plans = tuple(
        _plan_of(stream, by_view[stream.view], at, None if full else former, former) for stream in streams.values()
    )
    return Plan(features, former, plans, tuple(joined), _tables(reader, joins))


def _apart(join: Join) -> bool:
    return join.skip_nulls and join.serving.kind == "as_of"


def _tables(reader: Reader, joins: Mapping[str, Join]) -> tuple[TableVersion, ...]:
    snapshots = {join.state.table.name: join.state.snapshot for join in joins.values()}
    snapshots |= {item.snapshot.table: item.snapshot for item in reader.reads}
    return tuple(TableVersion(name, one.version, one.table_id, one.commit_sha256) for name, one in snapshots.items())


def _stream(join: Join, feature: str | None) -> Stream:
    """The rows of a view as a role needs them; of a feature alone, without those in which it is null."""
    serving, known = join.serving, join.known_at == "known" and join.serving.kind == "as_of"
    name = ".".join((join.view, *(["known"] if known else []), *([feature] if feature else [])))
    return Stream(
        name,
        join.view,
        join.state.table.name,
        serving.keys,
        (feature,) if feature else (),
        serving.event_time,
        serving.known_time,
        "known" if known else "event",
        feature,
        _newest_states(join),
    )


def _newest_states(join: Join) -> tuple[int, ...] | None:
    return states_of(join.state, join.serving) if join.serving.states else None


def _plan_of(stream: Stream, join: Join, at: int, before: Manifest | None, there: Manifest | None) -> StreamPlan:
    def all_rows(why: str) -> StreamPlan:
        return StreamPlan(stream, join.state, join.serving, "full", why)

    if before is None:
        return all_rows("everything is asked for" if there is not None else "there is no generation yet")
    former = next((one for one in before.streams if one.id == stream.id), None)
    if former is None or _shape(former) != _shape(stream):
        return all_rows("other features, keys or times than before")
    table = next((one for one in before.tables if one.table == stream.table), None)
    state = join.state
    if table is None or table.table_id != state.table_id or table.version > state.version:
        return all_rows("the table was made anew")
    if at < _micros(before):
        return all_rows("the generation that is there begins later")
    if table.version == state.version or not (changes := state.index.changes(table.version, state.version)):
        changed: list[str | None] = []
    elif state.checkpointed is not None or state.table_snapshot(table.version).commit_sha256 != table.commit_sha256:
        return all_rows("the table's log is not the one that was read")
    else:
        changed = sorted({partition for _, partition in changes}, key=lambda key: key or "")
    named = tuple(key for key in changed if key is not None)
    if len(named) < len(changed):
        return all_rows("the table has changed, and has no partitions")
    if (former.parts > 1 and before.polars != pl.__version__) or former.rows > 2 * former.parts * PART_ROWS:
        return all_rows("the parts are cut anew")
    kept = replace(stream, parts=former.parts)
    if not changed and (former.newest <= _micros(before) or stream.is_lookup):
        kept = replace(kept, rows=former.rows, newest=former.newest)
        return StreamPlan(kept, state, join.serving, "keep", "nothing has changed", (), former)
    if not stream.keys:
        return all_rows("the view has no keys")
    return StreamPlan(kept, state, join.serving, "changes", "some partitions have changed", named, former)


def _shape(stream: Stream) -> Stream:
    return replace(stream, states=None, parts=1, rows=0, newest=0)


def _micros(manifest: Manifest) -> int:
    return int(pl.Series([manifest.at]).dt.epoch("us")[0])


def cut(planned: StreamPlan) -> Stream:
    """The stream in as many parts as keep each of them small, by an estimate of how many keys there are."""
    stream, state = planned.stream, planned.state
    if planned.action != "full" or not stream.keys or state.rows() <= PART_ROWS:
        return stream
    rows = table_rows(state, stream, state.scan()).select(pl.struct(stream.key_columns).hash().approx_n_unique())
    return replace(stream, parts=max(1, -(-int(rows.collect(engine="streaming").item()) // PART_ROWS)))
