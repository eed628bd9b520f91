"""How one text may have come from another by a slip: one edit of a letter, or another case, space or sign."""

import re

_SEPARATORS = re.compile(r"[\W_]+")


def normal_form(text: str) -> str:
    """A text without case, spaces and punctuation."""
    return _SEPARATORS.sub("", text).casefold()


def edit_kind(rare: str, frequent: str) -> str | None:
    """How the rare value may have come from the frequent one by one edit; None if not, or if they may well be two values.

    form: case, spaces, punctuation. foreign: a letter where a digit was, or the other way round. letter: another letter.
    """
    if rare == frequent:
        return None
    if normal_form(rare) == normal_form(frequent):
        return "form" if len(normal_form(rare)) > 1 else None
    start = 0
    while start < min(len(rare), len(frequent)) and rare[start] == frequent[start]:
        start += 1
    end = 0
    while end < min(len(rare), len(frequent)) - start and rare[-1 - end] == frequent[-1 - end]:
        end += 1
    ours, theirs = rare[start : len(rare) - end], frequent[start : len(frequent) - end]
    swapped = len(ours) == 2 and ours == theirs[::-1]
    if max(len(ours), len(theirs)) > 1 and not swapped:
        return None
    if all(c.isdigit() for c in ours + theirs):
        return None
    if len(ours) == len(theirs) == 1 and ours.isdigit() != theirs.isdigit():
        # "1a" and "11": of a code with letters of its own each may be another one.
        return "foreign" if ours.isalpha() or theirs.isalpha() else None
    if min(len(rare), len(frequent)) < 2 or _is_token(rare, start, end) or _is_token(frequent, start, end):
        return None
    if (not ours and theirs == "s" and not end) or (not theirs and ours == "s" and not end):
        return None  # a plural
    return "letter"


def _is_token(text: str, start: int, end: int) -> bool:
    """Whether what differs is a word of a letter or two within the text (Type A and Type B), which tells two values apart."""
    stop = len(text) - end
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while stop < len(text) and text[stop].isalnum():
        stop += 1
    return 0 < stop - start <= 2 and stop - start < len(text)
