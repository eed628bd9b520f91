"""Which rows of a commit of predictions, or of a training set, took an affected row: as of their time, by a key, or as the
very rows they are about."""

from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.feature_refs import find_serving
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import INSTANT, instant
from assay.lineage.affected.as_served import as_of, by_lookup
from assay.lineage.affected.hits import EVENT_TIME, Test, Tests, Unsure, any_of, every, is_in, unrecorded
from assay.lineage.affected.hops import Taken, by_table
from assay.lineage.affected.selection import Gone, Rows, Selection
from assay.lineage.commits.graph import Version
from assay.lineage.commits.spine import Spine, TakenIn


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
    unsure: dict[str, Unsure] = {}
    schema = rows.columns((commit.table, commit.version))
    for table, items in by_table(taken).items():
        if Kind.MODELS.holds(table):
            continue
        inherited = frozenset[str]().union(*(item.selection.notes for item in items))
        try:
            test, why = _test(rows, commit, spine, table, items, schema, sources, columns)
            if isinstance(why, Unsure):
                unsure[table], why = why, ""
        except Gone as problem:
            test, why = every, unrecorded(f"which rows of {commit.table} took rows of {table}: {problem}")
        except AssayError:
            what = f"which rows of {commit.table} took rows of {table}: its keys or times do not match"
            test, why = every, unrecorded(what)
        if test is not None:
            tests[table] = test
            notes[table] = inherited | ({why} if why else set())
    return Tests(tests, notes, unsure)


def _test(
    rows: Rows,
    commit: Commit,
    spine: Spine,
    table: str,
    taken: Sequence[Taken],
    schema: pl.Schema,
    sources: Callable[[Version], Sequence[Taken]],
    columns: Callable[[Version], frozenset[str] | None],
) -> tuple[Test | None, str | Unsure]:
    """A test, and why more rows may be taken for affected than are, or which ones; None where nothing affected was taken."""
    unknown = unrecorded(f"which rows of {commit.table} took which of {table}")
    looked_up = any(item.read.lookup for item in taken)
    if kind_of(table) in (Kind.FEATURES, Kind.EMBEDDINGS) and not looked_up:
        state = rows.state((table, taken[0].read.snapshot.version))
        serving, _ = find_serving(state) or (None, {})
        roles = spine.roles_of(own_name(table))
        if serving is None:
            return every, unknown
        if serving.kind == "on_demand":  # by its definition every row was computed
            return every, ""
        if TEXT_KEY in serving.keys:
            keys = [role.column(TEXT_KEY) for role in roles] or [TEXT_KEY]
            return _of_texts(rows, commit, spine, table, taken, schema, sources, keys)
        return _in_roles(rows, serving, spine, roles, state.schema.names(), taken, schema, columns, unknown)
    if kind_of(table) is Kind.CLEAN and not looked_up:
        there, selections = rows.columns(taken[0].selection.version), [item.selection for item in taken]
        if (by := spine.looked_up_by(table)) and set(by) <= set(schema) & set(there):
            return _by_keys(rows, by, selections, schema), ""
        if spine.is_of(table) and spine.keys and set(spine.keys) <= set(there):
            if not spine.is_built:
                return _of_the_row(rows, spine, table, selections, schema), ""
            if spine.time_of(table) in there:
                return _of_built_rows(rows, commit, spine, table, taken, schema)
    return every, unknown


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
    """Whether a row took an affected one in any role of a view. `there` are the columns of its table."""
    features_there = [name for name in there if name not in (*serving.columns(), PARTITION)]
    touched = [columns(item.selection.version) for item in taken]
    times = [] if serving.kind == "lookup" else [pl.col(spine.event_time).cast(INSTANT).alias(EVENT_TIME)]
    tests: list[Test] = []
    for role in roles:
        own = [pl.col(role.column(key)).alias(key) for key in serving.keys] + times
        if not {name for column in own for name in column.meta.root_names()} <= set(schema):
            return every, unknown
        features = features_there if "*" in role.features else [f for f in features_there if f in role.features]
        if all(names is not None and not names & {*features, *serving.columns()} for names in touched):
            continue
        lookup = serving.kind == "lookup"
        test = by_lookup(rows, serving, taken) if lookup else as_of(rows, serving, role.joined, features, taken)
        tests.append(partial(_renamed, test, own))
    if not roles:  # the references do not name it
        return every, unknown
    return (any_of(tests) if tests else None), ""


