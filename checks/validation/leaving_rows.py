"""The rows that leave a batch: as delivered, with the names of the rules that each breaks."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from assay.checks.validation.blocks import Blocks, only
from assay.checks.validation.reading import DEFECT
from assay.checks.validation.scan import Scan
from assay.row_source import RowSource

#: The column of the quarantine that lists the rules a row breaks.
RULES = "_rules"
#: In which other partition the row is that has the key, and the rule; there only where a batch has such rows.
DUPLICATE_OF = "_duplicate_of"
_LISTS = pl.List(pl.String)
_FEW = 10_000
_WORD = 64  # rules whose verdicts are bits of one number


def leaving_rows(
    scan: Scan, broken: Mapping[str, pl.Series], leaves: pl.Series, lost: Mapping[int, str]
) -> pl.DataFrame | RowSource:
    """The rows that leave. broken: for each rule that any row breaks, which rows do. lost: by position, where the row is that a
    row lost its key to. Of a batch on disk they are read block by block."""
    original = {name: value for name, value in scan.original.items() if name not in (RULES, DUPLICATE_OF)}
    schema = pl.Schema({**{name: scan.delivered[name] for name in original}, RULES: _LISTS})
    if lost:
        schema[DUPLICATE_OF] = pl.String()
    place = scan.place
    reasons = _reasons(lost, leaves)
    if not isinstance(place, Blocks):
        return _named(place, original, broken, leaves, list(schema), reasons)

    def made(wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
        inputs = dict.fromkeys(original[name].meta.root_names()[0] for name in wanted if name in original)
        if RULES in wanted and DEFECT in scan.delivered:
            inputs[DEFECT] = None
        gone = 0
        for first, rows in place.read(list(inputs), leaves):
            here = leaves.slice(first, rows.height)
            parts = {name: rows_.slice(first, rows.height) for name, rows_ in broken.items()}
            count = int(here.sum())
            yield _named(rows, original, parts, here, wanted, reasons.slice(gone, count))
            gone += count
            del rows  # before the next ones are read

    return RowSource(schema, made)


def _named(
    rows: pl.DataFrame,
    original: Mapping[str, pl.Expr],
    broken: Mapping[str, pl.Series],
    leaves: pl.Series,
    wanted: Sequence[str],
    reasons: pl.Series,
) -> pl.DataFrame:
    left = only(rows, leaves)
    if DUPLICATE_OF in wanted:
        original = {**original, DUPLICATE_OF: pl.lit(reasons)}
    if RULES not in wanted:
        return left.select(original[name].alias(name) for name in wanted)
    rules = _rules({name: series.filter(leaves) for name, series in broken.items()}, int(leaves.sum())).alias(RULES)
    named = pl.lit(rules)
    if DEFECT in rows.columns:
        named = named.list.concat(pl.concat_list("row." + pl.col(DEFECT)).list.drop_nulls())
    return left.select(named.alias(RULES) if name == RULES else original[name].alias(name) for name in wanted)


def _reasons(lost: Mapping[int, str], leaves: pl.Series) -> pl.Series:
    """Those of the rows that leave, in their order."""
    if not lost:
        return pl.Series(dtype=pl.String)
    positions = leaves.arg_true()
    return positions.replace_strict(list(lost), list(lost.values()), default=None, return_dtype=pl.String)


def _rules(broken: Mapping[str, pl.Series], height: int) -> pl.Series:
    """For each row the names of the rules that it breaks. Many rows break few combinations of rules, so that names are listed
    once a combination."""
    if not broken:
        return pl.Series([[]], dtype=_LISTS).new_from_index(0, height)
    names = list(broken)
    index, combinations = np.zeros(height, dtype=np.uint64), [0]
    for first in range(0, len(names), _WORD):
        word = np.zeros(height, dtype=np.uint64)
        for number, name in enumerate(names[first : first + _WORD]):
            word |= broken[name].to_numpy().astype(np.uint64) << np.uint64(number)
        values = _different(word)
        # For each row the number of what it breaks, so far; as many numbers as there are different combinations.
        pairs = index * np.uint64(len(values)) + np.searchsorted(values, word).astype(np.uint64)
        different = _different(pairs)
        index = np.searchsorted(different, pairs).astype(np.uint64)
        combinations = [
            combinations[pair // len(values)] | int(values[pair % len(values)]) << first for pair in different.tolist()
        ]
    lists = [[name for number, name in enumerate(names) if bits >> number & 1] for bits in combinations]
    # A few numbers go through Python: polars loads numpy's masked arrays to take an array.
    return pl.Series(lists, dtype=_LISTS).gather(index.tolist() if height < _FEW else pl.Series(index))


def _different(numbers: np.ndarray) -> np.ndarray:
    """The different numbers, in order."""
    ordered = np.sort(numbers)
    return ordered[np.diff(ordered, prepend=ordered[:1] + np.uint64(1)) != 0]
