"""Publishing one staged output: data files first, then one Delta commit that names them and says where they came from."""

import io
import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import polars as pl
from deltalake import CommitProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from assay.errors import AssayError, refuse_case_twins
from assay.features.definitions.recorded import definition_of
from assay.features.storage.commit_metadata import CONFIRMS, Commit, to_metadata
from assay.features.storage.commit_writer import CHECKPOINT_EVERY, checkpoint_if_due, is_plain, write_commit
from assay.features.storage.delta_log import VOUCHES, displaced_by, far_back, unvouched
from assay.features.storage.log_entry import DataFile
from assay.features.storage.parquet_files import PARTITION, EncodedFile, encode, storable
from assay.features.storage.seals import seal
from assay.features.storage.spool import Spool
from assay.features.tables.freshness import PROMISE
from assay.features.tables.kinds import Kind, has_definitions, is_sealed
from assay.features.tables.lake import Lake, Table, TableMissing, TableState, column_types
from assay.features.tables.run_record import RunResult, TableWrite

_INTERVAL = "delta.checkpointInterval"
# Old versions stay readable until the guarded vacuum says otherwise: ordinary appends must not clean the log.
PIN_SAFE: dict[str, str | None] = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    # Whoever opens the table reads the last checkpoint and every commit after it.
    _INTERVAL: str(CHECKPOINT_EVERY),
}
ATTEMPTS = 40
ABSENT = -1  # "read" at this version: the table was not there


