"""What must hold: contracts, rules, one-scan validation, profiles."""

from typing import TYPE_CHECKING

from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.checks.contract.columns import ColumnsError, SchemaDiff, compare_columns
    from assay.checks.contract.contract import Contract, ContractInfo, contract_info, contract_rules
    from assay.checks.contract.field import Block, Field, QuarantineLimits, RowCount, Severity, Timestamp, rule
    from assay.checks.drafting.draft import draft_contract
    from assay.checks.exchange.compare import Change, compare_contracts
    from assay.checks.exchange.odcs_read import from_odcs
    from assay.checks.exchange.odcs_write import to_odcs
    from assay.checks.profiles.profile import profile
    from assay.checks.profiles.profile_state import ColumnState, ProfileState
    from assay.checks.schema_diff.schema_drift import SchemaFinding, delivery_drift
    from assay.checks.suggesting.suggest import Suggestion, Suggestions, suggest
    from assay.checks.validation.canonical_spellings import canonical_spellings
    from assay.checks.validation.foreign_keys import LookupRows
    from assay.checks.validation.masking import mask, redact
    from assay.checks.validation.quarantined import quarantined
    from assay.checks.validation.report import Report, RuleResult
    from assay.checks.validation.uniqueness import PublishedRows
    from assay.checks.validation.validate import READER_DEFECTS, Outcome, SpilledOutcome, validate, validate_spilled
    from assay.checks.validation.volume import volume

__all__ = [
    "READER_DEFECTS",
    "Block",
    "Change",
    "ColumnState",
    "ColumnsError",
    "Contract",
    "ContractInfo",
    "Field",
    "LookupRows",
    "Outcome",
    "ProfileState",
    "PublishedRows",
    "QuarantineLimits",
    "Report",
    "RowCount",
    "RuleResult",
    "SchemaDiff",
    "SchemaFinding",
    "Severity",
    "SpilledOutcome",
    "Suggestion",
    "Suggestions",
    "Timestamp",
    "canonical_spellings",
    "compare_columns",
    "compare_contracts",
    "contract_info",
    "contract_rules",
    "delivery_drift",
    "draft_contract",
    "from_odcs",
    "mask",
    "profile",
    "quarantined",
    "redact",
    "rule",
    "suggest",
    "to_odcs",
    "validate",
    "validate_spilled",
    "volume",
]

_HOMES = {
    "Block": "assay.checks.contract.field",
    "Change": "assay.checks.exchange.compare",
    "ColumnState": "assay.checks.profiles.profile_state",
    "ColumnsError": "assay.checks.contract.columns",
    "Contract": "assay.checks.contract.contract",
    "ContractInfo": "assay.checks.contract.contract",
    "Field": "assay.checks.contract.field",
    "Outcome": "assay.checks.validation.validate",
    "LookupRows": "assay.checks.validation.foreign_keys",
    "PublishedRows": "assay.checks.validation.uniqueness",
    "ProfileState": "assay.checks.profiles.profile_state",
    "QuarantineLimits": "assay.checks.contract.field",
    "READER_DEFECTS": "assay.checks.validation.validate",
    "Report": "assay.checks.validation.report",
    "RowCount": "assay.checks.contract.field",
    "RuleResult": "assay.checks.validation.report",
    "SchemaDiff": "assay.checks.contract.columns",
    "SchemaFinding": "assay.checks.schema_diff.schema_drift",
    "Severity": "assay.checks.contract.field",
    "SpilledOutcome": "assay.checks.validation.validate",
    "Suggestion": "assay.checks.suggesting.suggest",
    "Suggestions": "assay.checks.suggesting.suggest",
    "Timestamp": "assay.checks.contract.field",
    "canonical_spellings": "assay.checks.validation.canonical_spellings",
    "compare_columns": "assay.checks.contract.columns",
    "compare_contracts": "assay.checks.exchange.compare",
    "contract_info": "assay.checks.contract.contract",
    "contract_rules": "assay.checks.contract.contract",
    "delivery_drift": "assay.checks.schema_diff.schema_drift",
    "draft_contract": "assay.checks.drafting.draft",
    "from_odcs": "assay.checks.exchange.odcs_read",
    "mask": "assay.checks.validation.masking",
    "profile": "assay.checks.profiles.profile",
    "quarantined": "assay.checks.validation.quarantined",
    "redact": "assay.checks.validation.masking",
    "rule": "assay.checks.contract.field",
    "suggest": "assay.checks.suggesting.suggest",
    "to_odcs": "assay.checks.exchange.odcs_write",
    "validate": "assay.checks.validation.validate",
    "validate_spilled": "assay.checks.validation.validate",
    "volume": "assay.checks.validation.volume",
}
_MOVED = {
    "Drift": "assay.checks:SchemaDiff",
    "measure": "assay.checks:profile",
    "propose": "assay.checks:canonical_spellings",
}
__getattr__, __dir__ = lazy(__name__, _HOMES, _MOVED)
