"""Which new column a missing one became: by name, and by how alike their values are where an earlier batch is known."""

from collections.abc import Mapping

import polars as pl

from assay.checks.contract.columns import RENAME_THRESHOLD, similarity
from assay.checks.drafting.column_stats import stats_of
from assay.checks.drafting.pattern_inference import shape

SAMPLE = 5_000
NAME, VALUES = 0.4, 0.6
#: Times move on from batch to batch, so their values say only that both are times.
TIMES = 0.7
#: Equal forms of different values (ids) are weaker evidence than equal values.
FORMS = 0.8


def match_renames(
    missing: Mapping[str, str], unexpected: Mapping[str, pl.Series], before: Mapping[str, pl.Series]
) -> list[tuple[str, str, float]]:
    """(missing, new column, score 0 to 1), best first; each column has at most one partner.

    missing: name to expected type. before: values of an earlier batch, for the columns that it had.
    """
    scored = sorted(
        (
            (old, new, score)
            for old, dtype in missing.items()
            for new, values in unexpected.items()
            if (score := _score(old, new, dtype, before.get(old), values)) >= RENAME_THRESHOLD
        ),
        key=lambda pair: (-pair[2], pair[0], pair[1]),
    )
    pairs: list[tuple[str, str, float]] = []
    for old, new, score in scored:
        if not any(old == pair[0] or new == pair[1] for pair in pairs):
            pairs.append((old, new, round(score, 2)))
    return pairs


def _score(old: str, new: str, dtype: str, before: pl.Series | None, values: pl.Series) -> float:
    name = similarity(old, new, dtype, str(values.dtype))
    return name if before is None else NAME * name + VALUES * alike(before, values)


def alike(old: pl.Series, new: pl.Series) -> float:
    """How alike two columns' values are, 0 to 1, from samples of them: type, nulls, values or the form of values."""
    first, second = old.head(SAMPLE), new.head(SAMPLE)
    one, other = stats_of(first), stats_of(second)
    if not (one.present and other.present):
        return 0.0
    nulls = 1 - abs(one.nulls / one.rows - other.nulls / other.rows)
    if one.dtype.is_numeric() and other.dtype.is_numeric():
        return nulls * _overlap_of_ranges(_numbers(first), _numbers(second))
    if type(one.dtype) is not type(other.dtype):
        return 0.0
    if one.dtype.is_temporal():
        return nulls * TIMES
    if one.dtype.is_nested():
        return nulls * float(one.dtype == other.dtype)
    return nulls * _likeness_of_texts(first.drop_nulls().cast(pl.String), second.drop_nulls().cast(pl.String))


def _numbers(values: pl.Series) -> pl.Series:
    return values.cast(pl.Float64, strict=False).drop_nulls().drop_nans()


def _overlap_of_ranges(old: pl.Series, new: pl.Series) -> float:
    """How far the middle halves overlap, against the wider one."""
    spans = [(series.quantile(0.25) or 0.0, series.quantile(0.75) or 0.0) for series in (old, new)]
    (low, high), (other_low, other_high) = spans
    widest = max(high - low, other_high - other_low)
    if widest == 0:
        return float(low == other_low)
    return max(0.0, min(high, other_high) - max(low, other_low)) / widest


def _likeness_of_texts(old: pl.Series, new: pl.Series) -> float:
    one, other = set(old.to_list()), set(new.to_list())
    equal = len(one & other) / min(len(one), len(other))
    forms = [_forms(series) for series in (old, new)]
    same_form = sum(min(share, forms[1].get(form, 0.0)) for form, share in forms[0].items())
    return max(equal, FORMS * same_form)


def _forms(texts: pl.Series) -> dict[str, float]:
    counts = texts.alias("v").to_frame().select(shape(pl.col("v"))).to_series().value_counts()
    return {form: count / len(texts) for form, count in counts.iter_rows()}
