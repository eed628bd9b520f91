"""Clean steps: one scan of a raw batch against its contract gives the clean rows, the quarantined rows and the counts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import polars as pl

from assay.assets.source import Files, Source
from assay.assets.steps import Declared, Env, Step, available, require
from assay.checks import (
    READER_DEFECTS,
    Report,
    RuleResult,
    Severity,
    contract_info,
    contract_rules,
    mask,
    validate,
    volume,
)
from assay.checks.rules import ReferenceRule
from assay.features.files import PARTITION
from assay.features.lake import TableMissing
from assay.features.transaction import Transaction
from assay.features.work import Check

VOLUME = "volume"
PREVIEW_ROWS = 10


def clean_step(source: Source) -> Step:
    """The step that fills `clean/<source>` and `quarantine/<source>` together."""
    info = contract_info(source.contract)
    rules = contract_rules(source.contract)
    severities = {rule.name: rule.severity for rule in rules}
    if isinstance(source.reader, Files):
        severities |= {f"row.{defect}": Severity.QUARANTINE for defect in READER_DEFECTS}
    checks = [
        Declared(name, source.clean, _described(name, severity, source), blocking=severity is Severity.BLOCK)
        for name, severity in severities.items()
    ]
    if isinstance(source.reader, Files):
        checks.append(Declared(VOLUME, source.clean, "The batch has about as many rows as usual."))
    return Step(
        outputs=(source.clean, source.quarantine),
        prepare=lambda tx, env: _prepare(source, tx),
        compute=lambda tx, env, batch: _compute(source, tx, batch),
        code_version=hashlib.sha256(f"clean-1 {info.digest} {source.key}".encode()).hexdigest()[:16],
        reads=(source.raw,),
        references=_references(source),
        first_day=source.first_day,
        batches=None if source.first_day else lambda env: _batches(source, env),
        checks=tuple(checks),
        group="ingest",
        kinds=("polars", "pandera"),
        owner=info.owner,
        description=f"Rows of {source.raw} that meet contract {info.name} v{info.version}.",
        descriptions={source.quarantine: "Rows that broke a rule: kept whole, with the rules they broke."},
        freshness=info.freshness,
    )


# What a rule of this kind says of its column; others are named only.
_SAYS = {
    "dtype": "can be read as the type of the contract",
    "not_null": "is there",
    "not_nan": "is a number",
    "unique": "occurs once",
    "exists": "is known in the table it refers to",
    "isin": "is one of the agreed values",
    "matches": "has the agreed form",
    "not_empty": "is not blank",
    "no_email": "holds no e-mail address",
    "no_card_number": "holds no payment-card number",
    "canonical_unique": "is not another spelling of a known one",
    "unparsable": "could be read",
    "encoding": "is valid UTF-8",
}


def _described(name: str, severity: Severity, source: Source) -> str:
    """A check, for a person in the UI: what it demands, of which contract, and what happens to a row that breaks it."""
    subject, _, kind = name.rpartition(".")
    what = f"{subject} {_SAYS[kind]}" if kind in _SAYS else f"rule {name} holds"
    then = {
        Severity.INFO: "a row that breaks it is counted",
        Severity.WARN: "a row that breaks it is counted and marks the check",
        Severity.QUARANTINE: f"a row that breaks it goes to {source.quarantine}",
        Severity.BLOCK: f"a row that breaks it goes to {source.quarantine}, and too many stop the batch",
    }
    info = contract_info(source.contract)
    return f"{what} (contract {info.name} v{info.version}); {then[severity]}."


def _batches(source: Source, env: Env) -> list[str]:
    try:
        return env.lake.table(source.raw).at().partitions()
    except TableMissing:
        return []


@dataclass(frozen=True, slots=True)
class _Batch:
    raw: pl.LazyFrame
    published: pl.LazyFrame | None
    references: Mapping[str, pl.LazyFrame]


def _prepare(source: Source, tx: Transaction) -> _Batch:
    batch = tx.work.partition or ""
    require(tx, source.raw, batch)
    tx.contract = _contract(source)
    raw = tx.read(source.raw, [batch])
    references = {}
    for table in _references(source):
        available(tx, table)
        references[table] = tx.read(table, reference=True)
    try:
        others = [key for key in tx.state(source.clean).partitions() if key != batch]
        published = tx.read(source.clean, others, reference=True)
    except TableMissing:
        published = None
    return _Batch(raw, published, references)


def _references(source: Source) -> tuple[str, ...]:
    """Tables that the contract's foreign keys look into."""
    rules = contract_rules(source.contract)
    return tuple(sorted({rule.reference for rule in rules if isinstance(rule, ReferenceRule)}))


