"""Where pandera's verdict is not the truth: what it is, of which kind, and why."""

from typing import NamedTuple

from tests.checks.conformance.case import BATCH, DELIVERY, Verdict

#: Something wrong passes, or something right is lost, without an error.
SILENT = "silent"
#: There is an error, but later, for more, or less exact than it could be.
COARSE = "coarse"
#: Both verdicts can be defended; here is why Assay chose its own.
CHOICE = "choice"


class Difference(NamedTuple):
    verdict: Verdict
    kind: str
    why: str


_ORDERED = "polars orders NaN above every number, and pandera compares with it; for Assay NaN is no number"
_COLUMN = "pandera judges the type of the column, so one text refuses all; Assay reads each value strictly"
_COERCED = "pandera names the rows and refuses the column with them; in Assay only the rows leave"
_LATER = "pandera notices with the first delivery; Assay where the contract is written"
_ALL = "pandera marks every row of a group; Assay keeps the first, so that one row per key stays"
_NULLS = "for pandera two nulls are equal; for Assay, as in SQL, null is no value to repeat"
_LAZY = "pandera checks only the schema of a LazyFrame unless told otherwise"

DIFFERENCES: dict[str, Difference] = {
    "a column of type Null": Difference(DELIVERY, COARSE, "nothing in it has another type"),
    "a column of type Null that must not be null": Difference("row 0 and the column", COARSE, "it also refuses the type"),
    "NaN where null is allowed": Difference((), SILENT, "pandera takes NaN for null, so `nullable` lets it through"),
    "NaN and `ge`": Difference((2,), SILENT, _ORDERED),
    "NaN and `gt`": Difference((), SILENT, _ORDERED),
    "NaN and `ne`": Difference((1,), SILENT, _ORDERED),
    "NaN and `notin`": Difference((1,), SILENT, _ORDERED),
    "a NaN bound": Difference((0,), COARSE, "every row fails; Assay says so where the contract is written"),
    "zeros of both signs in a unique column": Difference((0, 1), CHOICE, _ALL),
    "an empty list of values": Difference((0,), COARSE, _LATER),
    "contradictory bounds": Difference((0,), COARSE, _LATER),
    "a bound of another type": Difference(BATCH, COARSE, _LATER),
    "listed values of another type": Difference(BATCH, COARSE, _LATER),
    "`str_matches` with alternatives": Difference((), SILENT, "pandera anchors with a bare `^`: only the first branch"),
    "a pattern with look-ahead": Difference(BATCH, COARSE, _LATER),
    "a text check on numbers": Difference(BATCH, COARSE, _LATER),
    "a record in another encoding": Difference((), SILENT, "pandera does not know what the reader could not read"),
    "text to integer": Difference(DELIVERY, COARSE, _COLUMN),
    "text to integer with coerce": Difference("row 1 and the column", COARSE, _COERCED),
    "text to integer with coerce, then a check": Difference("row 1 and the column", COARSE, "the check is not reached"),
    "space around a number": Difference("row 0 and the column", COARSE, _COERCED),
    "an integer too large for its type": Difference("row 0 and the column", COARSE, _COERCED),
    "a number too large for a float": Difference("other values", SILENT, "`1e400` becomes infinity"),
    "whole decimals to integer": Difference(DELIVERY, COARSE, _COLUMN),
    "an integer that a float cannot hold": Difference(DELIVERY, COARSE, _COLUMN),
    "a narrower integer": Difference("row 1 and the column", COARSE, _COERCED),
    "an integer where text is declared": Difference("row 1 and the column", CHOICE, "the column, not its values"),
    "text to boolean": Difference("rows 0, 1, 2, 3 and the column", COARSE, "polars casts no text to a boolean"),
    "text to date": Difference("rows 0, 1, 2 and the column", COARSE, "polars casts no text to a date"),
    "a time without a zone": Difference(DELIVERY, COARSE, _COLUMN),
    "a time without a zone, coerced": Difference((), SILENT, "a wall-clock time is taken for UTC unasked"),
    "a time of another zone": Difference(DELIVERY, COARSE, "it is the same moment; Assay converts it"),
    "text with an offset to a time": Difference("rows 0, 1 and the column", COARSE, "polars casts no text to a zoned time"),
    "a declared time without a zone": Difference((), CHOICE, "which moment it was nobody knows; Assay asks for a zone"),
    "a bound without a zone": Difference(BATCH, COARSE, _LATER),
    "text to a decimal with too many places": Difference("other values", SILENT, "the third place is dropped"),
    "text to an enum": Difference("row 1 and the column", COARSE, _COERCED),
    "an enum of other values": Difference(DELIVERY, COARSE, "the same rows, without their number"),
    "a category where text is declared": Difference(DELIVERY, COARSE, "a category is text; nothing is lost"),
    "a list of a wider type": Difference("rows 0, 1, 2 and the column", COARSE, "all rows are named, one is wrong"),
    "a list of texts where numbers are declared": Difference(DELIVERY, COARSE, "the same rows, without their number"),
    "a struct with another field": Difference((), SILENT, "the field is dropped and the declared one filled with null"),
    "a unique list": Difference((0, 1), CHOICE, "lists can be compared; Assay's set rules spill to disk and leave them out"),
    "an array of another length": Difference(DELIVERY, COARSE, "the same rows, without their number"),
    "a missing column with coerce": Difference("raises ColumnNotFoundError", COARSE, "a raw polars error (pandera#2085)"),
    "a missing column that is optional": Difference((), CHOICE, "Assay counts the rules of the absent column as unknown"),
    "Config.dtype": Difference(DELIVERY, CHOICE, "a type for all columns beside their own; Assay wants each annotated"),
    "a contract without columns": Difference((), CHOICE, "it would accept everything"),
    "a batch without rows, of another type": Difference(DELIVERY, CHOICE, "no value has another type"),
    "a repeated value": Difference((0, 2), CHOICE, _ALL),
    "two nulls in a unique column": Difference((0, 1), CHOICE, _NULLS),
    "a repeated pair": Difference((0, 1), CHOICE, _ALL),
    "a pair with a null": Difference((0, 1), CHOICE, _NULLS),
    "unique over an unknown column": Difference((0, 1, 2), COARSE, "the known column alone is tested"),
    "lazy: a range": Difference((), SILENT, _LAZY),
    "lazy: a null": Difference((), SILENT, _LAZY),
    "lazy: a repeated value": Difference((), SILENT, _LAZY),
    "lazy and dropping": Difference((), SILENT, _LAZY),
    "dropping after coercion": Difference("row 1, result of another type", SILENT, "an invalid row stays, as text"),
    "dropping a repeated value": Difference((0, 1), SILENT, "no row of the key is left"),
    "dropping a repeated pair": Difference((), SILENT, "the duplicates stay, without an error"),
    "dropping and an aggregate": Difference((0, 1), SILENT, "one verdict about the batch drops all rows"),
    "an aggregate that does not hold": Difference((0,), COARSE, "the batch's verdict is shown as that of row 0"),
    "a check that raises": Difference(BATCH, CHOICE, "Assay says unknown: nothing was found wrong, and nothing passed"),
}  # fmt: skip
