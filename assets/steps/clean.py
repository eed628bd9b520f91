"""Clean steps: one scan of a raw batch against its contract gives the clean rows, the quarantined rows and the counts."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import (
    DECISION,
    REJECTED,
    RELEASED,
    SCHEMA,
    DecidedBatch,
    Judged,
    apply_decisions,
    expired,
    latest_decisions,
)
from assay.assets.steps.batch_checks import (
    batch_check_specs,
    quarantined_check,
    releases_check,
    rule_check,
    volume_check,
)
from assay.assets.steps.column_notes import PROFILE_NOTES, contract_notes, delivered_notes
from assay.assets.steps.compared_rows import CurrentRows, with_deletes
from assay.assets.steps.hold import Earlier, Takes
from assay.assets.steps.looked_up import LookedUp, absent_parents, compared_columns, finds_the_same, referred_tables
from assay.assets.steps.profiles import profile_rows
from assay.assets.steps.published_rows import LEFT_OUT, Published, With, Written
from assay.assets.steps.states import COUNTS, changes_check, state_before, state_changes
from assay.assets.steps.step import Resources, Step, available, require
from assay.assets.steps.watched import Concern, Trust, Watched, same_partition
from assay.assets.stored_contracts import keep_contract, looser_rules, may_take_more
from assay.checks import (
    Contract,
    Report,
    SpilledOutcome,
    contract_info,
    contract_rules,
    mask,
    quarantined,
    validate,
    validate_spilled,
)
from assay.checks.contract.contract import compiled
from assay.checks.contract.rules import CountRule
from assay.checks.validation.former_names import former_names
from assay.features.storage.commit_metadata import LOOKED_UP, Commit
from assay.features.storage.delta_log import DISPLACES
from assay.features.storage.scratch import scratch
from assay.features.storage.sections import Changes
from assay.features.tables.freshness import PROMISE, Promise
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableMissing, TableState
from assay.features.tables.scan_in_order import scan_in_order
from assay.features.tables.transaction import Transaction
from assay.optional import installed
from assay.row_source import RowSource
from assay.settings import Settings
from assay.stable_text import stable_text

_UNDECIDED = pl.DataFrame(schema=SCHEMA)


def clean_step(source: Source) -> Step:
    """The step that fills `clean/<source>` and `quarantine/<source>` together."""
    info = contract_info(source.contract)
    return Step(
        outputs=(source.clean, source.quarantine, Kind.PROFILES.table(source.name)),
        prepare=lambda tx, env: prepare_batch(source, tx, env),
        compute=lambda tx, env, batch: _compute(source, tx, env, batch),
        code_version=_code_version(source, info.digest),
        reads=(source.raw, *_counted(source)),
        since=info.since,
        earlier=Earlier(
            takes=lambda lake, made: _takes(source, lake, made),
            any=lambda lake: may_take_more(lake.storage, source.contract),
        ),
        references=referred_tables(source.contract),
        watched=_watched(source),
        partitioning=source.partitioning,
        batches=None if source.partitioning.is_partitioned else lambda env: batches_of(source.raw, env),
        checks=batch_check_specs(source),
        kinds=("polars", "pandera"),
        owner=info.owner or "",
        description=f"Rows of {source.raw} that meet contract {info.name} v{info.version}.",
        descriptions={
            source.quarantine: "Rows that broke a rule: kept whole, with the rules they broke.",
            Kind.PROFILES.table(source.name): f"Statistics of {source.clean}, one row per column, for monitoring.",
        },
        freshness=info.freshness,
        event_time=source.event_time,
        columns={
            source.clean: contract_notes(source.contract),
            source.quarantine: delivered_notes(source.contract),
            Kind.PROFILES.table(source.name): PROFILE_NOTES,
        },
    )


def _code_version(source: Source, digest: str) -> str:
    """Of the step under the contract with this digest."""
    return hashlib.sha256(f"clean-3 {digest} {stable_text(source.key)}".encode()).hexdigest()[:16]


def _takes(source: Source, lake: Lake, made: Commit) -> Takes | None:
    """What the contract may take of a batch that an earlier one judged; None if it demands more, or anything but the contract
    has changed."""
    digest = str((made.contract or {}).get("digest"))
    if made.code_version != _code_version(source, digest):
        return None
    rules = looser_rules(lake.storage, digest, source.contract)
    if rules is None:
        return None
    kept = made.report.rows_quarantined - made.report.rows_rejected if made.report is not None else 0
    broken = sum(check["invalid"] for check in made.checks if check["name"] in rules)
    return Takes(rules, max(0, min(kept, broken)))


def _watched(source: Source) -> Watched:
    own = (source.quarantine, Kind.PROFILES.table(source.name))
    tables = same_partition(source.raw, *_counted(source), source.releases, *own)
    # The next state is compared with this one; other batches are compared by their keys.
    tables[source.clean] = Concern(reach=1) if source.reader.states else Concern(displaces=True)
    lookups = {table: Concern(presence=True) for table in referred_tables(source.contract) if table not in tables}

    def alike(batch: Batch, partition: str, before: Mapping[str, str]) -> bool:
        # What people corrected in it is not in the delivered rows.
        undecided = batch.decisions.is_empty()
        day = partition if source.partitioning.is_partitioned else ""  # batches that are only numbered are nobody's day
        return undecided and finds_the_same(batch.raw, source.contract, batch.lookup_tables, before, day)

    return Watched(tables | lookups, trust=_until_exceptions_end, alike=alike)


def _until_exceptions_end(batch: "Batch") -> Trust:
    """An exception that ends changes the result, and so does one that has ended and has not, by a clock that goes back."""
    untils = latest_decisions(batch.decisions)["until"].drop_nulls().to_list()
    over = [until for until in untils if until < batch.today]
    return Trust(
        since=_midnight_after(max(over)) if over else None,
        until=min((_midnight_after(until) for until in untils if until >= batch.today), default=None),
    )


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC) + timedelta(days=1)


def batches_of(table: str, env: Resources) -> list[str]:
    """The batches that a table has: what reads it handles them one by one."""
    try:
        return env.lake.table(table).at().partitions()
    except TableMissing:
        return []


@dataclass(frozen=True, slots=True)
class Batch:
    """What validating a batch reads, pinned. `in_order`: `raw`, for a large one. `decisions`: what people decided about its
    quarantined rows. `counts`: rows of the tables that the contract reconciles with. `bytes`: about as many as the batch has
    in memory. `names`: under which names raw has columns that were called otherwise before. `before`: of states the one
    before this one."""

    raw: pl.LazyFrame
    in_order: RowSource
    published: Published | None
    lookup_tables: Mapping[str, TableState]
    decisions: pl.DataFrame
    today: date
    counts: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    before: pl.LazyFrame | None = None


def prepare_batch(source: Source, tx: Transaction, env: Resources) -> Batch:
    """Pin what validating this transaction's partition reads. Raises NotReady while it has not arrived."""
    batch = tx.work.partition or ""
    require(tx, source.raw, batch)
    tx.contract = _contract(source)
    raw = tx.read(source.raw, [batch])
    counts = {table: _rows_of(tx, table, batch) for table in _counted(source)}
    lookup_tables = {}
    for table in referred_tables(source.contract):
        available(tx, table, [])
        lookup_tables[table] = tx.note(table, lookup=True)
    published = None if source.reader.states else _published(source, tx, batch)
    before = state_before(source, tx) if source.reader.states else None
    today = env.now().date()
    decisions = _decisions(source, tx, batch)
    over = expired(latest_decisions(decisions), today)
    if over:
        # An exception that ends changes the result as an edited file does.
        tx.work = replace(tx.work, params={**tx.work.params, "expired": " ".join(over)})
    state = tx.state(source.raw)
    plan = compiled(source.contract)
    former = former_names(plan.info.name, plan.columns, raw)
    in_order = former.source(scan_in_order(state, [batch]))
    size = _bytes_of(state, batch)
    return Batch(
        former.lazy(raw), in_order, published, lookup_tables, decisions, today, counts, size, former.delivered, before
    )


