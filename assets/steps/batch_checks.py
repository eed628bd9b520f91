"""The verdicts about a batch as checks: one for each rule, and those about the batch as a whole."""

from collections.abc import Mapping
from statistics import median

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import RELEASED, DecidedBatch
from assay.assets.steps.states import CHANGES
from assay.assets.steps.step import CheckSpec
from assay.checks import READER_DEFECTS, Report, RuleResult, Severity, contract_info, contract_rules, volume
from assay.checks.validation.batch_limits import MIN_HISTORY
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction

VOLUME = "volume"
QUARANTINED = "quarantined"
RELEASES = "releases"


def batch_check_specs(source: Source) -> tuple[CheckSpec, ...]:
    """The checks that a source's clean step will report."""
    info = contract_info(source.contract)
    rules = contract_rules(source.contract)
    severities = {rule.name: rule.severity for rule in rules}
    if not source.reader.extracts:
        severities |= {f"row.{defect}": Severity.QUARANTINE for defect in READER_DEFECTS}
    checks = [
        CheckSpec(name, source.clean, _described(name, severity, source), blocking=severity is Severity.BLOCK)
        for name, severity in severities.items()
    ]
    if source.partitioning.is_partitioned:
        usual = (
            f"The batch has about as many rows as usual. Not evaluated before there are {MIN_HISTORY} earlier batches."
        )
        checks.append(CheckSpec(VOLUME, source.clean, usual))
    checks.append(
        CheckSpec(QUARANTINED, source.clean, _limits_in_words(source), blocking=info.quarantine.block is not None)
    )
    if source.reader.states:
        checks.append(CheckSpec(CHANGES, source.clean, "How the state differs from that of the partition before."))
    checks.append(CheckSpec(RELEASES, source.clean, "Every release of a quarantined row still fits."))
    return tuple(checks)


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


def _limits_in_words(source: Source) -> str:
    limits = contract_info(source.contract).quarantine
    warns = f"more than {limits.warn:.0%} of a batch warns" if limits.warn is not None else ""
    stops = f"more than {limits.block:.0%} (from {limits.rows} rows on) stops it" if limits.block is not None else ""
    clauses = "; ".join(text for text in (warns, stops) if text) or "there is no limit"
    return f"Few of a batch's rows go to {source.quarantine}: {clauses}."


def _allowed(source: Source, rule: str = "") -> str:
    """How many rows of a batch may be set aside by a rule before somebody is warned, or by all together."""
    contract = source.contract
    limits = contract_info(contract).quarantine
    if rule in limits.rules:
        return f"allowed: {limits.rules[rule]:.2%} by this rule".replace(".00%", "%")
    block = next((one.block for one in contract_rules(contract) if one.name == rule), None)
    if block is not None and (block.share is not None or block.rows is not None):
        most = [f"{block.share:.2%}".replace(".00%", "%")] if block.share is not None else []
        return f"allowed: {' and '.join([*most, *([f'{block.rows} rows'] if block.rows is not None else [])])} by this rule"
    share = limits.block if limits.warn is None else limits.warn
    return "allowed: any number" if share is None else f"allowed: {share:.0%} by all rules, from {limits.rows} rows on"


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


def releases_check(source: Source, settled: DecidedBatch) -> CheckResult:
    released, void = settled.counts.get(RELEASED, 0), settled.void
    message = f"{void} releases of rows do not fit any more: see assay quarantine show {source.name}." if void else ""
    return CheckResult(
        RELEASES, source.clean, not void, "warn", evaluated=released + void, invalid=void, message=message
    )


def quarantined_check(
    source: Source, report: Report, result: RuleResult, *, stops: bool, absent: Mapping[str, str]
) -> CheckResult:
    """Of what stays there: a row that was released does not count. `stops`: nothing of the batch is published. `absent`: by
    rule, why what it looks up is not there."""
    message = ""
    if report.rows_quarantined and not stops:
        rows = f"{report.rows_quarantined} of {report.rows_in} rows"
        message = f"{rows} set aside in {source.quarantine} ({_allowed(source)})."
    if result.invalid:
        worst = max(report.rules, key=lambda rule: rule.invalid if rule.severity.removes_row else 0)
        message = f"{result.invalid} of {result.evaluated} rows broke a rule, {worst.invalid} of them {worst.name}"
        if result.status == "blocked" and worst.name in absent:
            message += f": {absent[worst.name]}. The batch is run again when that is there."
        elif result.status == "blocked":
            message += ": so many that the delivery or the rule is wrong. Correct it, or allow it: Config.quarantine."
        else:
            message += "." if stops else f", set aside in {source.quarantine} ({_allowed(source)})."
        message = f"{message} {worst.note}".strip()
    return CheckResult(
        QUARANTINED,
        source.clean,
        passed=result.status == "passed",
        severity="block" if result.status == "blocked" else "warn",
        evaluated=result.evaluated,
        invalid=result.invalid,
        message=message,
    )


def rule_check(
    source: Source, result: RuleResult, rows: int, *, stops: bool, absent: Mapping[str, str], again: str
) -> CheckResult:
    """A rule's verdict about a batch of so many rows. `stops`: something stops the batch, so that nothing is in quarantine.
    `absent`: by rule, why what it looks up is not there, and what to do `again` when it is."""
    blocked = result.status == "blocked"
    limit = contract_info(source.contract).quarantine.rules.get(result.name)
    unusual = limit is not None and result.share > limit
    message = ""
    if result.invalid:
        whole = result.column is None and result.evaluated == 1 != rows  # a rule about the batch: no row leaves
        what = "The batch" if whole else f"{result.invalid} of {result.evaluated} rows"
        kept = result.severity.removes_row and not (whole or stops)
        aside = f", set aside in {source.quarantine} ({_allowed(source, result.name)})" if kept else ""
        message = f"{what} broke {result.name}{aside}. {result.note}".strip()
        if result.name in absent:
            message += f" {absent[result.name]}. When that is there, {again if kept else 'the batch is run again'}."
    if result.unknown:
        message = f"{message} For {result.unknown} it could not be evaluated.".strip()
    return CheckResult(
        name=result.name,
        table=source.clean,
        passed=result.status == "passed",
        severity="block" if blocked else ("warn" if result.severity == "block" or unusual else str(result.severity)),
        column=result.column,
        evaluated=result.evaluated,
        invalid=result.invalid,
        unknown=result.unknown,
        message=message,
    )


def volume_check(source: Source, tx: Transaction, rows: int) -> CheckResult:
    """Compares with the batches before; those after are no history."""
    batch = tx.work.partition or ""
    raw = tx.state(source.raw)
    history = raw.index.rows_written(raw.version, before=batch)
    result = volume(rows, history, ratio=source.expected_ratio)
    usual = f"not judged yet: {result.note}" if result.unknown else f"{median(history):.0f} is usual"
    return CheckResult(
        VOLUME,
        source.clean,
        passed=not result.invalid,
        severity="warn",
        evaluated=0 if result.unknown else rows,
        unknown=result.unknown,
        message=f"{rows} rows; {usual}.",
    )