class Conflict(AssayError):
    """Another writer published between this work's read and its commit; the work must be done again on the new state."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows waiting to be published to one table, as the files that will hold them. `like` has their columns, and no rows."""

    table: str
    like: pl.DataFrame
    files: tuple[EncodedFile, ...]
    mode: Literal["replace", "append"]
    column_lineage: Mapping[str, Any] | None = None
    sections: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    constraints: Mapping[str, str] | None = None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, file by file."""
        return (pl.read_parquet(io.BytesIO(file.content)) for file in self.files)


def stage(
    table: str,
    frames: Iterable[pl.DataFrame],
    partition: str | None,
    spool: Spool,
    *,
    mode: Literal["replace", "append"] = "replace",
    statistics: Sequence[str] = (),
    column_lineage: Mapping[str, Any] | None = None,
    sections: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    constraints: Mapping[str, str] | None = None,
) -> Staged:
    """Rows, which may come frame by frame, encoded as they will be stored; only those of one file are held at a time.

    Raises AssayError for a type that Delta would change, for names that differ only in case, for frames with different
    columns, and for rows that break a constraint.
    """
    like: list[pl.DataFrame] = []

    def checked() -> Iterator[pl.DataFrame]:
        for frame in frames:
            rows = storable(frame, table)
            if not like:
                refuse_case_twins(rows.columns, f"the rows for {table}")
                like.append(rows.clear())
            _check_constraints(table, rows, constraints or {})
            yield rows
            del frame, rows  # before the next ones are made

    files = tuple(encode(checked(), partition, statistics, spool))
    if not like:
        raise AssayError(f"{table}: there is no frame of rows; give at least one, which may be empty.")
    return Staged(table, like[0], files, mode, column_lineage, sections, extra or {}, constraints or {})


def publish(lake: Lake, staged: Staged, done: RunResult, fingerprint: str, read_version: int | None) -> TableWrite:
    """Commit one output. `read_version`: the version at which the same work read this table, if it did (ABSENT: it found
    none); then a newer one is a Conflict, since the work's decision (such as "this key is new") may not hold any more.

    The commit is made on exactly the version whose files were looked at; when another writer comes first, look again.
    """
    lake.allow("write", staged.table, done.work.actor)
    table = lake.table(staged.table)
    partition, files = done.work.partition, staged.files
    for file in files:
        lake.storage.put_once(f"{staged.table}/{file.path}", file.content)
    # In the commit too, so that lineage by column needs nothing but the lake.
    described = {**done.sections, **(staged.sections or {})}
    columns = {"column_lineage": staged.column_lineage} if staged.column_lineage else {}
    metadata = to_metadata(
        run_id=done.work.run.id,
        actor=done.work.actor,
        period=done.work.period,
        asset=done.work.asset,
        partition=partition,
        fingerprint=fingerprint,
        inputs=done.reads,
        sources=done.sources,
        contract=done.contract,
        checks=tuple(check.to_dict() for check in done.checks),
        code_version=done.work.code_version,
        mode=staged.mode,
        rows=staged.rows,
        run=done.work.run_facts(),
        sections={**described, **columns},
        extra={**done.extra, **(staged.extra or {})},
    )
    for attempt in range(ATTEMPTS):
        state = _open_or_create(table, staged, partition, metadata, definition_of(described.get("view")))
        retyped = _retyped(state, staged.like)
        rest = {name: rule for name, rule in _constraints_of(state).items() if name not in (staged.constraints or {})}
        for rows in staged.frames() if rest else ():
            _check_constraints(staged.table, rows, rest)
        if read_version is not None and _moved(state, read_version):
            raise Conflict(f"{staged.table} was written by another run after this one had read it. Run it again.")
        chain = {VOUCHES: json.dumps(_vouched(state))}
        wanted = {file.path for file in files}
        active = {file.path: file for file in state.files_of(None if partition is None else [partition])}
        nothing_new = wanted <= set(active) or (not staged.rows and bool(active))
        if wanted == set(active) or (staged.mode == "append" and nothing_new):
            previous = state.writer_of(partition)
            same = staged.mode == "append" or (previous is not None and _same_verdict(previous, done, staged))
            if previous is not None and same and not displaced_by(staged.extra or {}):
                memoize(
                    lake, staged.table, partition, previous.version, fingerprint, done.contract, done.work.code_version
                )
                return _written(staged, state, previous.version, partition, changed=False)
            if previous is not None:  # something else is true of the same rows: a version without data files says so
                chain[CONFIRMS] = str(previous.version if previous.confirms is None else previous.confirms)
        gone = [] if staged.mode == "append" else [file for path, file in active.items() if path not in wanted]
        new = [file for file in files if file.path not in active]
        if not _committed(state, new, gone, {**metadata, **chain}, retyped):
            time.sleep(random.uniform(0.002, 0.02) * (attempt + 1))
            continue
        for file in files:  # one that an old version had left behind may have been vacuumed just before the commit
            if lake.storage.size(f"{staged.table}/{file.path}") is None:
                lake.storage.put(f"{staged.table}/{file.path}", file.content)
        written = _written(staged, table.open_unasked(state.version + 1), state.version + 1, partition, changed=True)
        if is_sealed(staged.table):
            seal(lake.storage, written.snapshot, written.rows)
        return written
    raise Conflict(
        f"{staged.table}: {ATTEMPTS} attempts to commit lost to other writers. Run it again when they are done."
    )


def _vouched(state: TableState) -> dict[str, str]:
    """Version → SHA-256 of the commits that the next one vouches for. Those far back as they were when they were indexed: a
    commit that was changed since is not vouched for as it is now."""
    far = state.index.digests(far_back(state.version + 1))
    near = unvouched(state.table.lake.storage, state.table.name, state.version)
    return near | {str(version): sha256 for version, sha256 in far.items() if str(version) not in near}


def _committed(
    state: TableState,
    new: Sequence[EncodedFile],
    gone: Sequence[DataFile],
    metadata: Mapping[str, str],
    retyped: Mapping[str, Any] | None = None,
) -> bool:
    """Commit the next version, with other types of columns where they are given. False when another writer came first."""
    storage, table, version = state.table.lake.storage, state.table.name, state.version + 1
    paths = [file.path for file in (*new, *gone)]
    if storage.is_local and state.checkpointed is None and is_plain(state.protocol, state.configuration, paths):
        done = write_commit(
            storage, table, version, new, gone, metadata, partitioned=state.partitioned, table_metadata=retyped
        )
        if done:
            checkpoint_if_due(state.table.uri, version)
        if done is not None:
            return done
    if retyped is not None:
        raise AssayError(
            f"{table}: a changed definition gives columns of other types than the table has, which only Assay's own writer of "
            "local tables can commit. Give the changed view another name."
        )
    now = int(time.time() * 1000)
    removed = [
        RemoveAction(old.path, True, now, old.size, {PARTITION: old.partition} if old.partition else {}) for old in gone
    ]
    try:
        state.delta.create_write_transaction(
            [*map(_add, new), *removed],
            "append",
            state.delta.schema(),
            [PARTITION] if state.partitioned else None,
            commit_properties=CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0),
        )
    except CommitFailedError:
        return False
    if (
        state.configuration.get(_INTERVAL) != PIN_SAFE[_INTERVAL]
    ):  # made when checkpoints were rare: delta-rs goes by that
        checkpoint_if_due(state.table.uri, version, storage.options)
    return True


def _add(file: EncodedFile) -> AddAction:
    values = {PARTITION: file.partition} if file.partition is not None else {}
    return AddAction(file.path, file.size, values, int(time.time() * 1000), True, file.stats)


def _written(staged: Staged, state: TableState, version: int, partition: str | None, *, changed: bool) -> TableWrite:
    return TableWrite(
        table=staged.table,
        snapshot=state.table_snapshot(version),
        partition=partition,
        rows=staged.rows,
        size=sum(file.size for file in staged.files),
        changed=changed,
        schema=column_types(state.schema),
        column_lineage=staged.column_lineage,
        replaced=staged.mode == "replace",
        at=state.index.commit(version).timestamp if changed else None,
    )


def _open_or_create(
    table: Table, staged: Staged, partition: str | None, metadata: Mapping[str, str], definition: str
) -> TableState:
    """The latest version, with the columns of the staged rows. Creates the table, or adds new columns; refuses changed types,
    unless they may change with the next commit."""
    frame, constraints = staged.like, staged.constraints or {}
    try:
        state = table.open_unasked()
    except TableMissing:
        _create(table, frame, partition)
        state = table.open_unasked()
    if (partition is not None) != state.partitioned:
        raise AssayError(
            f"{table.name} is {'' if state.partitioned else 'not '}partitioned; this work's partition is {partition}."
        )
    own = {PARTITION} if state.partitioned else set[str]()
    expected = {name: dtype for name, dtype in state.schema.items() if name not in own}
    changes_types = _may_retype(state, staged, definition)
    for name, dtype in frame.schema.items():
        if name in expected and expected[name] != dtype and not changes_types:
            raise AssayError(
                f"{table.name}: column {name!r} is {expected[name]} in the table and {dtype} in the new rows. "
                "Cast it, or give the changed table a new name."
            )
    lacking = {name: rule for name, rule in constraints.items() if name not in _constraints_of(state)}
    if lacking:  # its creator was killed before it could add them
        _add_constraints(table, lacking)
        state = table.open_unasked()
    new = [name for name in frame.columns if name not in expected]
    if not new:
        return state
    refuse_case_twins((*expected, *new), f"{table.name}, with the new rows")
    fields = list(_delta_schema(frame.select(new), None).fields)
    note = {key: metadata[key] for key in ("assay.asset",) if key in metadata}
    try:
        state.delta.alter.add_columns(
            fields, commit_properties=CommitProperties(custom_metadata=note, max_commit_retries=0)
        )
    except (CommitFailedError, DeltaError):
        if not set(new) <= set(table.open_unasked().schema):  # another writer may have added the same columns
            raise
    return table.open_unasked()


def _may_retype(state: TableState, staged: Staged, definition: str) -> bool:
    """Whether the rows may have other types than the table: features by another definition than that of the last rows, and a
    training set, which replaces all rows."""
    if has_definitions(staged.table):
        return bool(definition) and state.last_definition not in ("", definition)
    return Kind.TRAINING.holds(staged.table) and staged.mode == "replace" and not state.partitioned


def _retyped(state: TableState, like: pl.DataFrame) -> dict[str, Any] | None:
    """The table's `metaData` with the types of a frame's columns, where they are other ones; older versions keep theirs."""
    changed = [name for name, dtype in like.schema.items() if state.schema[name] != dtype]
    if not changed:
        return None
    metadata = dict(state.index.metadata(state.version))
    schema = json.loads(metadata["schemaString"])
    types = {
        field["name"]: field for field in json.loads(_delta_schema(like.select(changed), None).to_json())["fields"]
    }
    schema["fields"] = [types.get(field["name"], field) for field in schema["fields"]]
    return metadata | {"schemaString": json.dumps(schema)}


def _delta_schema(frame: pl.DataFrame, partition: str | None) -> Schema:
    if partition is not None:
        frame = frame.with_columns(pl.lit(partition).alias(PARTITION))
    return Schema.from_arrow(frame.schema)


def _create(table: Table, frame: pl.DataFrame, partition: str | None) -> None:
    try:
        create_table_with_add_actions(
            table.uri,
            _delta_schema(frame, partition),
            [],
            partition_by=[PARTITION] if partition is not None else None,
            configuration=PIN_SAFE,
            storage_options=table.lake.storage.options or None,
        )
    except DeltaError:
        if not table.exists():  # unless another writer created it first
            raise


_CONSTRAINT = "delta.constraints."


def _constraints_of(state: TableState) -> dict[str, str]:
    settings = state.configuration
    return {key.removeprefix(_CONSTRAINT): rule for key, rule in settings.items() if key.startswith(_CONSTRAINT)}


def _add_constraints(table: Table, constraints: Mapping[str, str]) -> None:
    try:
        table.open_unasked().delta.alter.add_constraint(dict(constraints))
    except DeltaError:
        if not set(constraints) <= set(_constraints_of(table.open_unasked())):  # unless another writer added them first
            raise


def _check_constraints(table: str, frame: pl.DataFrame, constraints: Mapping[str, str]) -> None:
    """Delta has its writers enforce a table's constraints; committing files ourselves, we are the writer."""
    for name, rule in constraints.items():
        broken = (
            pl.SQLContext(frame=frame).execute(f"SELECT COUNT(*) AS broken FROM frame WHERE NOT ({rule})").collect()
        )
        if broken.item():
            raise AssayError(
                f"{table}: {broken.item()} of {frame.height} new rows break its constraint {name!r}: {rule}."
            )