def _published(source: Source, tx: Transaction, batch: str) -> Published | None:
    """The other batches, at one version: of quarantine, too, so that what another run writes there meanwhile is a conflict."""
    try:
        clean = tx.note(source.clean, lookup=True, excluded=[batch])
    except TableMissing:
        return None
    try:
        quarantine = tx.state(source.quarantine)
    except TableMissing:
        quarantine = None
    displaced = clean.index.displaced(batch, clean.version)
    if displaced is not None:  # this batch has keys that a batch has which was judged then
        tx.work = replace(tx.work, params={**tx.work.params, "displaced": f"{displaced}"})
    return Published(source, clean, quarantine, batch)


def _bytes_of(raw: TableState, batch: str) -> int:
    """A value has 16 bytes in memory, and long texts about those that were delivered. What the files have says little: they
    are compressed."""
    commit = raw.writer_of(batch)
    delivered = sum(source.size for source in commit.sources) if commit is not None else 0
    return raw.rows([batch]) * len(raw.schema) * 16 + delivered


def _rows_of(tx: Transaction, table: str, batch: str) -> int:
    """How many rows a table counts for a batch: those of the same partition, or all of a table without partitions. Raises
    NotReady while they have not arrived."""
    available(tx, table, [])
    partitions = None
    if tx.state(table).partitioned:
        require(tx, table, batch)
        partitions = [batch]
    return int(tx.read(table, partitions).select(pl.len()).collect().item())


