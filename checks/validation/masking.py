"""Personal data out of what people look at: previews and log lines."""

import re
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from assay.checks.contract.contract import Contract, compiled
from assay.checks.text.predicates import card_spans
from assay.checks.validation.parse import held
from assay.own_columns import is_link

PREVIEW_ROWS = 10
READER_COLUMNS = ("_defect", "_line")

# What `predicates.EMAIL` finds, in parts that are looked for from each "@": a search for the whole takes, of a long text without
# one, time that grows with the square of its length. Of [^\W\d_], every character is a letter.
_LOCAL = re.compile(r"[\w.%+\-]++")
_DOMAIN = re.compile(r"[\w\-]++(?:\.[\w\-]++)*+")
_TOP_LEVEL = re.compile(r"\.[^\W\d_]{2,}+")
#: International (+…), with an area code in brackets, or 3-3-4. Bare digit runs are left alone: most of them are ids.
_PHONE = re.compile(
    r"\+[0-9](?:[ ().\-/]{0,2}[0-9]){6,14}"
    r"|\([0-9]{2,5}\)[ \-]?[0-9]{3,4}[ \-]?[0-9]{3,4}"
    r"|(?<![0-9])[0-9]{3}[\-. ][0-9]{3}[\-. ][0-9]{4}(?![0-9])"
)

#: The most characters of a cell that are shown.
SHOWN = 500

_FAR = "‹outside of the years 1 to 9999›"


def redact(text: str) -> str:
    """The text with e-mail addresses, payment-card numbers and phone numbers replaced, for log lines."""
    return _PHONE.sub("‹phone›", _without_cards_and_emails(text))


def mask(frame: pl.DataFrame, contract: type[Contract] | None) -> pl.DataFrame:
    """The rows with personal data masked; null stays null.

    Free text, the reader's raw line and columns that the contract does not know show only how long they are. Other text of
    the contract is shown with e-mail addresses and card numbers redacted, since a broken row may hold them anywhere; a long
    text is cut.

    Args:
        frame: Rows of a batch, clean or quarantined.
        contract: Says which class of personal data each column holds. None: no column is known.

    Returns:
        As many rows, with the same columns.
    """
    return mask_classes(frame, classes_of(contract))


def classes_of(contract: type[Contract] | None) -> dict[str, str | None]:
    """The class of personal data of each column that the contract knows. None: no column is known."""
    return {column.name: column.options.pii for column in compiled(contract).columns} if contract is not None else {}


def mask_classes(frame: pl.DataFrame, classes: Mapping[str, str | None]) -> pl.DataFrame:
    """The same by the class of each column; one that is not named is masked like free text."""
    return frame.with_columns(
        _masked(pl.col(name), dtype, _class_of(name, classes)) for name, dtype in frame.schema.items()
    )


def defect_columns(frame: pl.DataFrame) -> list[str]:
    """The reader's columns about records that it could not read, where there are any: of such a record nothing else is known."""
    return [name for name in READER_COLUMNS if name in frame.columns and frame[name].null_count() < frame.height]


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as Python can hold them: a column in which a date or time is of another year than 1 to 9999, as in quarantine,
    becomes text, and such a value is named, not shown."""
    texts = []
    for name, dtype in frame.schema.items():
        kept = frame.select(held(pl.col(name), dtype)).to_series()
        if kept.null_count() > frame[name].null_count():
            values = zip(kept.to_list(), frame[name].is_null(), strict=True)
            texts.append(pl.Series(name, [None if null else _FAR if one is None else str(one) for one, null in values]))
    return frame.with_columns(texts)


def _class_of(name: str, classes: Mapping[str, str | None]) -> str | None:
    if name in classes:
        return classes[name]
    return "free_text" if name == "_line" or not is_link(name) else "link"


def _masked(value: pl.Expr, dtype: pl.DataType, pii: str | None) -> pl.Expr:
    if pii == "link":
        return value
    if pii == "free_text":
        size = _size_of(value) if dtype == pl.String else pl.lit(f"‹{_kind_of(dtype)}›")
        return pl.when(value.is_not_null()).then(size).alias(value.meta.output_name())
    if pii is not None:
        return pl.when(value.is_not_null()).then(pl.lit(f"‹{pii}›")).alias(value.meta.output_name())
    if dtype == pl.String:
        return value.map_elements(_shown, return_dtype=pl.String)
    if dtype == pl.List(pl.String):
        return value.list.eval(pl.element().map_elements(_shown, return_dtype=pl.String))
    return value


def _size_of(text: pl.Expr) -> pl.Expr:
    characters, words = text.str.len_chars(), text.str.count_matches(r"\S+")
    ending = [pl.when(number == 1).then(pl.lit("")).otherwise(pl.lit("s")) for number in (characters, words)]
    return pl.format("‹text: {} character{}, {} word{}›", characters, ending[0], words, ending[1])


def _kind_of(dtype: pl.DataType) -> str:
    """Of what is no text: how long it is would say what it is."""
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Boolean:
        return "yes or no"
    return "time" if dtype.is_temporal() else "value"


def _shown(text: str) -> str:
    """What people see of a text. It is cut last, so that no part of what is redacted is left over."""
    redacted = _without_cards_and_emails(text)
    return redacted if len(redacted) <= SHOWN else f"{redacted[:SHOWN]}…"


def _without_cards_and_emails(text: str) -> str:
    without_cards = _replaced(text, card_spans(text), "‹card›")
    return _replaced(without_cards, _email_spans(without_cards), "‹email›")


def _replaced(text: str, spans: Iterable[tuple[int, int]], by: str) -> str:
    parts, done = [], 0
    for start, end in spans:
        parts += text[done:start], by
        done = end
    return "".join([*parts, text[done:]])


def _email_spans(text: str) -> Iterator[tuple[int, int]]:
    done = 0  # where the address or "@" before ends
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.match(text[done:at][::-1])
        domain = _DOMAIN.match(text, at + 1)
        ends = [found.end() for found in _TOP_LEVEL.finditer(text, *domain.span())] if domain else []
        if local and ends:
            yield at - local.end(), ends[-1]
        done = ends[-1] if local and ends else at + 1
        at = text.find("@", done)
