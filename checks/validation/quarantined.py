"""Whether a batch has so many quarantined rows that it is the rule, or the delivery as a whole, that is wrong."""

from assay.checks.contract.field import Block, QuarantineLimits, Severity
from assay.checks.validation.report import RuleResult, rule_result


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
