"""The common shape of texts as a regular expression: runs of digits and letters with their lengths."""

import re

import polars as pl

_RUNS = re.compile(r"9|A|a|[^9Aa]")
_CLASSES = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")
_ESCAPED = r"\\\1"
MOST_RUNS = 16
#: Longer runs are words rather than parts of a code.
LONGEST_WORD = 3


def shape(texts: pl.Expr) -> pl.Expr:
    """Each text with every run of digits as 9, of capitals as A, of small letters as a."""
    return texts.str.replace_all(r"[0-9]+", "9").str.replace_all(r"[A-Z]+", "A").str.replace_all(r"[a-z]+", "a")


def common_pattern(texts: pl.Series, share: float) -> tuple[str, int] | None:
    """The pattern of at least `share` of the texts, and how many texts do not match it; None if they have none in common.

    Only codes have patterns: without spaces, with a digit or in capitals. A run of letters that is always the same is
    written as it is, a run with one length has this length, and one with several may have any.
    """
    counts = texts.alias("v").to_frame().select(shape(pl.col("v"))).to_series().value_counts(sort=True)
    top = str(counts["v"][0])
    runs = _RUNS.findall(top)
    is_code = " " not in top and len(runs) <= MOST_RUNS and ("9" in runs or set(runs) == {"A"})
    if not is_code or counts["count"][0] < share * len(texts):
        return None
    groups = "".join(f"({_CLASSES[run]}+)" if run in _CLASSES else f"({_SPECIAL.sub(_ESCAPED, run)})" for run in runs)
    matches = texts.str.extract_groups(f"^{groups}$").struct.unnest().drop_nulls()
    parts = [_part(run, matches.to_series(index)) for index, run in enumerate(runs)]
    pattern = f"^{''.join(parts)}$"
    if set(runs) == {"A"} and matches.to_series(0).str.len_chars().max() > LONGEST_WORD:  # pyright: ignore[reportOperatorIssue]
        return None
    return pattern, int((~texts.str.contains(pattern)).sum())


def _part(run: str, values: pl.Series) -> str:
    if run not in _CLASSES:
        return _SPECIAL.sub(_ESCAPED, run)
    if run != "9" and values.n_unique() == 1:
        return str(values[0])
    lengths = values.str.len_chars().unique().to_list()
    return f"{_CLASSES[run]}{{{lengths[0]}}}" if len(lengths) == 1 else f"{_CLASSES[run]}+"
