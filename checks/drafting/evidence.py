"""What speaks for and against each proposed rule, as the comments of a drafted contract: counts, shares, and in how many batches.

They quote neither personal data nor the values that would leave: of those the shape is shown, without digits and letters.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

import polars as pl

from assay.checks.drafting.column_stats import NO_NULLS, NULLS, SEVERAL, ColumnStats
from assay.checks.drafting.standard_formats import are_standard
from assay.checks.drafting.table_stats import TableStats, plural_of
from assay.checks.drafting.tallies import BATCHES
from assay.checks.drafting.text_types import FEW_ROWS, SHARE
from assay.checks.drafting.whole_numbers import LEAST_CODE, is_perhaps_code, may_be_short_code

PII = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "payment-card numbers",
    "name": "names of people",
    "free_text": "sentences",
}
#: With more rows that cannot be read than this share it is rather the reader that is wrong.
_MANY_DEFECTS = 0.05
#: So many listed values are named in a question.
_MOST_NAMED = 12
# Words in names of what is counted or measured from zero. Other numbers (temperatures, balances, differences) may be negative
# though they have not been so far, so that a bound would stop the first cold day.
_FROM_ZERO = re.compile(
    "age|amount|area|bytes|capacity|cost|count|days|distance|duration|fee|height|hours|items|length|minutes|n|num|passengers|"
    "population|price|qty|quantity|rows|seconds|size|spend|stock|tickets|total|units|volume|weight|width"
)


def table_evidence(stats: TableStats) -> Iterator[str]:
    """What the batches show of the table as a whole."""
    several = f" of {stats.batches:,} {stats.kinds}" if stats.batches > 1 else ""
    yield f"Drafted from {rows_of(stats.rows)}{several}."
    if stats.batches == 1 and stats.rows:
        yield (
            f"One {stats.kind} cannot show what stays the same: values and ranges are questions, not rules. "
            f"Draft from several {stats.kinds}."
        )
    elif 1 < stats.batches < BATCHES:
        yield f"Fewer than {BATCHES} {stats.kinds}: values and ranges are questions, not rules."
    if 0 < stats.rows < NO_NULLS and stats.batches < SEVERAL:
        yield "So few rows cannot show that each row of a column has a value: nullable=True is a question, too."
    if stats.batches > 1:
        span = "" if stats.smallest == stats.largest else f"{stats.smallest:,} to "
        yield f"A {stats.kind} has {span}{rows_of(stats.largest)}."
    if stats.left_out:
        were = "were" if len(stats.left_out) > 1 else "was"
        yield f"{_counted(len(stats.left_out), stats.kind)} could not be used and {were} left out."
    if stats.defective:
        were = "was" if stats.defective == 1 else "were"
        many = stats.defective > _MANY_DEFECTS * (stats.rows + stats.defective)
        asked = ". Is the encoding another one (--encoding cp1252)?" if many else "."
        yield f"{rows_of(stats.defective)} could not be read and {were} left out{asked}"
    if not stats.key:
        reason = _no_key(stats)
        yield f"No key: {reason}{'?' if stats.within else '.'}"
    elif len(stats.key) > 1:
        key = _and(list(map(shown, stats.key)))
        yield f"{key} together tell {of(stats.rows - stats.repeats, stats.rows)} rows apart{_across(stats)}: the key?"


def _across(stats: TableStats) -> str:
    return f", in each {stats.kind} and across them" if stats.batches > 1 else ""


def _no_key(stats: TableStats) -> str:
    """Why none is proposed."""
    if stats.rows < 2:
        return f"{rows_of(stats.rows)} cannot show one"
    if stats.within and stats.batches == 1:
        key, tell = _and(list(map(shown, stats.within))), "tells" if len(stats.within) == 1 else "together tell"
        return f"{key} {tell} the rows apart, which in one {stats.kind} may be chance: is it the key"
    if stats.within:
        key, verb = _and(list(map(shown, stats.within))), "come" if len(stats.within) > 1 else "comes"
        return (
            f"{key} {'tell' if len(stats.within) > 1 else 'tells'} the rows of each {stats.kind} apart, but {verb} again in "
            f'others: is each {stats.kind} the whole state (mode="snapshot"), or does a later row replace an earlier one'
        )
    apart = [shown(one.name) for one in stats.columns if one.distinct == one.present == stats.rows]
    if apart:
        verbs = ("tells", "is") if len(apart) == 1 else ("tell", "are")
        return f"{', '.join(apart)} {verbs[0]} the rows apart, but {verbs[1]} not of the kind that a key is"
    if stats.rows < FEW_ROWS:
        return "no column tells these few rows apart"
    return "neither a column nor two or three of them together tell the rows apart"


def column_evidence(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    """What the batches show of a column, each sentence with the question that it asks."""
    if column.rows and not column.present:
        yield f"No values in {rows_of(column.rows)}: the type is a guess."
    if column.optional:
        yield f"In {of(stats.batches - column.optional, stats.batches)} {stats.kinds} only: is it optional?"
    for types in (types for name, types in stats.types if name == column.name):
        yield (
            "Of several types: "
            + ", ".join(f"{dtype} in {_counted(count, stats.kind)}" for dtype, count in types)
            + "."
        )
    if column.dtype == pl.String and column.other_kinds:
        others = of(column.other_kinds, column.present)
        yield f"{others} values are JSON numbers, arrays or the like: text all the same?"
    if stats.key == (column.name,):
        different = of(column.present - stats.repeats, column.present)
        yield f"{different} values are distinct{_across(stats)}: the key?" + (
            f" {rows_of(stats.repeats)} repeat a value and would leave." if stats.repeats else ""
        )
        if stats.rows < FEW_ROWS:
            yield f"{rows_of(stats.rows)} prove little: more may repeat a value."
    yield from _nulls(column, stats)
    yield from _forms(column, stats)
    if column.nan:
        yield f"{of(column.nan, column.present)} values are NaN and would leave{_where(column, 'nan', stats)}."
    if column.pii is not None:
        yield f"Looks like {PII[column.pii]} ({column.pii_share:.0%} of a sample): personal data?"
    for count, what, name in ((column.blank, "blank", "blank"), (column.emails, "with an e-mail address", "emails")):
        if count and column.pii != "email":
            yield f"{of(count, column.present)} texts are {what}{_where(column, name, stats)}."
    if column.cards and column.pii != "card":
        yield f"{of(column.cards, column.present)} texts are with a payment-card number{_where(column, 'cards', stats)}."
    if column.format is not None:
        fitting = of(column.present - column.format_misfits, column.present)
        others = _others(column, "format_misfits", stats) if column.format_misfits else ""
        yield f"{fitting} values are written as the format says: all?{others}"
    if column.pattern is not None:
        matching = column.present - column.pattern_misfits
        others = _others(column, "pattern_misfits", stats) if column.pattern_misfits else ""
        yield f"{of(matching, column.present)} values have this form: all?{others}"
    yield from _units(column)
    if column.values:
        yield from _values(column, stats)
    yield from _range(column, stats)


def _nulls(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.nulls:
        nulls = f"Null in {of(column.nulls, column.rows)} rows{_where(column, 'nulls', stats)}"
        yield (
            f"{nulls}."
            if column.nullable
            else f"{nulls}, at most {NULLS:.1%}, and in few {stats.kinds}: defects? They would leave."
        )
    if column.absent:
        where = _where(column, "absent", stats)
        yield f"{of(column.absent, column.rows)} texts are listed as `missing`{where}: do they mean that there is no value?"
    if column.whole_so_far:
        code = ", or codes without their zeros in front (then str)" if may_be_short_code(column) else ""
        yield f"All were whole so far, but only {column.distinct:,} different numbers came: float, or int for good{code}?"


def _forms(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.shapes:
        read = of(column.present - column.misfits, column.present)
        yield f"{read} values are written in this form, like {', '.join(map(repr, column.shapes))}: always?"
    if column.written.true_values:
        yield f"{of(column.present - column.misfits, column.present)} values are the words listed: true and false?"
    if column.rivals:
        yield f"Texts fit {' or '.join(column.rivals)}, to other values: which is meant?"
    if column.mixed:
        forms = ", ".join(f"{form} in {rows_of(count)}" for form, count in column.mixed)
        yield f"Several forms: {forms}. Ask the upstream for one."
    if column.misfits:
        others = _like(column, "misfits")
        where = _where(column, "misfits", stats)
        yield f"{of(column.misfits, column.present)} values are not of this type{others} and would leave{where}."
    if column.naive:
        yield f"{of(column.naive, column.present)} times have no zone: UTC?"
    yield from _lost_zeros(column)


def _lost_zeros(column: ColumnStats) -> Iterator[str]:
    """Names made of digits, of which a spreadsheet made numbers: all, or some."""
    some = of(column.shorter, column.present)
    if column.dtype == pl.String and column.shorter:
        yield (
            f"Digits, some with zeros in front; {some} values are shorter and have none: were they lost, as in a "
            "spreadsheet? Ask the upstream for the text."
        )
    if not is_perhaps_code(column, from_zero=never_negative(column)):
        return
    if column.high < LEAST_CODE:
        digits = f"From {len(str(column.low))} to {len(str(column.high))} digits: were zeros in front lost?"
    else:
        lost = f", and {some} one less: were zeros in front lost?" if column.shorter else "."
        digits = f"Most have {len(str(column.high))} digits{lost}"
    yield f"{digits} Codes with leading zeros are texts: then declare it as str, and ask the upstream for the text."


def _units(column: ColumnStats) -> Iterator[str]:
    if not column.units:
        return
    named = ", ".join(f"{unit!r} in {rows_of(count)}" for unit, count in column.units[:5])
    more = f" and {len(column.units) - 5} more" if len(column.units) > 5 else ""
    yield f"Numbers with {len(column.units)} spellings of units: {named}{more}."
    if not are_standard(column.units):
        yield 'Which units are meant? Ask the upstream for one spelling of each, then declare format="unit:…".'


def _values(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    each = rows_of(column.present // len(column.values))
    if column.closed:
        yield (
            f"{len(column.values)} values, each in {each} on average: all there are? The last half of {stats.batches:,} "
            f"{stats.kinds} had {_no_or_few(column)} new ones."
        )
    else:
        few = len(column.values) <= _MOST_NAMED
        listed = f" Then isin=[{', '.join(map(quoted, column.values))}]." if few else ""
        seen = f"seen in {_counted(stats.batches, stats.kind)}" if stats.batches < BATCHES else _not_closed(column)
        yield f"{_counted(len(column.values), 'value')}, each in {each} on average, {seen}: all there are?{listed}"
    if alike := _alike(column.values):
        yield f"Nearly alike are {' and '.join(map(quoted, alike))}: one value in two spellings?"
    for value, meant, rows in column.doubtful:
        leave = "is not listed and would leave" if column.closed else "is not listed"
        yield (
            f"{quoted(value)} in {rows_of(rows)} is nearly {quoted(meant)}: a slip? It {leave}."
            if meant
            else f"{quoted(value)} in {rows_of(rows)}: no value? Then missing=({quoted(value)},). It {leave}."
        )
    if column.unlisted:
        leave = "which are not listed and would leave" if column.closed else "which are not listed"
        where = _where(column, "unlisted", stats)
        yield f"{of(column.unlisted, column.present)} rows have other, rare values{_like(column, 'unlisted')}, {leave}{where}."


def _not_closed(column: ColumnStats) -> str:
    return "but new or rare ones come" if len(column.values) > 1 else "and no other one"


def _alike(values: Sequence[str]) -> tuple[str, ...]:
    """The first values that differ only in case, accents, spaces or punctuation."""
    forms: dict[str, list[str]] = {}
    for value in values:
        letters = unicodedata.normalize("NFKD", value.casefold())
        forms.setdefault("".join(letter for letter in letters if letter.isalnum()), []).append(value)
    return next((tuple(same) for form, same in forms.items() if form and len(same) > 1), ())


def _no_or_few(column: ColumnStats) -> str:
    return "hardly any" if column.unlisted else "no"


def _range(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.low is None:
        return
    seen = f"Seen from {column.low} to {column.high}"
    if column.bounds is not None:
        yield f"{seen}; each half of {stats.batches:,} {stats.kinds} keeps this range, which has room to both sides: right?"
    elif never_negative(column):
        yield f"{seen}; only the sign is made a rule."
    else:
        yield f"{seen}; the range is not made a rule."
    if column.negative and never_negative(column):
        yield f"{of(column.negative, column.present)} values are negative and would leave{_where(column, 'negative', stats)}."


def never_negative(column: ColumnStats) -> bool:
    """Whether a lower bound of zero is proposed: the name is that of a count or an amount, and nearly no value is below."""
    measured = column.dtype.is_numeric() and not column.dtype.is_unsigned_integer() and column.low is not None
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.name).lower())
    return measured and any(map(_FROM_ZERO.fullmatch, words)) and column.negative <= (1 - SHARE) * column.present


def _where(column: ColumnStats, kind: str, stats: TableStats) -> str:
    """In which batches something is, where there are several."""
    tally = column.tallies.get(kind)
    if tally is None or stats.batches == 1 or not tally.count:
        return ""
    most = f", at most {_share(tally.most)} of one" if tally.most else ""
    return f" (in {of(tally.batches, stats.batches)} {stats.kinds}{most})"


def _others(column: ColumnStats, kind: str, stats: TableStats) -> str:
    return f" The others{_like(column, kind)} would leave{_where(column, kind, stats)}."


def _like(column: ColumnStats, kind: str) -> str:
    examples = column.tallies[kind].examples if kind in column.tallies else ()
    return f" (like {', '.join(map(repr, examples))})" if examples else ""


def quoted(text: str) -> str:
    """A text as a Python string, in double quotes where that needs no escapes."""
    if not text.isprintable() or '"' in text or text.endswith("\\"):
        return repr(text)
    return f'r"{text}"' if "\\" in text else f'"{text}"'


def shown(name: str) -> str:
    """A column's name in a comment, where a line break would end the comment."""
    return name if name.isidentifier() else repr(name)


def rows_of(count: int) -> str:
    return _counted(count, "row")


def of(count: int, total: int) -> str:
    """A count of a total, with its share where that says more than the numbers."""
    share = f" ({_share(count / total)})" if 0 < count < total and total >= 100 else ""
    return f"{count:,} of {total:,}{share}"


def _share(share: float) -> str:
    return f"{share:.1%}" if 0.001 <= share <= 0.999 or share in (0, 1) else "<0.1%" if share < 0.5 else ">99.9%"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what if count == 1 else plural_of(what)}"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