def _contract(source: Source) -> dict[str, Any]:
    info = contract_info(source.contract)
    return {"name": info.name, "version": info.version, "owner": info.owner, "digest": info.digest}


def _compute(source: Source, tx: Transaction, batch: _Batch) -> Mapping[str, Any]:
    raw = batch.raw.collect()
    outcome = validate(raw, source.contract, references=batch.references, published=batch.published)
    counted = outcome.clean.height + outcome.quarantined.height
    if counted != raw.height:
        raise AssertionError(f"{source.name}: {raw.height} rows in, {counted} out")
    tx.check(*(_as_check(source, result) for result in outcome.report.rules))
    if isinstance(source.reader, Files):
        tx.check(_volume_check(source, tx, raw.height))
    tx.audit()
    tx.extra["report"] = _counts(outcome.report)
    tx.extra["profile"] = dict(outcome.profile)
    # When a batch came in is raw's to know: with it, the same rows read again would be other content.
    left_out = (PARTITION, "_batch_id", "_ingested_at")
    clean = outcome.clean.drop(left_out, strict=False)
    tx.write(source.quarantine, outcome.quarantined.drop(left_out, strict=False))
    tx.write(source.clean, clean, column_lineage=_own_columns(source, clean.columns))
    return {
        "preview": mask(outcome.clean.head(PREVIEW_ROWS), source.contract),
        "quarantined": mask(outcome.quarantined.head(PREVIEW_ROWS), source.contract),
        "report": outcome.report,
    }


def _counts(report: Report) -> dict[str, int]:
    return {"rows_in": report.rows_in, "rows_clean": report.rows_clean, "rows_quarantined": report.rows_quarantined}


def _as_check(source: Source, result: RuleResult) -> Check:
    blocked = result.status == "blocked"
    message = ""
    if result.invalid:
        message = f"{result.invalid} of {result.evaluated} rows broke {result.name}: see {source.quarantine}."
    if result.unknown:
        message = f"{message} For {result.unknown} it could not be evaluated.".strip()
    return Check(
        name=result.name,
        table=source.clean,
        passed=result.status == "passed",
        severity="block" if blocked else ("warn" if result.severity == "block" else str(result.severity)),
        column=result.column,
        evaluated=result.evaluated,
        invalid=result.invalid,
        unknown=result.unknown,
        message=message,
    )


def _volume_check(source: Source, tx: Transaction, rows: int) -> Check:
    """Compares with the days before; days after are no history."""
    day = tx.work.partition or ""
    commits = tx.state(source.raw).writers(None)
    history = [commit.rows or 0 for commit in commits if (commit.partition or "") < day]
    result = volume(rows, history, ratio=source.expected_ratio)
    usual = f"cannot be compared: {result.note}" if result.unknown else f"{median(history):.0f} is usual"
    return Check(
        VOLUME,
        source.clean,
        passed=not result.invalid,
        severity="warn",
        evaluated=rows,
        unknown=result.unknown,
        message=f"{rows} rows; {usual}.",
    )


def _own_columns(source: Source, columns: Sequence[str]) -> dict[str, Any]:
    """Every clean column comes from the raw column of the same name; validation changes types, never meanings."""
    return {name: {"direct": [(source.raw, name)], "indirect": []} for name in columns}