def _decisions(source: Source, tx: Transaction, batch: str) -> pl.DataFrame:
    """A batch about which nothing was decided does not read the table: decisions elsewhere do not make it stale."""
    try:
        decided = bool(tx.state(source.releases).partitions([batch]))
    except TableMissing:
        decided = False
    return tx.read(source.releases, [batch]).select(list(SCHEMA)).collect() if decided else _UNDECIDED


@contextmanager
def judged_batch(source: Source, batch: Batch, settings: Settings) -> Iterator[tuple[Judged, DecidedBatch]]:
    """The batch validated, with the decisions about its rows applied. A large one is on disk, and its rows can be read as long
    as this lasts; without the engine that compares its keys there (the extra `spill`) it is in memory, too."""
    with ExitStack() as stack:
        folder, published, by = None, batch.published, ordered_by(source)
        if published is not None and source.reader.compares:
            published = CurrentRows(published, batch.raw)
        if batch.bytes > settings.in_memory_mb * 1_000_000 and installed("duckdb"):
            folder = stack.enter_context(scratch(settings.home))

        def one(rows: pl.LazyFrame, contract: type[Contract], clean: pl.LazyFrame | None) -> Judged:
            tables = {name: LookedUp(state) for name, state in batch.lookup_tables.items()}
            if clean is not None:  # rows that are released are only some of the batch: they are not counted again
                both = With(published, clean)
                return validate(rows, contract, lookup_tables=tables, published=both, event_time=by)
            given = {"published": published, "counts": batch.counts, "event_time": by}
            if folder is None:
                return validate(rows, contract, lookup_tables=tables, **given)
            return validate_spilled(batch.in_order, contract, folder, lookup_tables=tables, **given)

        raw = batch.in_order.lazy() if folder is not None else batch.raw.collect().lazy()
        outcome, settled = apply_decisions(raw, source.contract, batch.decisions, batch.today, one)
        yield with_deletes(source, outcome, settled, batch.published) if source.reader.compares else (outcome, settled)


def ordered_by(source: Source) -> str | None:
    """The column that puts rows with one key in order, where the contract declares it. Of a table that is compared, later batches
    stand in place of earlier ones."""
    columns = [column.name for column in contract_info(source.contract).columns]
    return source.event_time if source.event_time in columns and not source.reader.compares else None


def _counted(source: Source) -> tuple[str, ...]:
    """Tables with whose number of rows the contract reconciles a batch."""
    return tuple(rule.reference for rule in contract_rules(source.contract) if isinstance(rule, CountRule))


def _contract(source: Source) -> dict[str, Any]:
    info = contract_info(source.contract)
    return {"name": info.name, "version": info.version, "owner": info.owner, "digest": info.digest}


