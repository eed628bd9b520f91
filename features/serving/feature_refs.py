"""Feature references to rows: resolved to exact table versions and to the partitions that matter.

A view's table says itself how it is served (in the metadata of its commits), so that reading needs none of the code that
made it: joined as of the spine's time, or looked up by keys.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from assay.errors import AssayError, nearest
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of import point_in_time_join
from assay.features.serving.by_definition import OpenView, open_view, other_features
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.lookup import Lookup, look_up
from assay.features.serving.on_demand.compute import Computed, Plan, compute_on_demand, hidden_name, plan
from assay.features.serving.on_demand.view import OnDemand
from assay.features.serving.references import Reference, refuse_two_definitions
from assay.features.serving.relevant_partitions import Between, partitions_as_of, partitions_with
from assay.features.serving.request import Features, Request, request
from assay.features.serving.view_read import ViewRead
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.reader import Reader
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.features.views.columns import require_columns
from assay.features.views.timestamps import instant

_Columns = tuple[tuple[str, str], ...]
_RANK = "__partition"
_MANY = 2_000_000  # rows of which the features are read apart: it takes half the memory, and up to a third more time


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """References, resolved: what to join and how, and for the record which table at which version gives which column.

    `computed` are on-demand features, in order; `used` describes the stored features that they are computed of, and `uses` has
    the references to these."""

    references: tuple[str, ...]
    views: tuple[ViewRead, ...]
    lookups: tuple[Lookup, ...]
    described: tuple[Mapping[str, Any], ...]
    options: JoinOptions = field(default_factory=JoinOptions)
    sets: tuple[FeatureSet, ...] = ()
    computed: tuple[Computed, ...] = ()
    used: tuple[Mapping[str, Any], ...] = ()
    uses: tuple[str, ...] = ()


def resolve(
    reader: Reader | Transaction,
    features: Features | Request,
    spine: pl.DataFrame,
    *,
    versions: Mapping[str, int] | None = None,
    options: JoinOptions | None = None,
    bounded: bool = True,
    learnt: Mapping[str, str] | None = None,
) -> Resolved:
    """Open every view once, at its version in `versions` (table name → version) or the latest, and read, as inputs of the
    reader (or transaction), the partitions that can hold a value for the spine, in any role: by the times in their files'
    statistics, the view's max_age and the spine's keys; of lookups, those with a key of the spine. `bounded=False` keeps what
    is too old, too. What is asked for as a `Request` has its own options. `learnt`: by view the definition (its SHA-256) that a
    training set was made with, which is read where no other is asked for.

    Each view is read by one definition: the one that is asked for, or else that of the newest version whose rows all have one.

    Raises AssayError for a malformed reference, an unknown view, feature, key, table or definition, or a spine without usable
    times; MixedDefinitions where rows are needed that another definition computed.
    """
    wanted = features if isinstance(features, Request) else request(features, options or JoinOptions())
    versions = dict(versions or {})
    for table in versions:
        if not reader.lake.table(table).exists():
            known = reader.lake.tables()
            raise AssayError(
                f"There is no table {table} to read at a version (tables: {', '.join(known) or 'none'}).{nearest(table, known)}"
            )
    opened = Opened(reader, versions, learnt or {})
    planned = plan(wanted, opened.serving_of)
    joins = _joins(opened, planned)
    if isinstance(reader, Transaction):
        for one in opened.by_name.values():
            if one.number > 1:  # of the first one, fingerprints are as they always were
                reader.decided_by(f"definition of {one.state.table.name}", one.definition)
    frames = {
        view: _read(reader, [join for join in joins.values() if join.view == view], spine, planned.options, bounded)
        for view in dict.fromkeys(join.view for join in joins.values())
    }
    views, lookups = [], []
    for name, join in joins.items():
        frame, position, large, _ = frames[join.view]
        if join.serving.kind == "lookup":
            lookups.append(Lookup(name, join.serving, frame, join.taken, join.keys))
        else:
            states = states_of(join.state, join.serving)
            views.append(
                ViewRead(
                    name,
                    join.serving,
                    frame,
                    join.taken,
                    position=position,
                    states=states,
                    keys=join.keys,
                    known_at=join.known_at,
                    skip_nulls=join.skip_nulls,
                    repeatable=large,
                )
            )
    computed, on_demand = _computed(reader, planned, opened, joins)
    stored = {
        name: _described(name, asked[0], opened, joins[name].outputs, frames[asked[0].view].partitions)
        for name, asked in planned.asked.items()
    }
    of_role = stored | on_demand
    return Resolved(
        wanted.texts,
        tuple(views),
        tuple(lookups),
        tuple(of_role[name] for name in wanted.joins()),
        planned.options,
        wanted.sets,
        computed,
        tuple(
            _described(name, used[0], opened, {item.feature: "" for item in used}, frames[used[0].view].partitions)
            for name, used in planned.used.items()
        ),
        planned.uses,
    )


def _computed(
    reader: Reader | Transaction, planned: Plan, opened: "Opened", joins: "Mapping[str, Join]"
) -> tuple[tuple[Computed, ...], dict[str, dict[str, Any]]]:
    """The on-demand features of a plan, in order, and for the record their views by role. Their definitions become inputs."""
    outputs = {
        name: outputs_of(asked[0].view, asked, [item.name for item in engine.features])
        for name, (engine, asked) in planned.computed.items()
    }
    columns = {(name, feature): column for name, join in joins.items() for feature, column in join.taken.items()}
    sources: dict[tuple[str, str], tuple[tuple[str, ...], _Columns, _Columns]] = {
        (name, feature): (
            (name,),
            ((join.state.table.name, feature),),
            tuple((join.state.table.name, column) for column in join.serving.columns()),
        )
        for name, join in joins.items()
        for feature in join.taken
    }
    computed: list[Computed] = []
    for item in planned.order:
        reference = item.reference
        here, (state, _, _) = (reference.join, reference.feature), opened.view(reference.view)
        of = [(used.join, used.feature) for used in item.uses.values()]
        columns[here] = outputs.get(reference.join, {}).get(reference.feature) or hidden_name(*here)
        roles = dict.fromkeys(role for one in of for role in sources[one][0])
        direct = dict.fromkeys(source for one in of for source in sources[one][1])
        indirect = dict.fromkeys([(state.table.name, reference.feature), *(s for one in of for s in sources[one][2])])
        sources[here] = tuple(roles), tuple(direct), tuple(indirect)
        computed.append(
            Computed(
                reference.join,
                reference.feature,
                item.engine.expression(reference.feature),
                item.inputs,
                {name: columns[used.join, used.feature] for name, used in item.uses.items()},
                columns[here],
                *sources[here],
            )
        )
        reader.note(state.table.name)
    described = {}
    for name, (_, asked) in planned.computed.items():
        _warn_of_deprecated(asked[0].view, outputs[name], opened.view(asked[0].view)[2])
        described[name] = _described(name, asked[0], opened, outputs[name], None)
    return tuple(computed), described


def _described(
    name: str,
    reference: Reference,
    opened: "Opened",
    outputs: Mapping[str, str],
    partitions: Sequence[str] | None,
) -> dict[str, Any]:
    """A view in a role, for the record. A role says which columns of the spine it is joined by; `definitions` by which ones the
    rows of the partitions that were read were computed."""
    state, serving, definition = opened.view(reference.view)
    definitions = {feature["name"]: feature.get("sha256") for feature in definition.get("features", [])}
    role = {"role": name, "keys": dict(reference.on)} if reference.on else {}
    return {
        "view": reference.view,
        "table": state.table.name,
        "version": state.version,
        "serving": serving.to_dict(),
        "features": [
            {"name": feature, "column": column, "definition": definitions.get(feature)}
            for feature, column in outputs.items()
        ],
        **opened.by_name[reference.view].described(partitions),
    } | role


@dataclass(slots=True)
class Opened:
    """Views by name, each opened once: at its version, or the newest one with rows by the definition that is asked for."""

    reader: Reader | Transaction
    versions: Mapping[str, int]
    learnt: Mapping[str, str] = field(default_factory=dict)
    views: dict[str, tuple[TableState, Serving, Mapping[str, Any]]] = field(default_factory=dict)
    engines: dict[str, OnDemand | None] = field(default_factory=dict)
    by_name: dict[str, OpenView] = field(default_factory=dict)
    asked: dict[str, Reference] = field(default_factory=dict)

    def open(self, reference: Reference) -> tuple[TableState, Serving, Mapping[str, Any]]:
        """The view of a reference. Raises AssayError if it is open already by another definition."""
        name = reference.view
        refuse_two_definitions([self.asked.setdefault(name, reference), reference])
        if name not in self.views:
            opened = self.by_name[name] = open_view(self.reader, reference, self.versions, self.learnt.get(name))
            self.views[name] = (opened.state, *serving_of(opened.state, opened.definition))
        return self.views[name]

    def view(self, name: str) -> tuple[TableState, Serving, Mapping[str, Any]]:
        return self.views[name] if name in self.views else self.open(Reference(name, "*", "*"))

    def engine(self, name: str) -> OnDemand | None:
        """What computes a view when it is read; None for one with rows."""
        if name not in self.engines:
            _, serving, definition = self.view(name)
            self.engines[name] = OnDemand.from_definition(definition) if serving.kind == "on_demand" else None
        return self.engines[name]

    def serving_of(self, reference: Reference) -> tuple[Serving, OnDemand | None]:
        return self.open(reference)[1], self.engine(reference.view)


def open_joins(reader: Reader | Transaction, wanted: Request, versions: Mapping[str, int]) -> "dict[str, Join]":
    """Each view whose rows are needed by the role that it is joined in, opened at its version. No rows are read.

    Raises AssayError for an unknown view, feature or key; MixedDefinitions for a definition that is named and not complete.
    """
    opened = Opened(reader, versions)
    joins = _joins(opened, plan(wanted, opened.serving_of))
    for join in joins.values():
        join.by.refuse_others(None)
    return joins


def open_computed(
    reader: Reader | Transaction, wanted: Request, versions: Mapping[str, int]
) -> tuple[tuple[Computed, ...], dict[str, dict[str, Any]]]:
    """What is computed of these joins, in order, and for the record the on-demand views by role. Their definitions are noted as
    read, and nothing else is."""
    opened = Opened(reader, versions)
    planned = plan(wanted, opened.serving_of)
    return _computed(reader, planned, opened, _joins(opened, planned))


def _joins(opened: Opened, planned: Plan) -> "dict[str, Join]":
    return {
        name: Join.of(opened, name, planned.asked.get(name, ()), planned.used.get(name, ()), planned.options)
        for name in dict.fromkeys((*planned.asked, *planned.used))
    }


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """A view in one role: the table at its version, by which definition, how it is served, and what is taken of it. `hidden` are
    features that on-demand ones use and nobody asked for."""

    name: str
    view: str
    by: OpenView
    serving: Serving
    outputs: Mapping[str, str]
    keys: Mapping[str, str]
    known_at: KnownAt
    skip_nulls: bool
    hidden: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        opened: Opened,
        name: str,
        asked: Sequence[Reference],
        used: Sequence[Reference],
        options: JoinOptions,
    ) -> "Join":
        first = (*asked, *used)[0]
        view, keys = first.view, dict(first.on)
        state, serving, definition = opened.view(view)
        for key in keys:
            if key not in serving.keys:
                close = nearest(key, serving.keys)
                raise AssayError(f"{view!r} is not joined by {key!r}; its keys are {list(serving.keys)}.{close}")
        by = opened.by_name[view]
        own = {*serving.columns(), PARTITION, *other_features(state, by.definition)}
        there = [column for column in state.schema if column not in own]
        outputs, of_used = outputs_of(view, asked, there), outputs_of(view, used, there)
        hidden = {feature: hidden_name(name, feature) for feature in of_used if feature not in outputs}
        _warn_of_deprecated(view, {**outputs, **hidden}, definition)
        return cls(name, view, by, serving, outputs, keys, *options.of(name, view), hidden)

    @property
    def state(self) -> TableState:
        return self.by.state

    @property
    def taken(self) -> dict[str, str]:
        """Feature → column, of all that is read."""
        return {**self.outputs, **self.hidden}

    def spine(self, spine: pl.DataFrame) -> pl.DataFrame:
        """The spine's keys under the names that the view has for them, as far as they are there: the join says what is not."""
        named = {key: self.keys.get(key, key) for key in self.serving.keys}
        return spine.select(pl.col(column).alias(key) for key, column in named.items() if column in spine.columns)


