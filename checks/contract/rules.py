"""The compiled rules of a contract. A rule is data: a name, a severity and what is needed to evaluate it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import pandera.polars as pa
import polars as pl

from assay.checks.contract.field import Block, FieldOptions, Severity


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract. `pattern`: it stands for every column whose name matches."""

    name: str
    dtype: pl.DataType
    nullable: bool
    required: bool
    coerce: bool
    options: FieldOptions
    pattern: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule has. `inputs` are the columns whose unreadable values make its verdict unknown."""

    name: str
    column: str | None
    severity: Severity
    block: Block | None = None
    inputs: tuple[str, ...]
    kind: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DtypeRule(Rule):
    """The value could be read as the contract's type."""

    kind: ClassVar[str] = "dtype"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNanRule(Rule):
    """The value of a float column is a number."""

    kind: ClassVar[str] = "not_nan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExprRule(Rule):
    """`expr` over the typed columns: false is invalid, true and null are valid. `compares`: it may look at other rows, too."""

    expr: pl.Expr
    compares: bool = False
    kind: ClassVar[str] = "row"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNullRule(ExprRule):
    """The column has a value. It is known at once of a column that has no nulls at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyRule(Rule):
    """The value occurs in `reference_column` of the table `reference`."""

    reference: str
    reference_column: str
    kind: ClassVar[str] = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRule(Rule):
    """Rows with an equal, non-null `key` belong together: of the clean ones that stays which `duplicates` says (see
    `assay.checks.contract.field.DUPLICATES`).

    With an `entity` later rows of the same entity stay too (they are versions of it, not duplicates).
    """

    key: tuple[pl.Expr, ...]
    entity: tuple[str, ...] | None = None
    duplicates: str = "first"
    kind: ClassVar[str] = "set"


def not_first(rules: Iterable[Rule]) -> dict[str, str]:
    """By name, what is declared of duplicates for the rules whose first row does not stay."""
    return {rule.name: rule.duplicates for rule in rules if isinstance(rule, SetRule) and rule.duplicates != "first"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRule(Rule):
    """`expr` is one truth value about the whole batch."""

    expr: pl.Expr
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRule(Rule):
    """`expr` compares a row with rows before it: true and null are valid. It needs the readable rows of the whole batch."""

    expr: pl.Expr
    kind: ClassVar[str] = "sequence"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRule(Rule):
    """The batch has as many rows as `reference` counts, give or take `share` of them and `rows` rows."""

    reference: str
    share: float
    rows: int
    kind: ClassVar[str] = "count"

    def agrees(self, delivered: int, expected: int) -> bool:
        return abs(delivered - expected) <= max(self.rows, self.share * expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class PanderaRule(Rule):
    """A check that only pandera can run: custom functions."""

    check: pa.Check
    kind: ClassVar[str] = "pandera"
