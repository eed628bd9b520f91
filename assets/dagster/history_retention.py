"""How long Dagster's own history is kept: runs, their events and logs, ticks, heartbeats.

What the UI shows of an asset stays, however old: the run that last materialised a partition, or last gave a verdict on it,
keeps its row and those events, and loses only its step-by-step log. A failure or a refusal that nothing has made good since
keeps everything. All other runs that ended before go as a whole.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import KeyValueStoreTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from assay.assets.dagster.history import missing
from assay.assets.dagster.jobs import hidden_tag, partition_of, tables_of
from assay.assets.dagster.run_recovery import HEARTBEATS
from assay.assets.dagster.run_requests import TRIMMED_TAG
from assay.assets.dagster.to_dagster import REFUSED_TAG
from assay.assets.upkeep import Upkeep, small
from assay.errors import plural

verdicts, events, values = AssetCheckExecutionsTable, SqlEventLogStorageTable, KeyValueStoreTable
_PAGE = 500
_SHOWN = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_CHECK_EVALUATION")  # events that stay


@dataclass(slots=True)
class _Old:
    """Ids of runs that ended before: to be deleted, and to lose their log."""

    gone: list[str] = field(default_factory=list)
    trimmed: list[str] = field(default_factory=list)


def keep_history(
    instance: dg.DagsterInstance, days: int, *, do: bool, history: bool = True, now: datetime | None = None
) -> list[Upkeep]:
    """Remove what is older, and heartbeats of runs that have ended; or say what would be removed.

    Args:
        instance: Whose history.
        days: How many days are kept. 0: all.
        do: Do it.
        history: Also remove runs and ticks, which people may miss.
        now: The time now.
    """
    beats, remove = _heartbeats(instance, do=do), do and history
    if not days:
        return [Upkeep("history", 0, "All of Dagster's history is kept (ASSAY_HISTORY_DAYS=0)."), beats]
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return [Upkeep("history", 0, f"{type(storage).__name__} of Dagster is not looked after."), beats]
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    old = _old(instance, storage, before)
    if remove:
        for run_id in old.gone:
            _delete(instance, storage, run_id)
        for run_id in old.trimmed:
            _trim(instance, storage, run_id)
    text = (
        f"{plural(len(old.gone), 'run')} to delete and {plural(len(old.trimmed), 'run')} to lose the log, of before "
        f"{before:%Y-%m-%d}."
    )
    return [
        Upkeep("history", len(old.gone) + len(old.trimmed), text, remove),
        _ticks(instance, before, do=remove),
        beats,
    ]


def _old(instance: dg.DagsterInstance, storage: SqlEventLogStorage, before: datetime) -> _Old:
    found, shown = _Old(), _last_of_something(storage)
    answered: set[tuple[str | None, str]] = set()  # by a later run
    for record in _records(instance):
        run = record.dagster_run
        places = {(partition_of(run), table) for table in tables_of(run)}
        failed = run.status == dg.DagsterRunStatus.FAILURE or REFUSED_TAG in run.tags
        is_open = failed and not {(partition_of(run), table) for table in missing(instance, run)} <= answered
        if run.status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE):
            answered |= places
        if not run.is_finished or is_open or (record.end_time or before.timestamp()) >= before.timestamp():
            continue
        if run.run_id not in shown:
            found.gone.append(run.run_id)
        elif not hidden_tag(run, TRIMMED_TAG):
            found.trimmed.append(run.run_id)
    return found


def _records(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    """All runs, newest first."""
    cursor = None
    while page := instance.get_run_records(limit=_PAGE, cursor=cursor):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _last_of_something(storage: SqlEventLogStorage) -> set[str]:
    """The runs of the last materialisation of each partition, and of the last verdict of each check on it."""
    places = (events.c.asset_key, events.c.partition, events.c.dagster_event_type)
    made = sa.select(sa.func.max(events.c.id)).where(events.c.dagster_event_type.in_(_SHOWN)).group_by(*places)
    checks = (verdicts.c.asset_key, verdicts.c.check_name, verdicts.c.partition)
    last = sa.select(sa.func.max(verdicts.c.id)).group_by(*checks)
    with storage.index_connection() as connection:
        runs = connection.execute(sa.select(events.c.run_id).where(events.c.id.in_(made)).distinct())
        found = {run_id for (run_id,) in runs}
        runs = connection.execute(sa.select(verdicts.c.run_id).where(verdicts.c.id.in_(last)).distinct())
        return found | {run_id for (run_id,) in runs}


def _delete(instance: dg.DagsterInstance, storage: SqlEventLogStorage, run_id: str) -> None:
    instance.delete_run(run_id)
    with storage.index_connection() as connection:
        connection.execute(verdicts.delete().where(verdicts.c.run_id == run_id))
    _delete_printed(instance, run_id)
    if file := _file_of(storage, run_id):
        for path in (file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm", "-journal"))):
            path.unlink(missing_ok=True)


def _trim(instance: dg.DagsterInstance, storage: SqlEventLogStorage, run_id: str) -> None:
    instance.add_run_tags(run_id, {TRIMMED_TAG: TRIMMED_TAG})
    others = sa.or_(events.c.dagster_event_type.is_(None), events.c.dagster_event_type.not_in(_SHOWN))
    with storage.run_connection(run_id) as connection:
        connection.execute(events.delete().where(events.c.run_id == run_id, others))
    _delete_printed(instance, run_id)
    if file := _file_of(storage, run_id):  # it stays: a UI that has read it expects its tables
        small([file], do=True)


def _delete_printed(instance: dg.DagsterInstance, run_id: str) -> None:
    with suppress(NotImplementedError):
        instance.compute_log_manager.delete_logs(prefix=[run_id])


def _file_of(storage: SqlEventLogStorage, run_id: str) -> Path | None:
    """The file with a run's events, where each run has one."""
    return Path(storage.path_for_shard(run_id)) if isinstance(storage, SqliteEventLogStorage) else None


def _ticks(instance: dg.DagsterInstance, before: datetime, *, do: bool) -> Upkeep:
    count, moment = 0, before.timestamp()
    for state in instance.all_instigator_state() if instance.schedule_storage is not None else ():
        count += len(instance.get_ticks(state.instigator_origin_id, state.selector_id, before=moment))
        if do:
            instance.purge_ticks(state.instigator_origin_id, state.selector_id, moment, list(TickStatus))
    return Upkeep("ticks", count, f"{plural(count, 'tick')} of sensors and schedules of before {before:%Y-%m-%d}.", do)


def _heartbeats(instance: dg.DagsterInstance, *, do: bool) -> Upkeep:
    """Of runs that have ended: nobody asks for them any more."""
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        return Upkeep("heartbeats", 0, "none.")
    with storage.connect() as connection:
        keys = [
            key for (key,) in connection.execute(sa.select(values.c.key).where(values.c.key.startswith(HEARTBEATS)))
        ]
    over = []
    for start in range(0, len(keys), _PAGE):
        ids = {key.removeprefix(HEARTBEATS): key for key in keys[start : start + _PAGE]}
        runs = instance.get_runs(dg.RunsFilter(run_ids=list(ids)))
        over += [
            key for run_id, key in ids.items() if run_id not in {run.run_id for run in runs if not run.is_finished}
        ]
    if do:
        with storage.connect() as connection:
            for start in range(0, len(over), _PAGE):
                connection.execute(values.delete().where(values.c.key.in_(over[start : start + _PAGE])))
    return Upkeep("heartbeats", len(over), f"{plural(len(over), 'heartbeat')} of runs that have ended.", do)