class _Read(NamedTuple):
    """Rows of a view, the column that orders equal ones, whether they are many, and the partitions that they are from."""

    frame: pl.LazyFrame
    position: str | None
    large: bool
    partitions: Sequence[str] | None


def _read(
    reader: Reader | Transaction, joins: Sequence[Join], spine: pl.DataFrame, options: JoinOptions, bounded: bool
) -> _Read:
    """The rows of one view that any of its roles needs: one read, so that each role is replayed from the same rows."""
    state, serving, table = joins[0].state, joins[0].serving, joins[0].state.table.name
    needed: set[str] | None = set()
    for join in joins:
        asked = join.spine(spine)
        if serving.kind == "lookup":
            where = f"{join.name!r} is looked up by {list(serving.keys)}; the spine"
            require_columns(spine.schema, [join.keys.get(key, key) for key in serving.keys], where)
            found = partitions_with(state, serving, asked)
        else:
            features = tuple(join.taken) if join.skip_nulls else ()
            known, between = join.known_at == "known", _times(spine, options.event_time)
            found = partitions_as_of(state, serving, asked, between, bounded=bounded, known=known, features=features)
        needed = None if found is None or needed is None else needed | set(found)
    partitions = None if needed is None else sorted(needed)
    joins[0].by.refuse_others(partitions)
    frame = reader.read(table, partitions)
    if serving.kind == "lookup":
        return _Read(frame, None, False, partitions)
    large = bounded and sum(file.rows for file in state.files_of(partitions)) >= _MANY
    return _Read(*ranked(frame, partitions), large, partitions)


