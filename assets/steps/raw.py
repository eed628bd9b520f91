"""Raw steps: what an upstream delivered, as delivered, with the way back to its bytes in every row.

The bytes of every delivered file are kept in the lake by their SHA-256 before anything else happens, refused files too.
A partition's delivery is taken whole or refused whole: then nothing is published, and the check says which file, which column
and what to do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assay.assets import upstream
from assay.assets.silent import silence_of
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.landing.leftovers import Leftover, described
from assay.assets.sources.reader import NothingDelivered, Postponed, Reading
from assay.assets.sources.source import Source, unread
from assay.assets.sources.undeclared import declared_names
from assay.assets.steps.column_notes import delivered_notes
from assay.assets.steps.delivered_rows import DeliveredRows
from assay.assets.steps.step import CheckSpec, NotReady, Resources, Step, step_name
from assay.assets.steps.watched import Concern, Trust, Watched
from assay.checks import contract_info
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, TableMissing, TableState
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction
from assay.stable_text import stable_text

DELIVERY = "delivery"
RESENT = "resent"
UNREAD = "unread"
_SHOWN = 5  # paths of a message
_EXTRACT_RULE = "What was read is of the past, so that reading can go on after it."


def unread_of(sources: Sequence[Source], env: Resources, *, complete: bool = False) -> list[str]:
    """What lies in the landing folder where sources look, and is not read, in sentences. What lies in a partition is known
    from the last plan; where none was kept, it is looked for."""
    seen = {source.name: env.plans.delivered(step_name(source.raw)) for source in sources}
    return [
        message
        for one in sources
        for message in upstream.looked(
            one, env, [], lambda one=one: unread(one, env.settings, seen[one.name], sources, complete=complete)
        )
    ]


def raw_step(source: Source) -> Step:
    """The step that fills `raw/<source>`."""
    reader, partitioned = source.reader, source.partitioning.is_partitioned
    checks = (
        CheckSpec(DELIVERY, source.raw, "Every file is readable and has the contract's columns.", blocking=True),
        CheckSpec(RESENT, source.raw, "No file is one that already came (same bytes)."),
    )
    if partitioned:
        checks += (CheckSpec(UNREAD, source.raw, "Everything that lies in the partition's place is read."),)
    return Step(
        outputs=(source.raw,),
        prepare=lambda tx, env: _prepare(source, tx, env),
        keep=lambda tx, env, observed: _keep(env, observed),
        compute=lambda tx, env, observed: _compute(source, tx, env, observed),
        code_version=_code_version(source),
        partitioning=source.partitioning,
        watched=_watched(source) if partitioned else None,
        landed=(lambda env: upstream.landed(source, env)) if partitioned else None,
        lacks=lambda env: upstream.lack_of(source, env),
        settle=lambda env: _settle(source, env),
        batches=None if partitioned else lambda env: [upstream.next_batch(env.lake, source)],
        checks=(CheckSpec(DELIVERY, source.raw, _EXTRACT_RULE),) if reader.extracts else checks,
        judged_by=f"{contract_info(source.contract).digest}{reader.judged_by()}",
        kinds=reader.kinds,
        columns={source.raw: delivered_notes(source.contract)},
        owner=contract_info(source.contract).owner or "",
        description=f"{source.description} As delivered, with a link to the bytes in every row.".strip(),
    )


def _code_version(source: Source) -> str:
    how = source.reader.identity(source.partitioning)
    return hashlib.sha256(f"raw-1 {how} {stable_text(source.key)}".encode()).hexdigest()[:16]


def _settle(source: Source, env: Resources) -> None:
    if silence_of(env.settings.home, source.name) is None:  # else nobody waits for it once more
        source.reader.settle(env.settings, source.name, _at(env.lake, source.raw))


def _watched(source: Source) -> Watched:
    """Besides its files, a partition depends on which of their bytes other partitions hold."""
    return Watched(
        {source.raw: Concern(files=True)},
        delivered=lambda env, before: upstream.delivered(source, env, before),
        trust=lambda observed: Trust(files=frozenset(delivery.sha256 for delivery in observed.listed)),
    )


@dataclass(frozen=True, slots=True)
class _Observed:
    """What an upstream has delivered: everything, and what of it makes the batch. `written`: whose bytes the lake did not have,
    by their SHA-256: written there just now, they are known to be those."""

    listed: Sequence[Delivery]
    taken: list[Delivery]
    written: set[str] = field(default_factory=set)


def _prepare(source: Source, tx: Transaction, env: Resources) -> _Observed:
    """Looks at what was delivered and writes nothing. Raises NotReady where there is nothing (new)."""
    key = tx.work.partition or ""
    try:
        batch = key if source.reader.numbered else ""
        reading = _reading(source, key, tx, env)
        listed = upstream.asked(source, env, batch, lambda: source.reader.deliveries(reading), planning=env.planning)
    except Postponed as later:
        raise NotReady(str(later), unseen=True) from None
    except NothingDelivered as nothing:
        raise NotReady(str(nothing)) from None
    if not listed:
        raise NotReady(f"{source.name} has delivered nothing for {key}.")
    before = _at(env.lake, source.raw)
    taken: list[Delivery] = []
    resent: list[str] = []
    for delivery in listed:
        if delivery.superseded_by is not None:
            continue
        # The same state again says that nothing has changed.
        asked = before if not source.reader.states else None
        elsewhere = asked.index.source(delivery.sha256, asked.version, before=key) if asked else None
        first = elsewhere[2] if elsewhere else next((t.path for t in taken if t.sha256 == delivery.sha256), None)
        if first is not None:
            if source.partitioning.is_partitioned:  # without, everything that was read before is listed again
                message = f"{delivery.path} has the same bytes as {first}: taken once."
                tx.check(CheckResult(RESENT, source.raw, passed=False, severity="info", invalid=1, message=message))
                resent.append(delivery.path)
            continue
        taken.append(delivery)
        tx.sources.append(_source_file(delivery, rows=0))
    if not taken and not source.partitioning.is_partitioned:
        raise NotReady(f"{source.name} has delivered nothing new.")
    if resent:  # no row changes, but the verdict does
        tx.work = replace(tx.work, params={**tx.work.params, RESENT: " ".join(sorted(resent))})
    return _Observed(listed, taken)


def _reading(source: Source, key: str, tx: Transaction, env: Resources) -> Reading:
    def earlier() -> pl.LazyFrame | None:
        try:
            return tx.read(source.raw, lookup=True)
        except TableMissing:
            return None

    def table() -> TableState | None:
        try:
            return tx.note(source.raw, lookup=True)
        except TableMissing:
            return None

    def taken() -> Sequence[SourceFile]:
        state = _at(env.lake, source.raw)
        return [item for commit in state.writers([key]) for item in commit.sources] if state is not None else ()

    return Reading(
        source.name,
        source.key,
        key,
        source.partitioning,
        env.settings,
        earlier,
        env.hashes,
        table,
        declared_names(source.contract),
        taken,
        env.planning,
        env.forced,
    )


def _source_file(delivery: Delivery, rows: int) -> SourceFile:
    state = delivery.elsewhere
    etag, version_id = ("", "") if state is None else (state.etag, state.version_id)
    kept = kept_at(delivery.sha256)
    return SourceFile(delivery.path, delivery.sha256, delivery.size, rows, kept, etag, version_id)


def kept_at(sha256: str) -> str:
    """Where the lake keeps a delivered file's bytes."""
    return f"_landing/{sha256[:2]}/{sha256}"


