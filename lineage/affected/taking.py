"""Which rows of a commit of predictions, or of a training set, took an affected row: as of their time, by a key, or as the
very rows they are about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.feature_refs import find_serving
from assay.features.serving.served import Joined, served
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, instant
from assay.lineage.affected.hops import Taken, by_table
from assay.lineage.affected.selection import Gone, Rows, Selection
from assay.lineage.commits.graph import Version
from assay.lineage.commits.spine import Spine, TakenIn
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.own_columns import CHANGE

EVENT_TIME = "event_time"
_HIT, _KEPT = "__hit", "__kept"


Test = Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True, slots=True, eq=False)
class Tests:
    """By table that was read: which rows took affected rows of it. `notes` by table: why more of them may be named, as far as
    the rows were looked at."""

    by_table: Mapping[str, Test]
    notes: dict[str, frozenset[str]]

    def __call__(self, rows: pl.DataFrame) -> dict[str, pl.Series]:
        return {table: self._answer(table, test, rows) for table, test in self.by_table.items()}

    def _answer(self, table: str, test: Test, rows: pl.DataFrame) -> pl.Series:
        try:
            return test(rows)
        except UNREADABLE as problem:
            what = f"rows of {table} that were read are gone ({type(problem).__name__}): all that could have taken them count"
            self.notes[table] |= {what}
            return _every(rows)


def tests_of(
    rows: Rows,
    commit: Commit,
    spine: Spine,
    taken: Sequence[Taken],
    sources: Callable[[Version], Sequence[Taken]],
    columns: Callable[[Version], frozenset[str] | None],
) -> Tests:
    """The tests for the rows of one commit.

    Args:
        rows: Reads the rows of versions.
        commit: That of the predictions or the training set.
        spine: What it says of its rows.
        taken: Affected rows among those that it read.
        sources: The affected rows that another commit read.
        columns: The affected columns of a version; None: all.
    """
    tests: dict[str, Test] = {}
    notes: dict[str, frozenset[str]] = {}
    schema = rows.columns((commit.table, commit.version))
    for table, items in by_table(taken).items():
        if Kind.MODELS.holds(table):
            continue
        told = frozenset[str]().union(*(item.selection.notes for item in items))
        try:
            test, why = _test(rows, commit, spine, table, items, schema, sources, columns)
        except Gone as problem:
            test, why = _every, _unrecorded(f"which rows of {commit.table} took rows of {table}: {problem}")
        except AssayError:
            what = f"which rows of {commit.table} took rows of {table}: its keys or times do not match"
            test, why = _every, _unrecorded(what)
        if test is not None:
            tests[table] = test
            notes[table] = told | ({why} if why else set())
    return Tests(tests, notes)


def _test(
    rows: Rows,
    commit: Commit,
    spine: Spine,
    table: str,
    taken: Sequence[Taken],
    schema: pl.Schema,
    sources: Callable[[Version], Sequence[Taken]],
    columns: Callable[[Version], frozenset[str] | None],
) -> tuple[Test | None, str]:
    """A test, and why more rows may be taken for affected than are; None where nothing affected was taken."""
    unknown = _unrecorded(f"which rows of {commit.table} took which of {table}")
    looked_up = any(item.read.lookup for item in taken)
    if kind_of(table) in (Kind.FEATURES, Kind.EMBEDDINGS) and not looked_up:
        state = rows.state((table, taken[0].read.snapshot.version))
        serving, _ = find_serving(state) or (None, {})
        roles = spine.roles_of(own_name(table))
        if serving is not None and TEXT_KEY in serving.keys:
            columns_of_texts = [role.column(TEXT_KEY) for role in roles] or [TEXT_KEY]
            return _of_texts(rows, commit, spine, table, taken, schema, sources, columns_of_texts)
        if serving is None:
            return _every, unknown
        if serving.kind == "lookup":
            return _by_lookups(rows, serving, roles, taken, schema, unknown)
        return _in_roles(rows, serving, spine, roles, list(state.schema), taken, schema, columns, unknown)
    of_rows = kind_of(table) is Kind.CLEAN and not looked_up and not spine.is_built_from(table)
    if of_rows and spine.keys and set(spine.keys) <= set(rows.columns(taken[0].selection.version)):
        return _of_the_row(rows, spine, table, [item.selection for item in taken], schema), ""
    return _every, unknown


def _in_roles(
    rows: Rows,
    serving: Serving,
    spine: Spine,
    roles: Sequence[TakenIn],
    there: Sequence[str],
    taken: Sequence[Taken],
    schema: pl.Schema,
    columns: Callable[[Version], frozenset[str] | None],
    unknown: str,
) -> tuple[Test | None, str]:
    """Whether a row took an affected one in any role of the view. `there` are the columns of its table."""
    every = [name for name in there if name not in (*serving.columns(), PARTITION)]
    touched = [columns(item.selection.version) for item in taken]
    tests: list[Test] = []
    for role in roles:
        if not {*map(role.column, serving.keys), spine.event_time} <= set(schema):
            return _every, unknown
        features = every if "*" in role.features else [name for name in every if name in role.features]
        if any(names is None or names & {*features, *serving.columns()} for names in touched):
            named = [pl.col(role.column(key)).alias(key) for key in serving.keys]
            own = [*named, pl.col(spine.event_time).cast(INSTANT).alias(EVENT_TIME)]
            test = _as_of(rows, serving, role.joined, features, taken)
            tests.append(lambda given, test=test, own=own: test(given.select(own)))
    if not roles:  # the references do not name it
        return _every, unknown
    return (_any_of(tests) if tests else None), ""


def _any_of(tests: Sequence[Test]) -> Test:
    def test(given: pl.DataFrame) -> pl.Series:
        hits = pl.repeat(False, given.height, eager=True)
        for one in tests:
            hits = hits | one(given)
        return hits

    return test


def _unrecorded(what: str) -> str:
    return f"it is not recorded {what}: all that a commit wrote count"


def _every(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(True, rows.height, eager=True)


def _in(
    rows: pl.DataFrame, asked: pl.DataFrame, on: Sequence[str], times: Mapping[str, str] | None = None
) -> pl.Series:
    """Whether rows equal one of `asked` in some columns."""
    if not on:  # rows that are the same for all
        return pl.repeat(asked.height > 0, rows.height, eager=True)
    left = rows.select(pl.col(name).cast(asked.schema[name], strict=False) for name in on)
    return left.join(
        asked.select(*on, pl.lit(True).alias(_HIT)).unique(), on=list(on), how="left", maintain_order="left"
    )[_HIT].fill_null(False)


# -- features as of a row's time ---------------------------------------------------------------------------------------


def _as_of(rows: Rows, serving: Serving, joined: Joined, features: Sequence[str], taken: Sequence[Taken]) -> Test:
    keys, time = list(serving.keys), serving.event_time
    parts = []
    for item in taken:
        types = rows.columns(item.selection.version)
        moment = instant(types, time, item.selection.version[0]).alias(time)
        found = rows.distinct([item.selection], [*map(pl.col, keys), moment, _partition(types)])
        parts.append((item.read, found))
    reads: dict[Slice, list[pl.DataFrame]] = {}
    for read, found in parts:
        reads.setdefault(read, []).append(found)
    each = [
        partial(_taken_as_of, rows, serving, joined, features, read, pl.concat(frames).unique())
        for read, frames in reads.items()
    ]
    return _any_of(each)


def _partition(types: pl.Schema) -> pl.Expr:
    return (pl.col(PARTITION) if PARTITION in types else pl.lit(None, pl.String)).alias(_KEPT)


def _taken_as_of(
    rows: Rows,
    serving: Serving,
    joined: Joined,
    features: Sequence[str],
    read: Slice,
    affected: pl.DataFrame,
    asked: pl.DataFrame,
) -> pl.Series:
    """Whether the row that each asked one was served is affected. Only rows of entities with an affected row are looked at."""
    keys, time = list(serving.keys), serving.event_time
    state = rows.state((read.snapshot.table, read.snapshot.version))
    near = _in(asked, affected, keys)
    if not near.any():
        return near
    spine = asked.filter(near)
    entities = affected.select(keys).unique()
    wanted = spine.select(pl.col(key).cast(entities.schema[key], strict=False) for key in keys).unique()
    types = state.schema
    extra = [name for name in (serving.known_time, CHANGE) if name and name in types]
    extra += [name for name in features if joined.skip_nulls and name in types]
    partitions = None
    if state.partitioned:
        partitions = sorted(read.partitions) if read.partitions is not None else state.partitions()
        partitions = [key for key in partitions if key not in read.excluded]
    moment = instant(types, time, read.snapshot.table).alias(time)
    own = [pl.col(PARTITION)] if PARTITION in types else []
    recent = pl.lit(True)
    if serving.max_age_us is not None:
        recent = pl.col(time) >= pl.lit(spine[EVENT_TIME].min()) - pl.duration(microseconds=serving.max_age_us)
    frame = (
        state.scan(read.partitions, read.excluded)
        .select(*keys, moment, *own, *extra)
        .filter(pl.col(time) <= spine[EVENT_TIME].max(), recent)
    )
    if keys:
        frame = frame.join(wanted.lazy(), on=keys, how="semi", maintain_order="left")
    frame = _flagged(frame, affected, [*keys, time])
    found = served(state, serving, frame, partitions, spine, {_HIT: _HIT}, joined, features)
    hits = pl.repeat(False, spine.height, eager=True)
    for answer in found:
        hits = hits | answer[_HIT].fill_null(False)
    return near.scatter(near.arg_true(), hits)


def _flagged(frame: pl.LazyFrame, affected: pl.DataFrame, on: Sequence[str]) -> pl.LazyFrame:
    """The frame with a column that says which of its rows are affected."""
    names = [*on, _KEPT]
    return (
        frame.with_columns(_partition(frame.collect_schema()))
        .join(
            affected.lazy().select(names).unique().with_columns(pl.lit(True).alias(_HIT)),
            on=names,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .drop(_KEPT)
        .with_columns(pl.col(_HIT).fill_null(False))
    )


# -- lookups -----------------------------------------------------------------------------------------------------------


def _by_lookups(
    rows: Rows, serving: Serving, roles: Sequence[TakenIn], taken: Sequence[Taken], schema: pl.Schema, unknown: str
) -> tuple[Test | None, str]:
    """By the keys of affected rows, in any role. Of several rows with a key the first partition's serves, which is not looked
    at: more may be named."""
    tests: list[Test] = []
    for role in roles or [TakenIn({}, (), Joined())]:
        named = {key: role.column(key) for key in serving.keys}
        if not {*named.values()} <= set(schema):
            return _every, unknown
        columns = [pl.col(key).cast(schema[name], strict=False).alias(name) for key, name in named.items()]
        asked = rows.distinct((item.selection for item in taken), columns).drop_nulls()
        tests.append(partial(_in, asked=asked, on=[*named.values()]))
    return _any_of(tests), ""


def _of_texts(
    rows: Rows,
    commit: Commit,
    spine: Spine,
    table: str,
    taken: Sequence[Taken],
    schema: pl.Schema,
    sources: Callable[[Version], Sequence[Taken]],
    keys: Sequence[str],
) -> tuple[Test | None, str]:
    """A vector depends on nothing but its text, and that is the row's own. Where the row is read itself, vectors add nothing;
    elsewhere it is found by the row's keys in the table that the texts are from, or else by the text's key (`keys`: the columns
    that hold one)."""
    texts = [item for one in taken for item in sources(one.selection.version)]
    direct = {item.snapshot.table for item in commit.inputs if not item.lookup}
    if texts and all(item.read.snapshot.table in direct for item in texts):
        return None, ""
    if texts and all(set(spine.keys) <= set(rows.columns(item.selection.version)) for item in texts) and spine.keys:
        any_version = f"vectors of {table}: which version of a text was looked up is not recorded, any counts"
        return _of_the_row(rows, spine, table, [item.selection for item in texts], schema), any_version
    if not set(keys) <= set(schema):
        return _every, _unrecorded(f"which rows of {commit.table} took which of {table}")
    tests: list[Test] = []
    for key in dict.fromkeys(keys):
        column = pl.col(TEXT_KEY).cast(schema[key]).alias(key)
        asked = rows.distinct((item.selection for item in taken), [column]).drop_nulls()
        tests.append(partial(_in, asked=asked, on=[key]))
    any_text = f"vectors of {table}: whose texts they are is not recorded, all that a commit wrote count"
    return _any_of(tests), any_text


# -- the very rows -----------------------------------------------------------------------------------------------------


def _of_the_row(rows: Rows, spine: Spine, table: str, selections: Sequence[Selection], schema: pl.Schema) -> Test:
    """The rows with the keys, and where it is recorded which column that is, the time of affected ones."""
    keys = [key for key in spine.keys if key in schema]
    time = spine.time_of(table)
    parts = []
    for selection in selections:
        types = rows.columns(selection.version)
        columns = [pl.col(key).cast(schema[key], strict=False) for key in keys]
        if time is not None:
            columns.append(instant(types, time, table).alias(EVENT_TIME))
        parts.append(rows.distinct([selection], columns))
    asked = pl.concat(parts).unique().drop_nulls()
    on = [*keys, *([EVENT_TIME] if time is not None else [])]
    if time is not None:
        asked = asked.with_columns(pl.col(EVENT_TIME).cast(INSTANT))
    return lambda given: _in(given, asked, on)
