"""Decisions about quarantined rows, applied to a batch: released (as edited, or by exception), refused, or void.

Decisions are rows of the append-only table `releases/<source>`, which validation reads like any other input. So whoever
computes the batch again, for whatever reason, applies them again to what the batch is then.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from assay.checks import Contract, Outcome, SpilledOutcome, contract_info, contract_rules
from assay.checks.contract.rules import DtypeRule, SetRule
from assay.errors import AssayError
from assay.own_columns import is_link

LINK = ("_source_sha256", "_row_number")
#: Which decision let a row of a clean table in, or was last made about a row of a quarantine table.
DECISION = "_decision_id"
#: What became of a quarantined row. All rows stay; `released` ones are in the clean table too.
STATUS = "_status"
HELD, RELEASED, REJECTED, VOID, EXPIRED = "held", "released", "rejected", "void", "expired"
#: What a finally refused row breaks once it breaks nothing else any more.
REFUSED = "row.rejected"
#: What a corrected row breaks once it would be clean as delivered: it is clean as corrected only.
CORRECTED = "row.corrected"
NO_EDITS = json.dumps({})

SCHEMA: dict[str, pl.DataType] = {
    "_source_sha256": pl.String(),
    "_row_number": pl.Int64(),
    "decision_id": pl.String(),
    "action": pl.String(),  # release | reject
    "edits": pl.String(),  # JSON: column -> new value as text, or null
    "exceptions": pl.List(pl.String()),
    "until": pl.Date(),  # the last day (UTC) on which the exceptions hold
    "reason": pl.String(),
    "decided_by": pl.String(),
    "decided_at": pl.Datetime("us", "UTC"),
    "broken": pl.List(pl.String()),  # the rules that the row broke then
    "contract": pl.String(),
    "quarantine_version": pl.Int64(),
    "raw_version": pl.Int64(),
}
Judged = Outcome | SpilledOutcome
Validate = Callable[[pl.LazyFrame, type[Contract], pl.LazyFrame | None], Judged]  # (rows, contract, clean so far)


@dataclass(frozen=True, slots=True)
class DecidedBatch:
    """A batch with its decisions applied. Rows in = clean + quarantined - released.

    Rows come lazily, since a large batch is on disk.

    clean: as validated, then the released rows, with `_decision_id` if there are any.
    quarantined: every row that broke a rule, as delivered, with `_status` and `_decision_id`.
    still: rows whose release does not fit, and in `_still` the rules that they break as edited.
    counts: rows by status, `held` included. gone: releases of rows that are not in the batch (any more).
    edited: columns of clean that hold values from decisions.
    """

    clean: pl.LazyFrame
    quarantined: pl.LazyFrame
    still: pl.DataFrame
    counts: Mapping[str, int]
    gone: int
    edited: tuple[str, ...]

    @property
    def void(self) -> int:
        return self.counts.get(VOID, 0) + self.gone


def latest_decisions(decisions: pl.DataFrame) -> pl.DataFrame:
    """One decision per row: the last."""
    if decisions.is_empty():
        return decisions
    return decisions.sort("decided_at", "decision_id").unique(LINK, keep="last", maintain_order=True)


def expired(decisions: pl.DataFrame, today: date) -> list[str]:
    """Ids of decisions whose exceptions do not hold any more."""
    if decisions.is_empty():
        return []
    return decisions.filter(pl.col("until") < today)["decision_id"].unique().sort().to_list()


def apply_decisions(
    raw: pl.LazyFrame,
    contract: type[Contract],
    decisions: pl.DataFrame,
    today: date,
    validate: Validate,
) -> tuple[Judged, DecidedBatch]:
    """Validate a batch and apply what was decided about its rows.

    raw: the batch as delivered. decisions: all of the batch's, as in SCHEMA; the last about a row counts. A released row
    is validated again, as edited, after all rows that are clean by themselves: it never displaces one of them. One that was
    corrected is so even where it would be clean as delivered; a release without edits has nothing to do there. The report
    counts what was delivered; only its totals say where the rows are now.
    """
    outcome = validate(raw, contract, None)
    clean, quarantined = outcome.clean.lazy(), outcome.quarantined.lazy()
    if decisions.is_empty():
        marks = {STATUS: pl.lit(HELD), DECISION: pl.lit(None, pl.String)}
        counts = {HELD: outcome.report.rows_quarantined} if outcome.report.rows_quarantined else {}
        none = pl.DataFrame(schema=_STILL)
        return outcome, DecidedBatch(clean, quarantined.with_columns(**marks), none, counts, 0, ())
    words = latest_decisions(decisions).with_columns(
        pl.when(pl.col("action") == "reject")
        .then(pl.lit(REJECTED))
        .when(pl.col("until") < today)
        .then(pl.lit(EXPIRED))
        .otherwise(pl.lit(VOID))  # until it is seen to fit
        .alias(STATUS)
    )
    clean, quarantined = _taken_out(clean, quarantined, raw, words)
    marks = words.lazy().select(*LINK, STATUS, pl.col("decision_id").alias(DECISION))
    quarantined = quarantined.join(marks, on=LINK, how="left", maintain_order="left")
    there = words.lazy().join(quarantined, on=LINK, how="semi", maintain_order="left").collect()
    delivered = words.lazy().join(raw, on=LINK, how="semi").select(LINK).collect()
    gone = words.filter(pl.col("action") == "release").join(delivered, on=LINK, how="anti").height
    candidates = there.filter(pl.col(STATUS) == VOID)
    released, still, edited = _retried(raw, contract, candidates, clean, validate)
    fits = released.lazy().select(*LINK, pl.lit(True).alias("_fits"))
    quarantined = (
        quarantined.join(fits, on=LINK, how="left", maintain_order="left")
        .with_columns(pl.when("_fits").then(pl.lit(RELEASED)).otherwise(pl.col(STATUS).fill_null(HELD)).alias(STATUS))
        .drop("_fits")
    )
    if not released.is_empty():
        mine = clean.with_columns(pl.lit(None, pl.String).alias(DECISION))
        clean = pl.concat([mine, released.lazy()], how="diagonal")
    counts = dict(quarantined.group_by(STATUS).len().collect().iter_rows())
    released_rows, all_quarantined = counts.get(RELEASED, 0), sum(counts.values())
    report = replace(
        outcome.report,
        rows_clean=outcome.report.rows_in - all_quarantined + released_rows,
        rows_quarantined=all_quarantined - released_rows,
    )
    return replace(outcome, report=report), DecidedBatch(clean, quarantined, still, counts, gone, edited)


def _taken_out(
    clean: pl.LazyFrame, quarantined: pl.LazyFrame, raw: pl.LazyFrame, words: pl.DataFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Clean and quarantined rows, whatever the contract says by now: what was finally refused is never clean, and what was
    corrected is never clean as delivered, but judged as corrected."""
    rejected = pl.col("action") == "reject"
    for asked, reason in ((rejected, REFUSED), (~rejected & (pl.col("edits") != NO_EDITS), CORRECTED)):
        if (chosen := words.filter(asked)).is_empty():
            continue
        links = chosen.lazy().select(LINK)
        back = raw.join(clean.join(links, on=LINK, how="semi"), on=LINK, how="semi", maintain_order="left")
        clean = clean.join(links, on=LINK, how="anti", maintain_order="left")
        back = back.with_columns(pl.lit([reason], pl.List(pl.String)).alias("_rules"))
        quarantined = pl.concat([quarantined, back], how="diagonal")
    return clean, quarantined