def _keep(env: Resources, observed: _Observed) -> None:
    storage = env.lake.storage
    for delivery in observed.listed:
        if storage.size(kept_at(delivery.sha256)) != delivery.size:
            try:
                storage.keep(kept_at(delivery.sha256), delivery.pieces(), delivery.size)
                observed.written.add(delivery.sha256)
            except DeliveryError:
                if delivery.file is not None:
                    env.hashes.forget(delivery.file)  # changed where its size, time and inode do not show it
                raise


def _at(lake: Lake, table: str) -> TableState | None:
    """The table as it is now, if there is one. Not pinned: what other partitions hold is no input of this one."""
    try:
        return lake.table(table).at()
    except TableMissing:
        return None


def _compute(source: Source, tx: Transaction, env: Resources, observed: _Observed) -> Mapping[str, Any]:
    deliveries = observed.taken
    batch = hashlib.sha256(" ".join(sorted(item.sha256 for item in deliveries)).encode()).hexdigest()[:16]
    arrived = _arrived_before(env.lake, source.raw, tx.work.partition or "")
    # Of others the time that their bytes were kept: the same for everybody who takes them at this moment.
    for item in deliveries:
        arrived.setdefault(item.sha256, env.lake.storage.modified(kept_at(item.sha256)) or datetime.now(UTC))
    state = _at(env.lake, source.raw)
    end = source.partitioning.end_of(tx.work.partition or "") if source.reader.states else None
    known = {} if state is None else state.schema
    storage = env.lake.storage
    if storage.is_local:
        deliveries = [
            replace(item, kept=Path(storage.root, kept_at(item.sha256)), kept_now=item.sha256 in observed.written)
            for item in deliveries
        ]
    delivered = DeliveredRows(source, deliveries, env.hashes, env.progress, known, end)
    resume = next((item.resume for item in reversed(deliveries) if item.resume), "")
    tx.write(source.raw, delivered.linked(batch, arrived), extra={"resume": resume} if resume else None)
    problems, remarks = delivered.problems, [item.remark for item in deliveries if item.remark]
    has_unread = source.partitioning.is_partitioned and not source.reader.extracts
    notes = [*delivered.remarks, *([described(delivered.unread)] if delivered.unread and not has_unread else [])]
    changes = next((item.changes for item in deliveries if item.changes is not None), None)
    if changes is not None:
        tx.describe(changes=changes)
    tx.check(
        CheckResult(
            DELIVERY,
            source.raw,
            passed=not problems and not remarks,
            severity="block" if problems or not source.reader.extracts else "warn",
            evaluated=len(deliveries),
            invalid=len(problems) or len(remarks),
            message=" | ".join([*problems, *remarks, *notes, *([f"{changes}."] if changes is not None else [])]),
        )
    )
    if has_unread:
        leftovers = _unread(source, tx.work.partition or "", env, observed.listed, delivered.unread)
        if not problems or not leftovers.passed:  # unread files may be why it is refused
            tx.check(leftovers)
    tx.audit()
    tx.sources[:] = [_source_file(item, delivered.rows.get(item.sha256, 0)) for item in deliveries]
    counts = (
        {name: getattr(changes, name) for name in ("inserted", "updated", "deleted", "unchanged")} if changes else {}
    )
    return {"files": [item.path for item in deliveries]} | counts


def _unread(
    source: Source, key: str, env: Resources, listed: Sequence[Delivery], members: Sequence[Leftover]
) -> CheckResult:
    """What lies there besides the batch, or in its files: nobody knows otherwise that it was not read."""
    left = [*source.reader.leftovers(env.settings, source.partitioning, key), *members]
    replaced = [f"{item.path} by {item.superseded_by}" for item in listed if item.superseded_by is not None]
    more = f", and {len(replaced) - _SHOWN} more" if len(replaced) > _SHOWN else ""
    corrected = f"Replaced by a correction: {', '.join(replaced[:_SHOWN])}{more}." if replaced else ""
    return CheckResult(
        UNREAD,
        source.raw,
        passed=not left,
        severity="warn",
        evaluated=len(listed) + len(left),
        invalid=len(left),
        message=f"{described(left)} {corrected}".strip(),
    )


def _arrived_before(lake: Lake, table: str, day: str) -> dict[str, datetime]:
    """When the files that the day already holds came in: bytes that stay keep their time of arrival."""
    state = _at(lake, table)
    if state is None or not state.partitioned:
        return {}
    rows = state.scan([day]).select("_source_sha256", "_ingested_at")
    return dict(rows.unique("_source_sha256").collect(engine="streaming").iter_rows())
