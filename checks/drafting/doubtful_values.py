"""Values of a column that are rather slips than values of their own: of a list of values they are asked about, not listed."""

from collections.abc import Mapping

from assay.checks.text.edits import edit_kind
from assay.checks.validation.seen_forms import SURELY_NONE

#: A value is a slip of a near one that has so many times as many rows.
TIMES = 5
#: Shorter values are near each other by chance.
_SHORTEST = 4


def doubtful_values(rows: Mapping[str, int]) -> dict[str, str]:
    """The values that one would not list, each with the value that it is a slip of; "" for a text that stands for no value.

    Args:
        rows: By value, how many rows have it.
    """
    frequent = sorted(rows, key=lambda value: (-rows[value], value))
    found = {value: "" for value in frequent if value in SURELY_NONE}
    for value in frequent:
        nearer = (other for other in frequent if other not in found and TIMES * rows[value] <= rows[other])
        near = next((other for other in nearer if _is_slip(value, other)), None)
        if value not in found and near is not None:
            found[value] = near
    return found


def _is_slip(rare: str, frequent: str) -> bool:
    return min(len(rare), len(frequent)) >= _SHORTEST and edit_kind(rare, frequent) is not None
