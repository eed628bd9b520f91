"""A delivery against its contract and against the batch before it: what happened to the columns, by name."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import polars as pl

from assay.checks.contract.columns import compare_columns, how_to_do_without, how_to_rename
from assay.checks.contract.contract import Contract, compiled
from assay.checks.contract.written_form import WrittenForm
from assay.checks.drafting.column_stats import FEW_ROWS, stats_of
from assay.checks.schema_diff.rename_matching import match_renames
from assay.checks.schema_diff.units import unit_shift
from assay.own_columns import is_link

Kind = Literal["dropped", "added", "renamed", "retyped", "reordered", "unit_shifted"]
Against = Literal["contract", "previous"]


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """One thing that happened to a column (as it was called), against the contract or the previous batch.

    partner: what it is probably called now. score: how sure that is, 0 to 1. detail: the evidence, without cell values.
    """

    kind: Kind
    column: str
    against: Against
    detail: str
    partner: str | None = None
    score: float = 1.0


def delivery_drift(
    delivery: pl.DataFrame, contract: type[Contract], previous: pl.DataFrame | None = None
) -> list[SchemaFinding]:
    """What happened to the columns of a delivery, first against the contract, then against the previous batch.

    Columns that link to the source are left out.

    Args:
        delivery: The batch as delivered.
        contract: What was agreed.
        previous: The batch before, as delivered. With it, renamed columns are found by their values, too, and changes of
            units and of what a text column holds are seen.

    Returns:
        Findings in the order of the columns.

    Raises:
        AssayError: `contract` is not a contract.
    """
    columns = compiled(contract).columns
    present = {former: column.name for column in columns for former in column.options.was}
    now = _data(delivery, present)
    before = {} if previous is None else _data(previous, present)
    named = {column.name: str(column.dtype) for column in columns if column.pattern is None}
    optional = {column.name for column in columns if not column.required}
    patterns = [column.pattern for column in columns if column.pattern is not None]
    agreed = {name for name in now if any(re.fullmatch(pattern, name) for pattern in patterns)}
    findings = [
        finding
        for finding in _columns(named, now, before, "contract", {column.name: column.options.was for column in columns})
        if (finding.kind != "dropped" or finding.column not in optional)
        and (finding.kind != "added" or finding.column not in agreed)
    ]
    if previous is not None:
        findings += _columns({name: str(values.dtype) for name, values in before.items()}, now, before, "previous")
        renamed = {finding.column: finding.partner for finding in findings if finding.partner is not None}
        # The numbers of a key are names: they have no unit.
        findings += _values(before, now, renamed, compiled(contract).info.key)
    return findings


def _data(frame: pl.DataFrame, present: Mapping[str, str]) -> dict[str, pl.Series]:
    """The columns, those under a declared former name under the present one."""
    names = {name: present.get(name, name) for name in frame.columns if not is_link(name)}
    return {now: frame[name] for name, now in names.items() if now == name or now not in frame.columns}


def _columns(
    expected: Mapping[str, str],
    now: Mapping[str, pl.Series],
    before: Mapping[str, pl.Series],
    against: Against,
    former: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[SchemaFinding]:
    delivered = {name: str(values.dtype) for name, values in now.items()}
    drift = compare_columns(expected, delivered)
    pairs = match_renames(
        {name: expected[name] for name in drift.missing}, {name: now[name] for name in drift.unexpected}, before
    )
    renamed = {old: (new, score) for old, new, score in pairs}
    for name in drift.missing:
        if name in renamed:
            partner, score = renamed[name]
            by = "name and values" if name in before else "name"
            detail = f"probably {partner!r} now, by its {by}; {how_to_rename(name, partner, former.get(name, ()))}"
            yield SchemaFinding("renamed", name, against, detail, partner, score)
        else:
            how = f"; {how_to_do_without(name, expected[name])}" if against == "contract" else ""
            yield SchemaFinding("dropped", name, against, f"is not delivered, and no new column is like it{how}")
    taken = {partner for partner, _ in renamed.values()}
    for name in drift.unexpected:
        if name not in taken:
            yield SchemaFinding("added", name, against, "is new")
    for name, old, new in drift.retyped:
        yield SchemaFinding("retyped", name, against, f"{old} to {new}")
    order = [name for name in expected if name in now], [name for name in now if name in expected]
    moved = next((there for here, there in zip(*order, strict=True) if here != there), None)
    if moved is not None:
        yield SchemaFinding("reordered", moved, against, f"comes at position {list(now).index(moved) + 1} now")


def _values(
    before: Mapping[str, pl.Series], now: Mapping[str, pl.Series], renamed: Mapping[str, str], key: Collection[str]
) -> Iterator[SchemaFinding]:
    """What happened to the values of the columns that are there in both batches, renamed ones included."""
    for name, old in before.items():
        new = now.get(renamed.get(name, name))
        if new is None:
            continue
        one, other = stats_of(old), stats_of(new)
        if min(one.present, other.present) < FEW_ROWS:
            continue
        if old.dtype == new.dtype == pl.String and one.written != other.written and one.dtype == other.dtype:
            forms = " and are ".join(_in_words(stats.written) for stats in (one, other))
            yield SchemaFinding("retyped", name, "previous", f"the texts ({one.dtype}) were written {forms} now")
        elif one.dtype.is_numeric() and other.dtype.is_numeric():
            shift = None if name in key else unit_shift(_numbers(old), _numbers(new))
            if shift is not None:
                how = " or ".join(shift.units) or f"about ×{shift.factor:.3g} (a currency or another unit?)"
                detail = f"the values are {how}: {shift.distance:.2f} mean deviations apart then, {shift.before:.2f} as they are"
                yield SchemaFinding(
                    "unit_shifted", name, "previous", detail, renamed.get(name), max(0.0, 1 - shift.distance)
                )
        elif old.dtype == new.dtype == pl.String and one.dtype != other.dtype:
            yield SchemaFinding("retyped", name, "previous", f"the texts were {one.dtype}, and are {other.dtype} now")


def _in_words(form: WrittenForm) -> str:
    declared = ", ".join(f"{name}={value!r}" for name, value in form.declared().items())
    return f"with {declared}" if declared else "as usual"


def _numbers(values: pl.Series) -> pl.Series:
    return values.cast(pl.Float64, strict=False)