def join(spine: pl.DataFrame, resolved: Resolved) -> pl.DataFrame:
    """The spine, row for row and in its order, with a column per reference; null where there is no value."""
    rows, event_time = spine, resolved.options.event_time
    if resolved.views or event_time in spine.columns:
        rows = point_in_time_join(spine, resolved.views, event_time=event_time)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup)
    return compute_on_demand(rows, resolved.computed, event_time=event_time) if resolved.computed else rows


def spine_columns(lake: Lake, references: Sequence[str], versions: Mapping[str, int]) -> set[str]:
    """The key columns, and inputs of the request, that a spine must have for these references, at these versions."""
    planned, opened = planned_of(Reader(lake), references, versions)
    columns = set(planned.inputs)
    for item in (one for references in (*planned.asked.values(), *planned.used.values()) for one in references):
        named = dict(item.on)
        columns |= {named.get(key, key) for key in opened.view(item.view)[1].keys}
    return columns


def planned_of(
    reader: Reader | Transaction, features: Features | Request, versions: Mapping[str, int] | None = None
) -> tuple[Plan, Opened]:
    """What would be joined and computed for references. Nothing becomes an input but the tables' versions."""
    opened = Opened(reader, versions or {})
    wanted = features if isinstance(features, Request) else request(features, JoinOptions())
    return plan(wanted, opened.serving_of), opened


