"""How a pattern of places is written: its parts, and the regular expression of a name.

See `places` for what it means.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from assay.assets.sources.file_names import suffix_of
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

_PLACEHOLDER = re.compile(r"\{(day|hour|week|month|partition|key)(?::([^{}]*))?\}")
_TOKEN = re.compile(
    rf"(?P<placeholder>{_PLACEHOLDER.pattern})|(?P<glob>\*+|\?|\[[^\]/]+\])|(?P<slash>/)|(?P<text>[^*?\[/{{}}]+|\[)"
)
_WHOLE = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "static": "key"}
_FORMS = {
    "hourly": "[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}[b-z]?",
    "daily": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "weekly": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "monthly": "[0-9]{4}-[0-9]{2}",
}
KEY, AGAIN = "key", "again"
_TWO = "[0-9]{2}"
_LETTERS = {
    "Y": "[0-9]{4}", "y": _TWO, "m": _TWO, "d": _TWO, "j": "[0-9]{3}", "G": "[0-9]{4}", "V": _TWO, "u": "[1-7]",
    "H": "(?:[01][0-9]|2[0-3])", "M": "[0-5][0-9]", "S": "[0-5][0-9]",
    AGAIN: "[b-z]?",  # of an hour that the clocks show again
}  # fmt: skip
_USUAL = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H", "month": "%Y-%m"}
_REVISION = r"(?:\.r[1-9][0-9]*)?"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Literal["text", "glob", "part"]
    text: str  # of a part: a letter of strftime, or `key`


def require_pattern(pattern: str) -> None:
    """Raise AssayError for a text that is no pattern of places, whatever the partitions are."""
    like = "write it like 'tickets/{day}/*' or 'shop/orders_{day}.csv'"
    if "://" in pattern:
        raise AssayError(
            f"{pattern!r} is an address, and a pattern is relative to one. Declare Files('tickets/{{day}}/*', …, "
            "connection='drops'), and set ASSAY_CONNECTIONS__DROPS__URL to the address, such as s3://bucket/prefix."
        )
    # What a placeholder says itself is a part of the path, too.
    spelt = re.sub("%.", "x", _PLACEHOLDER.sub(lambda match: match[2] or "x", pattern))
    if spelt.startswith("/") or ".." in PurePosixPath(spelt).parts:
        raise AssayError(f"{pattern!r} leaves the landing folder; {like}")
    matches = list(_TOKEN.finditer(pattern))
    if "".join(match[0] for match in matches) != pattern or "//" in spelt or spelt.endswith("/"):
        raise AssayError(f"{pattern!r} is not a landing pattern; {like}")
    if not any(match["placeholder"] for match in matches):
        raise AssayError(
            f"{pattern!r} is not a landing pattern: nothing in it says of which partition a file is; {like}"
        )
    last = matches[-1]
    if not last["glob"] and (last["text"] is None or not suffix_of(f"x{last['text']}")):
        raise AssayError(
            f"{pattern!r} is not a landing pattern: it ends without the suffix of a file; end it with * or a suffix such as "
            f".csv, like 'shop/orders_{{day}}.csv'"
        )
    for match in matches:
        for letter in re.findall("%(.?)", match[3] or ""):
            if letter not in _LETTERS:
                known = ", ".join(f"%{one}" for one in _LETTERS if len(one) == 1)
                raise AssayError(f"{pattern!r}: %{letter} says nothing of a partition here; there are {known}")
        if match["placeholder"] and match[3] is not None and (match[2] in ("key", "partition") or "%" not in match[3]):
            raise AssayError(
                f"{pattern!r}: {match[0]} cannot be spelt otherwise; write {{{match[2]}}}, or {{day:%Y%m%d}}"
            )
        if match["placeholder"] and any(sign in (match[3] or "") for sign in "*?["):
            raise AssayError(f"{pattern!r}: {match[0]} has a wildcard in it; put it beside the placeholder")


def tokens_of(pattern: str, partitioning: Partitioning) -> list[Token | None]:
    """The parts of a pattern; None: a slash. A key that stands alone is one part; beside others it is what it says."""
    matches = list(_TOKEN.finditer(pattern))
    whole = _WHOLE.get(partitioning.kind)
    alone = all(match[3] is None and match[2] in ("partition", whole) for match in matches if match["placeholder"])
    found: list[Token | None] = []
    for match in matches:
        kind = (whole or "day") if match[2] == "partition" else match[2]
        if match["slash"]:
            found.append(None)
        elif match["glob"]:
            found.append(Token("glob", match[0]))
        elif match["text"]:
            found.append(Token("text", match[0]))
        elif kind == "key" or alone:
            found.append(Token("part", KEY))
        elif match[3] is None and kind == "week" != whole:
            raise AssayError(f"{pattern!r}: beside {partitioning} a week has no usual form; write {{week:%G-W%V}}.")
        else:
            found += _spelt(_USUAL["day" if kind == "week" else kind] if match[3] is None else match[3])
            if match[3] is None and kind == "hour":
                found.append(Token("part", AGAIN))
    return found


def _spelt(form: str) -> Iterator[Token | None]:
    for part in re.findall("%.|/|[^%/]+", form):
        if part == "/":
            yield None
        else:
            yield Token("part", part[1]) if part[0] == "%" else Token("text", part)


def require_fitting(pattern: str, tokens: Sequence[Token | None], partitioning: Partitioning) -> None:
    parts = {token.text for token in tokens if token is not None and token.kind == "part"}
    whole = _WHOLE.get(partitioning.kind)
    if whole is None:
        raise AssayError(
            f"{pattern!r} says of which partition a file is, but the source has none: declare its partitioning."
        )
    if "{key}" in pattern and whole != "key":
        raise AssayError(
            f"{pattern!r}: {{key}} is a fixed key, and the source has {partitioning}; write * for any name."
        )
    if parts == {KEY}:
        return
    year = bool(parts & {"Y", "y"})
    day = (year and ({"m", "d"} <= parts or "j" in parts)) or {"G", "V", "u"} <= parts
    enough = {
        "hourly": day and "H" in parts,
        "daily": day,
        "weekly": day or {"G", "V"} <= parts,
        "monthly": day or (year and "m" in parts),
    }
    if not enough.get(partitioning.kind, False):
        other = {"hour": " (or {day}/{hour:%H})", "key": " (and * for what is a time)"}.get(whole, "")
        problem = f"does not say of which {whole} a file is, and the source has {partitioning}"
        raise AssayError(f"{pattern!r} {problem}; write {{{whole}}}{other}.")


def regex_of(
    tokens: Sequence[Token],
    partitioning: Partitioning,
    *,
    is_file: bool,
    loosely: bool = False,
    seen: set[str] | None = None,
) -> str:
    """How a name looks. A placeholder that occurs twice has the same text twice; a file may be a revision, and the case of its
    suffix does not matter."""
    seen = set() if seen is None else seen
    texts = list[str]()
    suffix = suffix_of(f"x{tokens[-1].text}") if is_file and tokens[-1].kind == "text" else ""
    for at, token in enumerate(tokens):
        if suffix and at == len(tokens) - 1:
            stem = token.text[: len(token.text) - len(suffix)]
            open_ended = not stem and at > 0 and tokens[at - 1].kind == "glob"
            texts.append(f"{re.escape(stem)}{'' if open_ended else _REVISION}(?i:{re.escape(token.text[len(stem) :])})")
        elif token.kind == "text":
            texts.append(re.escape(token.text))
        elif token.kind == "glob":
            texts.append(_glob(token.text))
        elif loosely:
            texts.append("[^/]*")
        elif token.text in seen:
            texts.append(f"(?P={token.text})")
        else:
            seen.add(token.text)
            texts.append(f"(?P<{token.text}>{_looks(token.text, partitioning)})")
    return "".join(texts)


def _looks(part: str, partitioning: Partitioning) -> str:
    if part != KEY:
        return _LETTERS[part]
    if partitioning.kind == "static":  # the longest first: one may begin like another
        return "|".join(re.escape(key) for key in sorted(partitioning.keys, key=len, reverse=True))
    return _FORMS[partitioning.kind]


def _glob(text: str) -> str:
    if text.startswith("*"):
        return "[^/]*"
    if text == "?":
        return "[^/]"
    return fnmatch.translate(text).removeprefix("(?s:").removesuffix(r")\Z")