def _retried(
    raw: pl.LazyFrame, contract: type[Contract], candidates: pl.DataFrame, clean: pl.LazyFrame, validate: Validate
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """The candidates that fit, typed, with their decision; what the others still break; the edited columns."""
    fitting: list[pl.DataFrame] = []
    broken: list[pl.DataFrame] = [pl.DataFrame(schema=_STILL)]
    columns: dict[str, None] = {}
    known = {rule.name for rule in contract_rules(contract)}
    delivered = raw.join(candidates.lazy(), on=LINK, how="semi", maintain_order="left").collect()
    for group in candidates.partition_by("edits", "exceptions", maintain_order=True):
        # A rule that the contract does not have any more needs no exception.
        edits, exceptions = json.loads(group["edits"][0]), [name for name in group["exceptions"][0] if name in known]
        rows = delivered.join(group, on=LINK, how="semi", maintain_order="left")
        try:
            variant = excepting(contract, exceptions)
            rows = edit(rows, edits, contract)
        except AssayError:
            continue  # the contract or the delivery has changed since: void
        earlier = pl.concat([clean, *(frame.lazy() for frame in fitting)], how="diagonal")
        outcome = validate(rows.lazy(), variant, earlier)
        fit, unfit = outcome.clean.lazy().collect(), outcome.quarantined.lazy().collect()
        names = group.select(*LINK, pl.col("decision_id").alias(DECISION))
        fitting.append(fit.join(names, on=LINK, how="left", maintain_order="left"))
        broken.append(unfit.select(*LINK, pl.col("_rules").alias("_still")))
        if not fit.is_empty():
            columns |= dict.fromkeys(edits)
    released = pl.concat(fitting, how="diagonal") if fitting else pl.DataFrame(schema=clean.collect_schema())
    return released, pl.concat(broken, how="vertical_relaxed"), tuple(columns)


_STILL = {"_source_sha256": pl.String(), "_row_number": pl.Int64(), "_still": pl.List(pl.String())}


def excepting(contract: type[Contract], rules: Sequence[str]) -> type[Contract]:
    """The contract with these rules only counted.

    Raises AssayError for an unknown rule, and for one without which the row could not be in the clean table: a value must
    be of its column's type, and a key must be there, once.
    """
    if not rules:
        return contract
    info, by_name = contract_info(contract), {rule.name: rule for rule in contract_rules(contract)}
    for name in rules:
        if name not in by_name:
            raise AssayError(
                f"{info.name} has no rule {name!r} to make an exception from; it has: {', '.join(by_name)}."
            )
        rule = by_name[name]
        of_key = rule.column in info.key or set(rule.inputs) == set(info.key)
        if isinstance(rule, DtypeRule) or (of_key and (isinstance(rule, SetRule) or name.endswith(".not_null"))):
            raise AssayError(
                f"There is no exception from {name}: a clean row has values of the contract's types and a key of its own. "
                "Release the row with a corrected value (--set)."
            )
    severity = {**(contract.__options__.get("severity") or {}), **dict.fromkeys(rules, "info")}
    config = type("Config", (), {"severity": severity})
    return type(contract.__name__, (contract,), {"Config": config, "__module__": contract.__module__})


def edit(rows: pl.DataFrame, edits: Mapping[str, str | None], contract: type[Contract]) -> pl.DataFrame:
    """The rows with new values, read as the delivery's types. A record that the reader could not read becomes one when
    every column of the contract is given. Raises AssayError for an unknown column and a value that is not of the type."""
    columns = [column.name for column in contract_info(contract).columns]
    for name in edits:
        if name not in columns or name not in rows.columns or is_link(name):
            raise AssayError(f"There is no column {name!r} to set; the contract has: {', '.join(columns)}.")
    rows = rows.with_columns(
        _typed(name, value, rows.schema[name]).new_from_index(0, rows.height) for name, value in edits.items()
    )
    if "_defect" in rows.columns and set(edits) >= set(columns):
        rows = rows.with_columns(pl.lit(None, pl.String).alias("_defect"))
    return rows


def _typed(name: str, value: str | None, dtype: pl.DataType) -> pl.Series:
    """A value, given as text, in the type in which the column was delivered (text files: as text)."""
    try:
        text = pl.Series(name, [value], dtype=pl.String)
        if value is None or dtype == pl.String:
            return text.cast(dtype)
        if dtype.is_temporal():
            return text.str.strptime(dtype, strict=True)  # pyright: ignore[reportArgumentType] - is_temporal() says so
        return pl.Series(name, [json.loads(value)], dtype=dtype, strict=True)
    except (ValueError, TypeError, pl.exceptions.PolarsError):
        # The engine's text may quote the value, so it is neither repeated nor chained.
        raise AssayError(
            f"The value for {name!r} cannot be read as {dtype}, the type in which it is delivered."
        ) from None


def digest_of_edits(decision_id: str, edits: str) -> str:
    """SHA-256 of a decision's edits. The id in it keeps short personal values from being guessed by trying."""
    return hashlib.sha256(f"{decision_id}:{edits}".encode()).hexdigest()


def decided(values: Mapping[str, Any], rows: pl.DataFrame) -> pl.DataFrame:
    """The same decision about several rows, as in SCHEMA. `rows` has the links and `broken`."""
    same = [pl.lit(value, SCHEMA[name]).alias(name) for name, value in values.items()]
    return rows.select(*LINK, "broken", *same).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
