"""Words within texts that occur once and are, but for one letter, a word that the column uses often."""

from collections import Counter

import numpy as np
import polars as pl

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.near_values import Neighbours
from assay.checks.suggesting.text_column import TextColumn

#: Words of so many letters are compared; shorter ones are near each other by chance.
SHORTEST = 6
#: The usual word stands in so many texts, the other in at most so many.
FREQUENT, RARE = 12, 1
#: So many different words are compared.
MOST_WORDS = 50_000
WORDY = 0.5
#: Endings that make another form of a word.
_SPELLINGS = (("our", "or"), ("ae", "e"), ("oe", "e"), ("ll", "l"), ("tt", "t"))
_ENDINGS = ("s", "d", "r", "n", "y", "e", "a", "t", "l")


def misspelt_words(column: TextColumn) -> Findings:
    """Texts with a misspelt word, in columns of several words."""
    if column.share(column.values.str.contains(r"\p{L}{2}\S* .*\p{L}{3}").to_numpy()) < WORDY:
        return
    words = (
        pl.select(word=column.values.str.extract_all(r"\p{L}+"), value=pl.int_range(len(column.values)))
        .explode("word", empty_as_null=False)
        .filter(pl.col("word").str.len_chars() >= SHORTEST)
        .with_columns(word=pl.col("word").str.to_lowercase())
        .unique()
    )
    texts: Counter[str] = Counter(dict(words["word"].value_counts().iter_rows()))
    frequent = {word: count for word, count in texts.items() if count >= FREQUENT}
    if not frequent or len(texts) > MOST_WORDS:
        return
    neighbours = Neighbours(list(frequent), np.array(list(frequent.values())))
    rare = words.filter(pl.col("word").is_in([word for word, count in texts.items() if count <= RARE]))
    for word, value in rare.sort("value", "word").iter_rows():
        near = neighbours.nearest(word, FREQUENT)
        if near is None or _is_form(word, near[1]):
            continue
        reason = f"A word differs in one letter from one that stands in {near[2]:,} texts of the column."
        yield Finding(column.name, column.rows_of(value), 0.75 if near[2] >= 4 * FREQUENT else 0.65, reason)


def _is_form(word: str, usual: str) -> bool:
    """Whether both are right: they differ in the ending or the first letter, or as British and American spellings do."""
    shorter, longer = sorted((word, usual), key=len)
    if len(shorter) == len(longer):
        return word[1:] == usual[1:] or word[:-1] == usual[:-1] or word.replace("z", "s") == usual.replace("z", "s")
    return (longer.startswith(shorter) and longer[-1] in _ENDINGS) or any(
        longer.replace(*pair) == shorter for pair in _SPELLINGS
    )