def _times(spine: pl.DataFrame, event_time: str) -> Between:
    times = spine.lazy().select(instant(spine.schema, event_time, "the spine").alias("t")).collect()["t"]
    first, last = times.min(), times.max()
    assert first is None or isinstance(first, datetime)
    assert last is None or isinstance(last, datetime)
    return first, last


class DeprecatedFeature(FutureWarning):
    """A feature is asked for of which its view says what to use instead."""


def _warn_of_deprecated(view: str, outputs: Mapping[str, str], definition: Mapping[str, Any]) -> None:
    about = definition.get("about", {}).get("features", {})
    for feature in outputs:
        if instead := about.get(feature, {}).get("deprecated"):
            warnings.warn(f"Feature {view}:{feature} is deprecated: {instead}", DeprecatedFeature, stacklevel=2)


def serving_of(state: TableState, definition: str = "") -> tuple[Serving, Mapping[str, Any]]:
    """How a version is served, and the definition of its view ({} where it has none); of a view with several definitions by the
    one with this SHA-256. Raises AssayError if it does not say."""
    described = find_serving(state, definition)
    if described is None:
        raise AssayError(
            f"{state.snapshot} does not say how it is served: write it with sections={{'serving': view.serving()}}, or "
            "declare it as a feature view."
        )
    return described