def _compute(source: Source, tx: Transaction, env: Resources, batch: Batch) -> Mapping[str, Any]:
    with judged_batch(source, batch, env.settings) as (outcome, settled):
        report = outcome.report
        limits = contract_info(source.contract).quarantine
        too_many = quarantined(report.rows_in, report.rows_quarantined, limits, report.rows_elsewhere)
        stops = report.blocked or too_many.status == "blocked"
        key, rules = tx.work.partition or "", contract_rules(source.contract)
        absent = absent_parents(rules, batch.lookup_tables, env.lake, source.partitioning, key)
        again = f"`assay materialize {source.clean} --partition {key} --force` judges the rows again"
        tx.check(
            *(
                rule_check(source, result, report.rows_in, stops=stops, absent=absent, again=again)
                for result in report.rules
            )
        )
        if source.partitioning.is_partitioned:
            tx.check(volume_check(source, tx, report.rows_in))
        tx.check(quarantined_check(source, report, too_many, stops=stops, absent=absent))
        if not batch.decisions.is_empty():
            tx.check(releases_check(source, settled))
        tx.audit()
        tx.describe(report=_counts(report, settled))
        if source.reader.compares:
            tx.describe(changes=Changes(keys=source.key))
        if source.reader.states:
            changes = state_changes(source, tx, settled.clean, batch.before)
            tx.describe(changes=changes)
            tx.check(changes_check(source, tx, changes))
        if (promise := _promise(source)) is not None:
            tx.extra[PROMISE] = promise.to_dict()
        if looked_up := compared_columns(source.contract):
            tx.extra[LOOKED_UP] = looked_up
        streamed, version = isinstance(outcome, SpilledOutcome), pl.lit(report.version).alias("_contract")
        held = Written(source, settled.quarantined.with_columns(version), streamed)
        clean = Written(source, settled.clean, streamed, profiled=True)
        # Decisions and deletes change which rows are clean.
        if isinstance(outcome, SpilledOutcome) and batch.decisions.is_empty() and not source.reader.compares:
            clean.given = outcome.clean_frames
        keep_contract(env.lake.storage, source.contract)
        columns = [name for name in settled.clean.collect_schema() if name not in LEFT_OUT]
        extra = {DISPLACES: sorted(outcome.moved)} if outcome.moved else {}
        lineage = _own_columns(source, columns, settled.edited, batch.names)
        tx.write(source.clean, clean.frames(), column_lineage=lineage, extra=extra)
        tx.write(source.quarantine, held.frames())
        if batch.published is not None and batch.published.read:
            tx.note(source.quarantine, sorted(batch.published.read), lookup=True)
    released = settled.counts.get(RELEASED, 0)
    if clean.rows + held.rows - released != report.rows_in:
        raise AssertionError(f"{source.name}: {report.rows_in} rows in, {clean.rows} + {held.rows} - {released} out")
    tx.write(Kind.PROFILES.table(source.name), profile_rows(clean.profile))
    nullable = [column.name for column in contract_info(source.contract).columns if column.nullable]
    figures = clean.profile
    changed = tx.sections.get("changes")
    counts = {name: getattr(changed, name) for name in COUNTS} if changed is not None and changed.against else {}
    return counts | {
        "preview": mask(clean.preview, source.contract),
        "quarantined": mask(held.preview, source.contract),
        "examples": held.examples,
        "report": report,
        "null_shares": {
            name: figures.columns[name].null / figures.rows
            for name in nullable
            if figures.rows and name in figures.columns
        },
    }


def _promise(source: Source) -> Promise | None:
    """How old the newest data may be, for whoever looks at the table without the declaration."""
    allowed = contract_info(source.contract).freshness
    return Promise(allowed.total_seconds(), source.event_time, source.partitioning.end) if allowed is not None else None


def _counts(report: Report, settled: DecidedBatch) -> dict[str, int]:
    """Rows in = clean + quarantined; a released row counts as clean only, though quarantine keeps it too."""
    return {
        "rows_in": report.rows_in,
        "rows_clean": report.rows_clean,
        "rows_quarantined": report.rows_quarantined,
        "rows_released": settled.counts.get(RELEASED, 0),
        "rows_rejected": settled.counts.get(REJECTED, 0),
    }


def _own_columns(
    source: Source, columns: Sequence[str], edited: Sequence[str], names: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Every clean column comes from the raw column of the same name, or of its former one (validation changes types, never
    meanings), and where people corrected values, from their decisions."""
    lineage: dict[str, Any] = {
        name: {"direct": [(source.raw, delivered) for delivered in names.get(name, (name,))], "indirect": []}
        for name in columns
    }
    for name in edited:
        lineage[name]["direct"].append((source.releases, "edits"))
    if DECISION in lineage:
        lineage[DECISION]["direct"] = [(source.releases, "decision_id")]
    return lineage
