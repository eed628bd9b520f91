"""Features that were not there when a prediction was made: which, why they were missing, and whether they have come since."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from assay.errors import AssayError
from assay.features.storage.snapshot import Slice
from assay.features.tables.freshness import in_words
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.refusals import Refusal, find_refusal, refusals
from assay.lineage.delivery.run_records import find_record
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.features_seen import FeaturesSeen, reads_of_views, seen_of
from assay.lineage.tracing.trace import Trace
from assay.why.items import Unusual

_NAMED = 3  # features in a sentence
_DAY = timedelta(days=1)


def absent_features(
    lake: Lake, trace: Trace, store: LineageStore | None, seen: list[FeaturesSeen]
) -> Iterator[Unusual]:
    """One sentence per view that gave the prediction nothing."""
    reads = {item.snapshot.table: item for item in reads_of_views(trace)}
    for one in (one for one in seen if one.absent):
        text = " ".join([_what(one), *_reasons(lake, trace, store, one, reads[one.table])])
        yield Unusual("incomplete", text, one.table)


def _what(one: FeaturesSeen) -> str:
    names = list(one.values)
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    young = f" younger than {in_words(one.max_age)}" if one.max_age is not None else ""
    return (
        f"The model was given nothing for {listed}: {one.table} had no row{young} with this {' and '.join(one.keys)}."
    )


def _reasons(lake: Lake, trace: Trace, store: LineageStore | None, one: FeaturesSeen, read: Slice) -> Iterator[str]:
    made = trace.root.commits[-1].timestamp
    with suppress(AssayError, *UNREADABLE):
        latest = lake.table(one.table).at()
        now = next((item for item in seen_of(lake, trace, read, latest.version) if item.view == one.view), None)
        if now is not None and not now.absent and now.partition is not None:
            why = _why_missing(lake, store, latest, now.partition, made)
            writer = latest.writer_of(now.partition)
            yield from [why] if why else []
            since = f" {now.partition} was written on {_moment(writer.timestamp)}" if writer is not None else ""
            yield f"It has come since:{since}." if since else "It has come since."
            return
        if now is not None and not now.absent:
            yield "It has come since."
            return
        for refusal in _open_refusals(lake, latest, one, trace.prediction.row["event_time"]):
            yield f"{refusal.partition} {_how(refusal)} It is still not there."
            return
        yield "It is still not there."


def _why_missing(lake: Lake, store: LineageStore | None, view: TableState, partition: str, made: datetime) -> str:
    """Why a partition was not there at a time: the first of the tables on the way to it that did not have it."""
    for table in _sources_first(lake, view):
        try:
            state = lake.table(table).at()
        except AssayError:
            continue
        if not state.partitioned:
            continue
        first = next(iter(state.index.written(state.version, partition)), None)
        if first is not None and state.index.commit(first).timestamp <= made:
            continue
        refusal = find_refusal(lake, table, partition)
        if refusal is not None and refusal.at <= made:
            return f"{partition} {_how(refusal)}"
        failed = _failed_before(lake, store, table, partition, made)
        if failed is not None:
            at, problem = failed
            return f"{partition} was refused by {table} on {_moment(at)}: {problem}"
        verb = "had not been delivered" if Kind.RAW.holds(table) else "had not been made"
        return f"{partition} of {table} {verb} when the prediction was made."
    return ""


def _how(refusal: Refusal) -> str:
    if refusal.failed:
        return f"of {refusal.table} could not be made on {_moment(refusal.at)}: {refusal.problem}"
    return f"was refused by {refusal.table} on {_moment(refusal.at)}: {refusal.problem}"


def _sources_first(lake: Lake, view: TableState) -> list[str]:
    """The tables that a view is made from, those nearest to the deliveries first, and the view itself."""
    found: dict[str, None] = {}

    def walk(table: str) -> None:
        if table in found:
            return
        found[table] = None
        with suppress(AssayError):
            state = lake.table(table).at()
            last = state.index.last_written(state.version)
            for item in state.index.commit(last).inputs if last is not None else ():
                if not item.lookup and kind_is_on_the_way(item.snapshot.table):
                    walk(item.snapshot.table)

    walk(view.table.name)
    return list(reversed(found))


def kind_is_on_the_way(table: str) -> bool:
    return any(kind.holds(table) for kind in (Kind.RAW, Kind.CLEAN, Kind.FEATURES))


def _failed_before(
    lake: Lake, store: LineageStore | None, table: str, partition: str, made: datetime
) -> tuple[datetime, str] | None:
    """When and why the last run that was to make a partition failed, as the lake recorded it: a refusal is forgotten when the
    partition is written at last."""
    for run in store.failures(table, made) if store is not None else ():
        record = find_record(lake.storage, run.id, run.started_at or run.ended_at or made)
        facets = record.end_fields["run"].get("facets", {}) if record is not None else {}
        tags = {tag["key"]: tag["value"] for tag in facets.get("tags", {}).get("tags", [])}
        if tags.get("partition") == partition and run.ended_at is not None:
            message = str(facets.get("errorMessage", {}).get("message", "")).partition(": ")[2]
            return run.ended_at, message if message.endswith(".") else f"{message}."
    return None


def _open_refusals(lake: Lake, view: TableState, one: FeaturesSeen, at: datetime) -> list[Refusal]:
    """What is refused now of the tables on the way and may have held the row, the last first."""
    since = None if one.max_age is None else f"{at - one.max_age - _DAY:%Y-%m-%d}"
    until = f"{at:%Y-%m-%dT%H}"
    own = own_name(view.table.name)
    tables = [table for table in _sources_first(lake, view) if own_name(table) != own or table == view.table.name]
    found = [
        refusal
        for table in tables
        for refusal in refusals(lake, table)
        if refusal.partition is not None
        and (since is None or since <= refusal.partition)
        and refusal.partition <= until
    ]
    return sorted(found, key=lambda refusal: refusal.partition or "", reverse=True)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
