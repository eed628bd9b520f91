"""What must hold: contracts, rules, one-scan validation, profiles."""

from assay.checks.contract import Contract, ContractInfo, contract_info, contract_rules
from assay.checks.drift import ColumnsError, Drift, compare_columns
from assay.checks.field import Block, Field, RowCount, Severity, Timestamp, rule
from assay.checks.measure import measure
from assay.checks.pii import mask, redact
from assay.checks.profile_state import ColumnState, ProfileState
from assay.checks.propose import propose
from assay.checks.report import Report, RuleResult
from assay.checks.validate import READER_DEFECTS, Outcome, SpilledOutcome, validate, validate_spilled
from assay.checks.volume import volume

__all__ = [
    "READER_DEFECTS",
    "Block",
    "ColumnState",
    "ColumnsError",
    "Contract",
    "ContractInfo",
    "Drift",
    "Field",
    "Outcome",
    "ProfileState",
    "Report",
    "RowCount",
    "RuleResult",
    "Severity",
    "SpilledOutcome",
    "Timestamp",
    "compare_columns",
    "contract_info",
    "contract_rules",
    "mask",
    "measure",
    "propose",
    "redact",
    "rule",
    "validate",
    "validate_spilled",
    "volume",
]
