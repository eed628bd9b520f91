"""Where the files of a source lie: a pattern of paths, and of each path the partition that it belongs to. Nothing here looks at a
disk.

A pattern has the wildcards of `glob`, and placeholders: `{day}`, `{hour}`, `{week}`, `{month}`, `{key}` and `{partition}`, in
names of folders and of files, as often as needed. A placeholder is written as the key of its kind is (`2026-09-01`), or as it
says itself, with the letters of `strftime`: `{day:%Y/%m/%d}`. What all of them say together names one moment, and a file
belongs to the partition that the moment is in: so hourly files may make daily batches, but not the other way round.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from os.path import commonprefix  # of texts, as it is meant here

from assay.assets.sources.file_names import UNFINISHED, suffix_of
from assay.assets.sources.landing.pattern import (
    AGAIN,
    KEY,
    Token,
    regex_of,
    require_fitting,
    require_pattern,
    tokens_of,
)
from assay.features.tables.partitioning import Partitioning

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Component:
    """The name of a folder, or of a file, in a pattern.

    Attributes:
        tokens: its parts.
        fits: whether a name is one of these.
        fits_loosely: the same, whatever the placeholders say.
        names: all names there are, where the pattern gives them all.
    """

    tokens: tuple[Token, ...]
    fits: Callable[[str], object]
    fits_loosely: Callable[[str], object]
    names: frozenset[str] | None = None

    @property
    def any_depth(self) -> bool:
        """Whether it stands for any number of folders."""
        return self.tokens == (Token("glob", "**"),)

    @property
    def is_key(self) -> bool:
        """Whether it is the key of a partition, and nothing else."""
        return self.tokens == (Token("part", KEY),)

    @property
    def is_placed(self) -> bool:
        """Whether it says anything of the partition."""
        return any(token.kind == "part" for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a source's files, below the folder `top` of the landing folder. Paths are relative to that.

    Whoever walks through folders carries along which components of the pattern may come next (`start`, `entered`).
    """

    pattern: str
    partitioning: Partitioning
    top: str = field(compare=False)
    components: tuple[Component, ...] = field(compare=False, repr=False)
    depth: int | None = field(compare=False, repr=False)  # so many components say the partition; None: the whole path
    _whole: "re.Pattern[str]" = field(compare=False, repr=False)

    @property
    def by_file(self) -> bool:
        """Whether a file's own name says the partition, or may."""
        return self.depth in (None, len(self.components))

    @property
    def is_deep(self) -> bool:
        """Whether it looks into folders of any depth, and so follows no links there."""
        return any(one.any_depth for one in self.components)

    # -- walking ---------------------------------------------------------------------------------------------------

    @property
    def start(self) -> tuple[int, ...]:
        return self._opened([0])

    def entered(
        self, states: Sequence[int], name: str, *, is_link: bool = False, loosely: bool = False
    ) -> tuple[int, ...]:
        """Which components may come next in a folder of this name; none: nothing of the source is in it."""
        found = list[int]()
        for at in states:
            component = self.components[at]
            if component.any_depth:
                found += [] if is_link else [at]
            elif at < len(self.components) - 1 and (component.fits_loosely if loosely else component.fits)(name):
                found.append(at + 1)
        return self._opened(found)

    def takes(self, states: Sequence[int], name: str, *, loosely: bool = False) -> bool:
        """Whether the name is one of the source's files, as far as the component says."""
        last = len(self.components) - 1
        component = self.components[last]
        return last in states and bool((component.fits_loosely if loosely else component.fits)(name))

    def _opened(self, states: Iterable[int]) -> tuple[int, ...]:
        found = list(states)
        for at in found:
            if self.components[at].any_depth and at + 1 not in found:
                found.append(at + 1)
        return tuple(dict.fromkeys(found))

    # -- the partition of a path ------------------------------------------------------------------------------------

    def key_of(self, path: str) -> str | None:
        """The partition of a file, or of a folder in which all is of one; None: the path says none."""
        if self.depth is not None and self.depth < len(self.components):
            parts = path.split("/", self.depth)
            if len(parts) < self.depth:
                return None
            path = "/".join(parts[: self.depth])
        return _key_of(self, path)

    def leads(self, path: str) -> bool:
        """Whether a folder that was entered is of a partition, or may hold some."""
        return self.depth is None or path.count("/") + 1 < self.depth or self.key_of(path) is not None

    def file_key(self, path: str) -> str | None:
        """The partition of a path of the landing folder, also of an unfinished file; None: it is none of the source's."""
        if not path.startswith(self.top):
            return None
        *folders, name = path[len(self.top) :].split("/")
        states = self.start
        for folder in folders:
            states = self.entered(states, folder)
        name = finished(name)
        return self.key_of("/".join([*folders, name])) if self.takes(states, name) else None

    def may_hold(self, folder: str) -> bool:
        """Whether files of the source may be in a folder of the landing folder, or below it."""
        path = f"{folder}/"
        if self.top.startswith(path):
            return True
        states = self.start
        for name in path[len(self.top) : -1].split("/"):
            states = self.entered(states, name)
        return path.startswith(self.top) and bool(states)

    # -- one partition ---------------------------------------------------------------------------------------------

    def near(self, key: str) -> "Places":
        """The same places, with the names that folders have in one partition, where the pattern gives them all."""
        values, last = _values(self, key), len(self.components) - 1
        near = [one if at == last else _named(one, values) for at, one in enumerate(self.components)]
        return replace(self, components=tuple(near))

    def stem(self, key: str) -> str:
        """What the paths of all files of a partition, and of what will be one, begin with in the landing folder."""
        near, values, stem = self.near(key), _values(self, key), self.top
        for at, component in enumerate(near.components):
            if at < len(near.components) - 1 and component.names is not None:
                if len(component.names) == 1:
                    stem += f"{next(iter(component.names))}/"
                    continue
                return stem + commonprefix(sorted(component.names))  # noqa: RUF071 - any prefix of texts, no path
            return stem + commonprefix([_beginning(component, one) for one in values])  # noqa: RUF071 - as above
        return stem

    def example(self, key: str) -> str:
        """A path of the landing folder where files of a partition lie."""
        values = _values(self, key)[0]
        return self.top + "/".join("".join(_shown(one, values) for one in c.tokens) for c in self.components)