def _moved(state: TableState, since: int) -> bool:
    """Whether data changed after a version (not: columns or settings)."""
    return bool(state.index.changes(since, state.version))


_COUNTS = ("name", "passed", "severity", "evaluated", "invalid", "unknown")


def _same_verdict(commit: Commit, done: RunResult, staged: Staged) -> bool:
    """Whether the checks say the same of the commit's table, in counts, as they did when it was made, the same is promised of
    its age, and the rows come from the same definitions."""

    def counts(checks: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        own = (check for check in checks if check["table"] == commit.table)
        return sorted(tuple(check.get(name) for name in _COUNTS) for check in own)

    promise = commit.extra.get(PROMISE)
    same = promise is None or promise == done.extra.get(PROMISE)
    same = same and commit.changes == done.sections.get("changes")
    described = {**done.sections, **(staged.sections or {})}
    same = same and definition_of(commit.view) == definition_of(described.get("view"))
    same = same and _defined_by(commit.manifest) == _defined_by(described.get("manifest"))
    return same and counts(commit.checks) == counts(check.to_dict() for check in done.checks)


def _defined_by(manifest: Mapping[str, Any] | None) -> list[str]:
    """The definitions of features that a training set was made with."""
    made = manifest or {}
    described = (*made.get("features", ()), *made.get("used", ()), *filter(None, [made.get("label")]))
    return sorted(one["sha256"] or "" for item in described for one in item.get("definitions", ()))


def _note(table: str, partition: str | None) -> str:
    return f"_fresh/{table}/{partition or 'all'}.json"


def memoize(
    lake: Lake,
    table: str,
    partition: str | None,
    version: int,
    fingerprint: str,
    contract: Mapping[str, Any] | None = None,
    code_version: str = "",
) -> None:
    """Note that other inputs, or another version of the contract, led to what a version already holds, so that nobody computes
    it again to find out.

    Only a note: losing it costs a recomputation, never a result.
    """
    note: dict[str, Any] = {"version": version, "fingerprint": fingerprint}
    if contract is not None:
        note |= {"contract": contract.get("version"), "judged_by": dict(contract), "code_version": code_version}
    lake.storage.put(_note(table, partition), json.dumps(note).encode())


def confirmed_at(lake: Lake, state: TableState, partition: str | None, commit: Commit) -> datetime:
    """When what a commit holds of a partition was last made: then, or later, when other inputs led to the same."""
    name = _note(state.table.name, partition)
    noted = lake.storage.modified(name)
    if noted is None or noted <= commit.timestamp or json.loads(lake.storage.get(name))["version"] != commit.version:
        return commit.timestamp
    return noted


def find_current(lake: Lake, state: TableState, partition: str | None, fingerprint: str) -> Commit | None:
    """The commit that holds the result of these inputs for a partition, if it is the partition's current content."""
    commit = state.writer_of(partition)
    if commit is None or commit.fingerprint == fingerprint:
        return commit
    name = _note(state.table.name, partition)
    if lake.storage.size(name) is None:
        return None
    note = json.loads(lake.storage.get(name))
    return commit if (note["version"], note["fingerprint"]) == (commit.version, fingerprint) else None


def ways_made(lake: Lake, state: TableState, partition: str | None) -> list[Commit]:
    """How the current content of a partition came about: as its commit says; and where the same was found again later by
    another contract, the same commit with that contract and its code."""
    commit = state.writer_of(partition)
    if commit is None:
        return []
    name = _note(state.table.name, partition)
    note = json.loads(lake.storage.get(name)) if lake.storage.size(name) is not None else {}
    if note.get("version") != commit.version or not note.get("judged_by"):
        return [commit]
    again = replace(commit, contract=note["judged_by"], code_version=note["code_version"])
    return [commit, again]


def contracts_since(lake: Lake, table: str, commits: Iterable[Commit]) -> dict[int, str]:
    """The version of the contract by which the same was found again later, for those of the commits for which it is another."""
    noted = {path.rpartition("/")[2] for path in lake.storage.list(f"_fresh/{table}")}
    found: dict[int, str] = {}
    for commit in commits:
        name = _note(table, commit.partition)
        if commit.contract and name.rpartition("/")[2] in noted:
            note = json.loads(lake.storage.get(name))
            later = note.get("contract")
            if note["version"] == commit.version and later and later != commit.contract.get("version"):
                found[commit.version] = str(later)
    return found
