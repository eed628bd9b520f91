"""Whether a batch has about as many rows as usual."""

from collections.abc import Sequence
from statistics import median

from assay.checks.contract.field import Severity
from assay.checks.validation.report import RuleResult, rule_result
from assay.errors import AssayError

MIN_HISTORY = 5


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
