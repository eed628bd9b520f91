"""Whether a batch as a whole is unusual: in how many of its rows are in quarantine, and in how many rows it has."""

from collections.abc import Sequence
from statistics import median

from assay.checks.contract.field import Block, QuarantineLimits, Severity
from assay.checks.validation.report import RuleResult, rule_result
from assay.errors import AssayError

MIN_HISTORY = 5


def quarantined(rows: int, rows_quarantined: int, limits: QuarantineLimits, elsewhere: int = 0) -> RuleResult:
    """The share of a batch that is in quarantine, against what its contract allows.

    An upstream that changes the spelling of a unit breaks every row of the day. Published, such a day is empty, and features
    say that nothing happened. So it is stopped.

    Args:
        rows: Rows of the batch.
        rows_quarantined: How many of them broke a rule and left.
        limits: The contract's `Config.quarantine`.
        elsewhere: How many of these left only because other batches have their keys. They warn: whether a batch is stopped is
            decided by the batch alone, or it would depend on which batch was judged first.

    Returns:
        The result of the rule `quarantined`: blocked, warned or passed. A batch with fewer than `limits.rows` rows warns
        where a larger one is blocked.
    """
    share = rows_quarantined / rows if rows else 0.0
    too_many = limits.block is not None and rows > 0 and (rows_quarantined - elsewhere) / rows > limits.block
    unusual = limits.block is not None and share > limits.block
    unusual = unusual or (rows >= limits.rows and limits.warn is not None and share > limits.warn)
    severity = Severity.BLOCK if too_many and rows >= limits.rows else Severity.WARN
    return rule_result(
        "quarantined",
        None,
        severity,
        evaluated=rows,
        invalid=rows_quarantined if unusual else 0,
        unknown=0,
        engine="polars",
        block=Block(rows=0),
    )


def volume(rows: int, history: Sequence[int], *, ratio: float = 5.0) -> RuleResult:
    """Warn when a batch has unusually many or few rows.

    Args:
        rows: Rows of the batch.
        history: Row counts of earlier batches. With fewer than five the verdict is unknown.
        ratio: How many times the median of `history`, or which part of it (1/`ratio`), is still usual.

    Returns:
        The result of the rule `volume`.

    Raises:
        AssayError: `ratio` is not greater than 1.
    """
    if ratio <= 1:
        raise AssayError(f"volume(ratio={ratio}): the ratio must be greater than 1")
    enough = len(history) >= MIN_HISTORY
    usual = median(history) if enough else 0
    unusual = enough and (rows > ratio * usual or rows * ratio < usual)
    note = "" if enough else f"{len(history)} earlier batches, {MIN_HISTORY} are needed"
    return rule_result(
        "volume",
        None,
        Severity.WARN,
        evaluated=int(enough),
        invalid=int(unusual),
        unknown=int(not enough),
        engine="history",
        note=note,
    )