def _renamed(test: Test, columns: Sequence[pl.Expr], given: pl.DataFrame) -> pl.Series:
    """A test of rows whose columns are called as the view calls them."""
    return test(given.select(columns))


# -- by keys -----------------------------------------------------------------------------------------------------------


def _by_keys(rows: Rows, keys: Sequence[str], selections: Sequence[Selection], schema: pl.Schema) -> Test:
    """By the values of affected rows in some columns."""
    asked = rows.distinct(selections, [pl.col(key).cast(schema[key], strict=False) for key in keys]).drop_nulls()
    return lambda given: is_in(given, asked, keys)


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
        return every, unrecorded(f"which rows of {commit.table} took which of {table}")
    tests: list[Test] = []
    for key in dict.fromkeys(keys):
        column = pl.col(TEXT_KEY).cast(schema[key]).alias(key)
        asked = rows.distinct((item.selection for item in taken), [column]).drop_nulls()
        tests.append(partial(is_in, asked=asked, on=[key]))
    any_text = f"vectors of {table}: whose texts they are is not recorded, all that a commit wrote count"
    return any_of(tests), any_text


# -- the very rows -----------------------------------------------------------------------------------------------------


def _of_the_row(rows: Rows, spine: Spine, table: str, selections: Sequence[Selection], schema: pl.Schema) -> Test:
    """The rows with the keys, and where it is recorded which column that is, the time of affected ones."""
    asked = _identities(rows, spine, table, selections, schema)
    return lambda given: is_in(given, asked, asked.columns)


def _of_built_rows(
    rows: Rows, commit: Commit, spine: Spine, table: str, taken: Sequence[Taken], schema: pl.Schema
) -> tuple[Test, Unsure]:
    """Rows that a function made are about the rows of its table that have their keys and their time. One that has no such row may
    be about any."""
    asked = _identities(rows, spine, table, [item.selection for item in taken], schema)
    reads = {item.read for item in taken}
    whole = [
        _identity(rows.state((table, read.snapshot.version)).scan(read.partitions, read.excluded), spine, table, schema)
        for read in reads
    ]
    there = pl.concat(pl.collect_all(whole)).unique().drop_nulls()
    why = (
        f"a function made rows of {commit.table} with keys or times of no row of {table}: it is not recorded from which"
    )
    return lambda given: is_in(given, asked, asked.columns), Unsure(
        lambda given: ~is_in(given, there, there.columns), why
    )


def _identities(
    rows: Rows, spine: Spine, table: str, selections: Sequence[Selection], schema: pl.Schema
) -> pl.DataFrame:
    """What identifies the selected rows among predictions: keys, and the time where it is recorded which column that is."""
    parts = []
    for selection in selections:
        types = rows.columns(selection.version)
        parts.append(rows.distinct([selection], _identity_columns(types, spine, table, schema)))
    return pl.concat(parts).unique().drop_nulls()


def _identity(frame: pl.LazyFrame, spine: Spine, table: str, schema: pl.Schema) -> pl.LazyFrame:
    return frame.select(_identity_columns(frame.collect_schema(), spine, table, schema)).unique()


def _identity_columns(types: pl.Schema, spine: Spine, table: str, schema: pl.Schema) -> list[pl.Expr]:
    columns = [pl.col(key).cast(schema[key], strict=False) for key in spine.keys if key in schema]
    time = spine.time_of(table)
    if time is not None:
        columns.append(instant(types, time, table).cast(INSTANT).alias(EVENT_TIME))
    return columns
