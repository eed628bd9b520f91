"""Two sets of rows, compared on a key: what is only in one, and what differs in which columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.errors import AssayError, nearest
from assay.own_columns import OWN_COLUMNS

_SAME = "\x1fsame "  # no upstream's column begins so


@dataclass(frozen=True, slots=True)
class Differences:
    """What two sets of rows do not have in common.

    Attributes:
        rows: how many rows each has.
        only: how many keys are in one of them alone.
        repeated: how many keys of each are in it several times; their rows are not compared.
        same: keys with equal values.
        differ: keys with other values.
        columns: in how many keys each column differs, the most first; columns that never do are left out.
        not_compared: columns that one does not have, or has in another type, and why.
        examples: a few rows by what they are examples of: `only in A`, `only in B`, `differ`, where the keys come with the
            columns that differ in any of them, as `<column> in A` and `<column> in B`.
    """

    rows: tuple[int, int]
    only: tuple[int, int]
    repeated: tuple[int, int]
    same: int
    differ: int
    columns: Mapping[str, int]
    not_compared: Mapping[str, str]
    examples: Mapping[str, pl.DataFrame]

    @property
    def equal(self) -> bool:
        """Whether both have the same keys with the same values, and the same columns."""
        return not (any(self.only) or any(self.repeated) or self.differ or self.not_compared)

    def to_dict(self) -> dict[str, Any]:
        """The counts; not the examples, which hold values."""
        return {
            "equal": self.equal,
            "rows": list(self.rows),
            "only": list(self.only),
            "repeated": list(self.repeated),
            "same": self.same,
            "differ": self.differ,
            "columns": dict(self.columns),
            "not_compared": dict(self.not_compared),
        }


def differences(a: pl.LazyFrame, b: pl.LazyFrame, key: Sequence[str], *, examples: int = 5) -> Differences:
    """Compare two sets of rows. Our own columns (links to files, partitions) are left out.

    Args:
        a: Rows.
        b: Others.
        key: The columns that identify a row. A null is a value like any other.
        examples: How many rows of each kind are given as examples.

    Raises:
        AssayError: There is no key, or one of its columns is missing, or has two types.
    """
    keys, ours, theirs = list(key), a.collect_schema(), b.collect_schema()
    _require_keys(keys, ours, theirs)
    values, not_compared = _columns(keys, ours, theirs)
    a, b = (frame.select(*keys, *values) for frame in (a, b))
    counts = [frame.group_by(keys).len("__rows") for frame in (a, b)]
    rows = tuple(int(count.select(pl.col("__rows").sum()).collect(engine="streaming").item()) for count in counts)
    repeated = tuple(_height(count.filter(pl.col("__rows") > 1)) for count in counts)
    once = [count.filter(pl.col("__rows") == 1).select(keys) for count in counts]
    only = [
        one.join(other, on=keys, how="anti", nulls_equal=True)
        for one, other in zip(counts, reversed(counts), strict=True)
    ]
    a_once, b_once = (
        frame.join(single, on=keys, how="semi", nulls_equal=True) for frame, single in zip((a, b), once, strict=True)
    )
    both = a_once.join(b_once, on=keys, how="inner", nulls_equal=True, suffix="\x1f").with_columns(
        (pl.col(name).eq_missing(pl.col(f"{name}\x1f"))).alias(_SAME + name) for name in values
    )
    found = both.select(
        pl.len().alias("__both"),
        (~pl.all_horizontal(pl.lit(True), *(pl.col(_SAME + name) for name in values))).sum().alias("__differ"),
        *((~pl.col(_SAME + name)).sum().alias(name) for name in values),
    )
    (sums,) = found.collect(engine="streaming").to_dicts()
    compared, differ = sums.pop("__both"), sums.pop("__differ")
    columns = {name: number for name, number in sorted(sums.items(), key=lambda item: -item[1]) if number}
    shown = {
        "only in A": a.join(only[0], on=keys, how="semi", nulls_equal=True).head(examples).collect(),
        "only in B": b.join(only[1], on=keys, how="semi", nulls_equal=True).head(examples).collect(),
        "differ": _differing(both, keys, list(columns), examples),
    }
    return Differences(
        rows=(rows[0], rows[1]),
        only=(_height(only[0]), _height(only[1])),
        repeated=(repeated[0], repeated[1]),
        same=compared - differ,
        differ=differ,
        columns=columns,
        not_compared=not_compared,
        examples={name: frame for name, frame in shown.items() if not frame.is_empty()},
    )


def _differing(both: pl.LazyFrame, keys: Sequence[str], columns: Sequence[str], examples: int) -> pl.DataFrame:
    if not columns:
        return pl.DataFrame()
    rows = both.filter(~pl.all_horizontal(pl.col(_SAME + name) for name in columns)).head(examples)
    sides = [
        pl.col(f"{name}{suffix}").alias(f"{name} in {side}")
        for name in columns
        for suffix, side in (("", "A"), ("\x1f", "B"))
    ]
    return rows.select(*keys, *sides).collect()


def _require_keys(keys: Sequence[str], ours: pl.Schema, theirs: pl.Schema) -> None:
    if not keys:
        raise AssayError("Say which columns identify a row: the tables declare no key.")
    for name in keys:
        for side, schema in (("A", ours), ("B", theirs)):
            if name not in schema:
                raise AssayError(f"{side} has no column {name!r} to compare by.{nearest(name, schema.names())}")
        if ours[name] != theirs[name]:
            raise AssayError(f"The key {name!r} is {ours[name]} in A and {theirs[name]} in B: cast one of them.")


def _columns(keys: Sequence[str], ours: pl.Schema, theirs: pl.Schema) -> tuple[list[str], dict[str, str]]:
    """The columns that can be compared, and the others with the reason."""
    values, not_compared = [], {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        if name in keys or name in OWN_COLUMNS:
            continue
        if name not in theirs or name not in ours:
            not_compared[name] = f"only in {'A' if name in ours else 'B'}"
        elif ours[name] != theirs[name]:
            not_compared[name] = f"{ours[name]} in A, {theirs[name]} in B"
        else:
            values.append(name)
    return values, not_compared


def _height(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
