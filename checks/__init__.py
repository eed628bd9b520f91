"""What must hold: contracts, rules, one-scan validation, profiles."""

from assay.checks.contract.columns import ColumnsError, SchemaDiff, compare_columns
from assay.checks.contract.contract import Contract, ContractInfo, contract_info, contract_rules
from assay.checks.contract.field import Block, Field, RowCount, Severity, Timestamp, rule
from assay.checks.profiles.profile import profile
from assay.checks.profiles.profile_state import ColumnState, ProfileState
from assay.checks.validation.canonical_spellings import propose
from assay.checks.validation.masking import mask, redact
from assay.checks.validation.report import Report, RuleResult
from assay.checks.validation.validate import READER_DEFECTS, Outcome, SpilledOutcome, validate, validate_spilled
from assay.checks.validation.volume import volume

__all__ = [
    "READER_DEFECTS",
    "Block",
    "ColumnState",
    "ColumnsError",
    "Contract",
    "ContractInfo",
    "Field",
    "Outcome",
    "ProfileState",
    "Report",
    "RowCount",
    "RuleResult",
    "SchemaDiff",
    "Severity",
    "SpilledOutcome",
    "Timestamp",
    "compare_columns",
    "contract_info",
    "contract_rules",
    "mask",
    "profile",
    "propose",
    "redact",
    "rule",
    "validate",
    "validate_spilled",
    "volume",
]