def finished(name: str) -> str:
    """The name that an unfinished file will have."""
    end = next((end for end in UNFINISHED if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]


@lru_cache(maxsize=512)
def places_of(pattern: str, partitioning: Partitioning) -> Places:
    """The places of a pattern for these partitions. Raises AssayError where its placeholders do not say of which partition a
    file is."""
    require_pattern(pattern)
    tokens = tokens_of(pattern, partitioning)
    require_fitting(pattern, tokens, partitioning)
    names: list[list[Token]] = [[]]
    for token in tokens:
        if token is None:
            names.append([])
        else:
            names[-1].append(token)
    if names[-1] == [Token("glob", "**")]:
        names.append([Token("glob", "*")])
    fixed = next(at for at, name in enumerate(names) if at == len(names) - 1 or any(one.kind != "text" for one in name))
    top = "".join(f"{name[0].text}/" for name in names[:fixed])
    names = names[fixed:]
    last = len(names) - 1
    components = tuple(
        Component(
            tuple(name),
            re.compile(regex_of(name, partitioning, is_file=at == last), re.DOTALL).fullmatch,
            re.compile(regex_of(name, partitioning, is_file=at == last, loosely=True), re.DOTALL).fullmatch,
        )
        for at, name in enumerate(names)
    )
    depth = max(at for at, one in enumerate(components) if one.is_placed) + 1
    deep = any(one.any_depth for one in components[:depth])
    length = len(components) if deep else depth
    seen, whole = set[str](), ""
    for at, name in enumerate(names[:length]):
        if components[at].any_depth:
            whole += "(?:[^/]+/)*"
            continue
        whole += regex_of(name, partitioning, is_file=at == last, seen=seen) + ("/" if at < length - 1 else "")
    return Places(pattern, partitioning, top, components, None if deep else depth, re.compile(whole, re.DOTALL))


def _named(component: Component, values: Sequence[Values]) -> Component:
    if any(
        token.kind == "glob" or (token.kind == "part" and token.text not in values[0]) for token in component.tokens
    ):
        return component
    names = frozenset("".join(_shown(token, one) for token in component.tokens) for one in values)
    return replace(component, fits=names.__contains__, names=names)


def _beginning(component: Component, values: Values) -> str:
    """What all names of a component begin with. A revision comes before the suffix, whose case does not matter."""
    text = ""
    for at, token in enumerate(component.tokens):
        if token.kind == "glob" or (token.kind == "part" and token.text not in values):
            return text
        shown = _shown(token, values)
        is_end = at == len(component.tokens) - 1 and token.kind == "text"
        text += shown[: len(shown) - len(suffix_of(f"x{shown}"))] if is_end else shown
    return text


def _shown(token: Token, values: Values) -> str:
    return token.text if token.kind != "part" else values.get(token.text, "" if token.text == AGAIN else "*")


# -- keys and moments -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _key_of(places: Places, path: str) -> str | None:
    match = places._whole.fullmatch(path)
    if match is None:
        return None
    fields = match.groupdict()
    key = fields.get(KEY) or _key_of_fields(fields, places.partitioning)
    return key if key is not None and places.partitioning.is_key(key) else None


def _key_of_fields(fields: Mapping[str, str], partitioning: Partitioning) -> str | None:
    """The partition that the moment is in, of which these are the fields of strftime; None: there is no such moment."""
    try:
        day = _day_of_fields(fields)
    except ValueError:
        return None
    if any(day.strftime(f"%{letter}") != text for letter, text in fields.items() if letter in "YymdjGVu" and text):
        return None
    match partitioning.kind:
        case "hourly":
            return f"{day}-{fields['H']}{fields.get(AGAIN, '')}"
        case "weekly":
            return str(day - timedelta(days=day.weekday()))
        case "monthly":
            return f"{day:%Y-%m}"
    return str(day)


def _day_of_fields(fields: Mapping[str, str]) -> date:
    """A day of the moment; where only its week or month is given, one that is in it. Raises ValueError."""
    year = fields.get("Y") or _century(fields.get("y", ""))
    if "m" in fields and ("Y" in fields or "y" in fields):
        return date(int(year), int(fields["m"]), int(fields.get("d", 1)))
    if "j" in fields:
        return datetime.strptime(f"{year} {fields['j']}", "%Y %j").date()  # noqa: DTZ007 - a day has no zone
    return date.fromisocalendar(int(fields["G"]), int(fields["V"]), int(fields.get("u", 1)))


def _century(two: str) -> str:
    """Two digits of a year are 1969 to 2068, as POSIX has it, and as written forms are read."""
    return f"{'19' if two >= '69' else '20'}{two}"


@lru_cache(maxsize=4096)
def _values(places: Places, key: str) -> tuple[Values, ...]:
    """What the placeholders say in a partition, for each of its days where they differ. What may be anything is left out."""
    used = {token.text for one in places.components for token in one.tokens if token.kind == "part"}
    if KEY in used:
        return ({KEY: key},)
    first, days = date.fromisoformat(key[:10] if len(key) > 7 else f"{key}-01"), 1
    kind = places.partitioning.kind
    if kind == "weekly" and used & set("Yymdju"):
        days = 7
    elif kind == "monthly" and used & set("jGVu"):
        days = monthrange(first.year, first.month)[1]
    elif kind == "monthly":
        used -= {"d"}
    letters = [letter for letter in used if letter in "YymdjGVu"]
    hour = {"H": key[11:13], AGAIN: key[13:]} if kind == "hourly" else {}
    found = [{letter: day.strftime(f"%{letter}") for letter in letters} | hour for day in _days(first, days)]
    return tuple({tuple(sorted(one.items())): one for one in found}.values())


def _days(first: date, count: int) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(count))