def find_serving(state: TableState, definition: str = "") -> tuple[Serving, Mapping[str, Any]] | None:
    """`serving_of`, or None if the table does not say how it is served."""
    if definition and (newest := state.index.newest_of(definition, state.version)) is not None:
        commit = state.index.commit(newest)
        if commit.serving is not None:
            return Serving.from_dict(commit.serving), commit.view or {}
    for version in state.index.with_section("serving", state.version, newest=True):
        commit = state.index.commit(version)
        return Serving.from_dict(commit.serving or {}), commit.view or {}
    # Embedding tables say so only since their commits have a format.
    if TEXT_KEY in state.schema:
        return Serving.lookup([TEXT_KEY]), {}
    return None


def outputs_of(view: str, asked: Sequence[Reference], features: Sequence[str]) -> dict[str, str]:
    """Feature → column name."""
    outputs: dict[str, str] = {}
    for reference in asked:
        if reference.feature == "*":
            every = [name for name in features if not name.startswith("_")]
            outputs |= {name: outputs.get(name, reference.prefix + name) for name in every}
        elif reference.feature not in features:
            close = nearest(reference.feature, features)
            raise AssayError(
                f"{view!r} has no feature {reference.feature!r} (it has: {', '.join(sorted(features))}).{close}"
            )
        elif outputs.get(reference.feature, reference.output) != reference.output:
            raise AssayError(f"{view}:{reference.feature} is asked for under two names: use one.")
        else:
            outputs[reference.feature] = reference.output
    return outputs


def states_of(state: TableState, serving: Serving) -> tuple[int, ...]:
    """The times of all states that a table has, from the statistics of its files: all rows of a state have its time. Of a
    state without rows the commit that wrote it says when it began. () where rows are no states."""
    if not serving.states:
        return ()
    if state.checkpointed is not None:
        column = state.scan().select(pl.col(serving.event_time).dt.epoch("us").unique()).collect().to_series()
        times = set(column.drop_nulls())
    else:
        ranges = state.ranges_between(serving.event_time, None, None)
        times = {low for _, low, _ in ranges if low is not None}
    emptied = state.partitions_without_rows()
    began = [(commit.serving or {}).get("holds_from_us") for commit in state.writers(emptied)] if emptied else []
    return tuple(sorted(times.union(at for at in began if at is not None)))


def ranked(frame: pl.LazyFrame, partitions: Sequence[str] | None) -> tuple[pl.LazyFrame, str | None]:
    """Rows that tie in every time are ordered by partition, whatever order the files are read in."""
    if not partitions:
        return frame, None
    rank = pl.col(PARTITION).replace_strict(list(partitions), list(range(len(partitions))), return_dtype=pl.Int64)
    return frame.with_columns(rank.alias(_RANK)), _RANK
