"""Working in quarantine: choose rows, try what a decision would do, and write the decision down.

A decision is rows appended to `releases/<source>`; nothing is changed or deleted. It takes effect when the batch is
computed again, which it makes stale. Trying one runs the same code on the same pinned inputs, and publishes nothing.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import (
    DECISION,
    HELD,
    LINK,
    REJECTED,
    RELEASED,
    SCHEMA,
    STATUS,
    decided,
    digest_of_edits,
    edit,
    excepting,
)
from assay.assets.steps.clean import clean_step, judged_batch, prepare_batch
from assay.assets.steps.step import Resources, work_of
from assay.checks import contract_info
from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.sections import Decision as DecisionSection
from assay.features.tables.run_record import Work, new_run
from assay.features.tables.transaction import Transaction, run

MOST_LINKS = 100  # in the log; the table has all of them


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Which quarantined rows: of one batch, that broke one rule, or named ones (first characters of the file's SHA-256,
    row number). What is left out does not narrow."""

    partition: str | None = None
    rule: str | None = None
    rows: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with them, who says so and why. `edits`: column -> value as text (None: null). `until`: the last day
    (UTC) on which the exceptions hold."""

    action: str
    reason: str
    by: str
    edits: Mapping[str, str | None] = field(default_factory=dict)
    exceptions: tuple[str, ...] = ()
    until: date | None = None


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """What the decision would do to one row: `breaks` are the rules that it would still break."""

    partition: str
    source_file: str
    source_sha256: str
    row_number: int
    fits: bool
    breaks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"breaks": list(self.breaks)}


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """The answer to a decision. `id` is None after a dry run, or where no row fits. `partitions` are now stale."""

    id: str | None
    rows: tuple[RowVerdict, ...]

    @property
    def partitions(self) -> list[str]:
        return sorted({row.partition for row in self.rows if row.fits})


def decide(
    source: Source, env: Resources, choice: RowSelection, decision: Decision, *, dry_run: bool = True
) -> DecisionResult:
    """Try a decision on the chosen rows and, unless it is a dry run, write it down for those that it fits.

    Args:
        source: The declared source whose quarantine holds the rows.
        env: What steps use, as `Store.env()` gives it.
        choice: Which rows.
        decision: What is decided about them, by whom and why.
        dry_run: Only show what would happen.

    Raises:
        AssayError: The decision lacks who or why; an exception has no end or is over; a rule or column is unknown; a value
            cannot be read; or no chosen row can be decided about.
    """
    _require_sound(source, decision, env.now().date())
    chosen = _chosen(source, env, choice)
    identity = str(uuid.uuid4())
    verdicts: list[RowVerdict] = []
    for (partition,), rows in chosen.group_by(PARTITION, maintain_order=True):
        key = str(partition)
        proposed = decided(
            {
                "decision_id": identity,
                "action": decision.action,
                "edits": json.dumps(dict(decision.edits), sort_keys=True),
                "exceptions": list(decision.exceptions),
                "until": decision.until,
                "reason": decision.reason,
                "decided_by": decision.by,
                "decided_at": env.now(),
                "contract": contract_info(source.contract).version,
                "quarantine_version": env.lake.table(source.quarantine).at().version,
                "raw_version": env.lake.table(source.raw).at().version,
            },
            rows,
        )
        tried = _tried(source, env, key, rows, proposed)
        verdicts += tried
        fitting = {(row.source_sha256, row.row_number) for row in tried if row.fits}
        kept = proposed.filter(pl.Series([link in fitting for link in proposed.select(LINK).rows()], dtype=pl.Boolean))
        if not dry_run and not kept.is_empty():
            _write_down(source, env, key, decision, kept)
    written = not dry_run and any(row.fits for row in verdicts)
    return DecisionResult(identity if written else None, tuple(verdicts))


def _require_sound(source: Source, decision: Decision, today: date) -> None:
    if not decision.reason.strip() or not decision.by.strip():
        raise AssayError("A decision about quarantined rows says who made it and why: give --reason (and --by).")
    if decision.exceptions and decision.until is None:
        raise AssayError("An exception from the contract has an end: give --until with its last day, e.g. 2026-12-31.")
    if decision.until is not None and not decision.exceptions:
        raise AssayError("--until is the end of an exception: name the rule with --except.")
    if decision.until is not None and decision.until < today:
        raise AssayError(f"The exception would have ended already on {decision.until}: give a later day.")
    excepting(source.contract, decision.exceptions)


def _chosen(source: Source, env: Resources, choice: RowSelection) -> pl.DataFrame:
    """The chosen rows that are open: links, file, partition and what they broke."""
    frame = with_status(env.lake.table(source.quarantine).at().scan([choice.partition] if choice.partition else None))
    if choice.rule:
        frame = frame.filter(pl.col("_rules").list.contains(choice.rule))
    if choice.rows:
        named = [pl.col(LINK[0]).str.starts_with(sha) & (pl.col(LINK[1]) == number) for sha, number in choice.rows]
        frame = frame.filter(pl.any_horizontal(named))
    rows = (
        frame.select(*LINK, "_source_file", PARTITION, pl.col("_rules").alias("broken"), STATUS)
        .sort(PARTITION, "_source_file", LINK[1])
        .collect()
    )
    still_open = rows.filter(~pl.col(STATUS).is_in([RELEASED, REJECTED]))
    if still_open.is_empty():
        done = f" {rows.height} are already released or rejected." if rows.height else ""
        raise AssayError(
            f"No row of {source.quarantine} that can be decided about is chosen.{done} See: assay quarantine list."
        )
    return still_open


def _tried(
    source: Source, env: Resources, partition: str, rows: pl.DataFrame, proposed: pl.DataFrame
) -> list[RowVerdict]:
    """What the batch would be with the proposed decisions, for the chosen rows."""
    tx = Transaction(env.lake, work_of(clean_step(source), partition))
    batch = prepare_batch(source, tx, env)
    edits = json.loads(proposed["edits"][0])
    edit(pl.DataFrame(schema=batch.raw.collect_schema()), edits, source.contract)  # says what is wrong with them
    batch = replace(batch, decisions=batch.decisions.vstack(proposed))
    chosen = rows.lazy().select(LINK)
    with judged_batch(source, batch, env.settings) as (_, settled):
        decided = settled.quarantined.join(chosen, on=LINK, how="semi").select(*LINK, STATUS).collect()
    fate = decided.join(settled.still, on=LINK, how="left")
    fates = {(sha, number): (status, still) for sha, number, status, still in fate.iter_rows()}
    delivered = set(batch.raw.join(chosen, on=LINK, how="semi").select(LINK).collect().iter_rows())
    verdicts = []
    for sha, number, file, broken in rows.select(*LINK, "_source_file", "broken").iter_rows():
        status, still = fates.get((sha, number), (None, None))
        # A row that the batch would not quarantine any more is released by computing the batch again: what it refers to has
        # come since. If it is not in the batch either (a corrected delivery is waiting), nothing is to be decided.
        passes = (sha, number) not in fates and (sha, number) in delivered and proposed["action"][0] == "release"
        fits = status in (RELEASED, REJECTED) or passes
        verdicts.append(RowVerdict(partition, file, sha, number, fits, () if fits else tuple(still or broken)))
    return verdicts


def _write_down(source: Source, env: Resources, partition: str, decision: Decision, rows: pl.DataFrame) -> None:
    """Append the decision. Edited values are in the table only: the log and lineage events have columns and a digest."""
    identity = rows["decision_id"][0]
    work = Work(
        asset=source.releases,
        partition=partition,
        run=new_run(),
        params={"decision": identity},
        description=f"Decisions about rows of {source.quarantine}.",
        owner=contract_info(source.contract).owner or "",
    )

    def body(tx: Transaction) -> None:
        tx.note(source.quarantine, [partition])
        tx.note(source.raw, [partition])
        noted = DecisionSection(
            id=identity,
            action=decision.action,
            rows=tuple(rows.select(LINK).head(MOST_LINKS).iter_rows()),
            row_count=rows.height,
            columns=tuple(sorted(decision.edits)),
            edits_sha256=digest_of_edits(identity, rows["edits"][0]),
            exceptions=tuple(decision.exceptions),
            until=decision.until.isoformat() if decision.until else None,
        )
        tx.describe(decision=noted)
        lineage = {name: {"direct": [(source.quarantine, name)], "indirect": []} for name in LINK}
        tx.write(source.releases, rows.select(list(SCHEMA)), mode="append", column_lineage=lineage)

    run(env.lake, env.recorder, work, body)


def with_status(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Quarantined rows with status, decision and contract version, also those from before these were written."""
    columns = rows.collect_schema()
    absent = [pl.lit(None, pl.String).alias(name) for name in (STATUS, DECISION, "_contract") if name not in columns]
    return rows.with_columns(absent).with_columns(pl.col(STATUS).fill_null(HELD))
