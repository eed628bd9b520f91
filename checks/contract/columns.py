"""The columns of a delivery against the columns that were expected: missing, new, renamed (with the likely partner), retyped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType

from assay.errors import AssayError

#: Below this similarity two names are two columns.
RENAME_THRESHOLD = 0.6
_TEXT = "String"
_PYTHON = {
    "String": "str",
    "Int64": "int",
    "Float64": "float",
    "Boolean": "bool",
    "Date": "date",
    "Datetime(time_unit='us', time_zone='UTC')": "Timestamp",
}


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """How a delivery's columns differ. A renamed column is listed in `missing` and `unexpected` too: it is only likely.

    renamed: (expected name, delivered name, score 0 to 1), best first. retyped: (name, expected dtype, delivered dtype).
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    renamed: tuple[tuple[str, str, float], ...]
    retyped: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.retyped)


class ColumnsError(AssayError):
    """A delivery lacks columns of its contract, or has others although the contract is strict. `drift` names them."""

    def __init__(self, message: str, drift: SchemaDiff) -> None:
        super().__init__(message)
        self.drift = drift


def compare_columns(expected: Mapping[str, str], delivered: Mapping[str, str]) -> SchemaDiff:
    """Compare the columns of a delivery with the expected ones.

    Args:
        expected: Column name to dtype, as Polars writes it.
        delivered: The same of the delivery. A `String` is text to be parsed, so never a changed type.

    Returns:
        Missing, unexpected, renamed and retyped columns.
    """
    missing = tuple(name for name in expected if name not in delivered)
    unexpected = tuple(name for name in delivered if name not in expected)
    scored = sorted(
        (
            (old, new, score)
            for old in missing
            for new in unexpected
            if (score := similarity(old, new, expected[old], delivered[new])) >= RENAME_THRESHOLD
        ),
        key=lambda pair: (-pair[2], pair[0], pair[1]),
    )
    renamed: list[tuple[str, str, float]] = []
    for old, new, score in scored:
        if not any(old == pair[0] or new == pair[1] for pair in renamed):
            renamed.append((old, new, round(score, 2)))
    retyped = tuple(
        (name, dtype, delivered[name])
        for name, dtype in expected.items()
        if name in delivered and delivered[name] not in (dtype, _TEXT)
    )
    return SchemaDiff(missing, unexpected, tuple(renamed), retyped)


def require_columns(
    contract: str,
    expected: Mapping[str, str],
    delivered: Mapping[str, str],
    *,
    strict: bool,
    former: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Raise ColumnsError when an expected column is missing, or with `strict` when there is another one. `former`: the names that
    columns had before."""
    drift = compare_columns(expected, delivered)
    if drift.missing:
        partners = {old: new for old, new, _ in drift.renamed}
        missing = [
            f"{name!r}" + (f" (likely renamed to {partners[name]!r})" if name in partners else "")
            for name in drift.missing
        ]
        renamed = (how_to_rename(old, new, former.get(old, ())) for old, new in partners.items())
        first = drift.missing[0]
        how = next(renamed, None) or how_to_do_without(first, expected[first])
        raise ColumnsError(
            f"{contract}: missing column {', '.join(missing)}. Delivered: {', '.join(delivered) or 'no columns'}. "
            f"Ask the upstream to deliver the agreed columns again, or change the contract: {how}.",
            drift,
        )
    if strict and drift.unexpected:
        names = ", ".join(map(repr, drift.unexpected))
        raise ColumnsError(
            f"{contract}: the contract is strict and does not know the column {names}. Add it to the contract, "
            "or ask the upstream to leave it out.",
            drift,
        )


def how_to_rename(old: str, new: str, former: Sequence[str] = ()) -> str:
    """What to declare where an upstream has renamed a column for good. `former`: the names that it had before that."""
    was = repr([old, *former]) if former else repr(old)
    return f"if the new name is to stay, declare {new!r} with Field(was={was})"


def how_to_do_without(name: str, dtype: str) -> str:
    """What to declare where an upstream no longer delivers a column, or not always."""
    return f"if it may lack, declare {_attribute(name)}: Optional[{_python(dtype)}] = Field(…, nullable=True)"


def how_to_retype(name: str, dtype: str) -> str:
    """What to declare where an upstream has changed a column's type for good."""
    return f"if the new type is to stay, declare {_attribute(name)}: {_python(dtype)}"


def _attribute(name: str) -> str:
    return name if name.isidentifier() else repr(name)


def _python(dtype: str) -> str:
    """A type as a contract's annotation."""
    return _PYTHON.get(dtype, f"pl.{dtype}")


def require_order(contract: str, expected: Sequence[str], delivered: Sequence[str]) -> None:
    """Raise ColumnsError when the expected columns that were delivered come in another order."""
    order = [name for name in delivered if name in expected]
    wanted = [name for name in expected if name in delivered]
    if order != wanted:
        raise ColumnsError(
            f"{contract}: the contract is ordered, and the columns come as {', '.join(order)} instead of "
            f"{', '.join(wanted)}. Ask the upstream to deliver the agreed order, or remove Config.ordered.",
            compare_columns(dict.fromkeys(wanted, ""), dict.fromkeys(order, "")),
        )


def similarity(old: str, new: str, old_dtype: str, new_dtype: str) -> float:
    """Likeness of two columns, 0 to 1: mostly of the names, a little of the types (unknown where the delivery is text)."""
    first, second = old.casefold(), new.casefold()
    words = set(first.split("_")), set(second.split("_"))
    # One name is the other with words added or taken away (amount, amount_eur).
    contained = 0.8 if words[0] <= words[1] or words[1] <= words[0] else 0.0
    name = max(SequenceMatcher(None, first, second).ratio(), contained)
    dtype = 1.0 if old_dtype == new_dtype else 0.5 if new_dtype == _TEXT else 0.0
    return 0.85 * name + 0.15 * dtype
