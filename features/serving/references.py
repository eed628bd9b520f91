"""Feature references: which features of which view, under which names, and by which columns of the spine they are joined.

In text: `view:feature`, `view:*` (all of them), `view:feature as name`, `view:* as prefix_*`, each with ` on key=column` where
the spine calls a key of the view otherwise. So one view can be joined in several roles. `Role` is the same in Python.
`view@2:feature` asks for the values by the view's second definition; without a number it is the one that is served.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from assay.errors import AssayError
from assay.features.serving.join_options import KnownAt, checked_known_at, checked_skip_nulls

_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"({_NAME})(?:@([1-9]\d{{0,8}}))?:(\*|{_NAME})(?: as ({_NAME}|{_NAME}\*))?(?: on (.+))?")
_PREFIX = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference. `output` is the column's name; of `*` the features' names stay, after `prefix`. `on`: pairs of a key of
    the view and the spine's column that is compared with it, for keys that the spine calls otherwise. `definition`: the number
    of the view's definition; None: the one that is served."""

    view: str
    feature: str
    output: str
    prefix: str = ""
    on: tuple[tuple[str, str], ...] = ()
    definition: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises AssayError for a text of another form."""
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None or (match[3] == "*") != (match[4] or match[3]).endswith("*"):
            raise AssayError(
                f"{text!r} is not a feature reference: write 'view:feature', 'view:*' or 'view:feature as name', and "
                "'… on key=column' where the spine calls a key otherwise; 'view@2:feature' for the view's definition 2."
            )
        everything = match[3] == "*"
        prefix = match[4][:-1] if everything and match[4] else ""
        output = "*" if everything else match[4] or match[3]
        number = int(match[2]) if match[2] else None
        return cls(match[1], match[3], output, prefix, _pairs(match[5], text), number)

    @property
    def join(self) -> str:
        """What the view is called in this role: its name, and the spine's columns where these are other ones."""
        return ".".join((self.view, *([",".join(column for _, column in self.on)] if self.on else [])))

    def __str__(self) -> str:
        renamed = f"{self.prefix}*" if self.prefix else self.output if self.output != self.feature else ""
        on = ", ".join(f"{key}={column}" for key, column in self.on)
        number = f"@{self.definition}" if self.definition is not None else ""
        return f"{self.view}{number}:{self.feature}{f' as {renamed}' if renamed else ''}{f' on {on}' if on else ''}"


def refuse_two_definitions(references: Sequence[Reference]) -> None:
    """Raise AssayError if a view is asked for by two of its definitions: one read takes one."""
    asked: dict[str, Reference] = {}
    for reference in references:
        before = asked.setdefault(reference.view, reference)
        if before.definition != reference.definition:
            raise AssayError(
                f"{str(before)!r} and {str(reference)!r} are by two definitions of {reference.view}: one join takes one. Join "
                "twice to compare them."
            )


def _pairs(text: str | None, whole: str) -> tuple[tuple[str, str], ...]:
    keys: dict[str, str] = {}
    for item in text.split(",") if text else ():
        key, equals, column = (part.strip() for part in item.partition("="))
        if not equals or key in keys:
            raise AssayError(f"{whole!r}: after 'on' write key=column, once for each key, with commas between them.")
        keys[key] = column
    return _checked(keys)


def _checked(keys: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The pairs that change a name, in the order of the keys. Raises AssayError for what the text of a reference cannot hold."""
    for name in (*keys, *keys.values()):
        if not isinstance(name, str) or not name or name != name.strip() or set(name) & set(",="):
            raise AssayError(f"{name!r} cannot be a column in a reference: rename it, without ',' and '='.")
    return tuple(sorted((key, column) for key, column in keys.items() if key != column))


@runtime_checkable
class HasReferences(Protocol):
    """What features can be asked for by: a declared view or embedding, which stands for all of its features."""

    @property
    def references(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Role:
    """Features of a view (or of several with the same keys) joined by other columns of the spine, under names of their own.

    The keys are named as in Feast's `with_join_key_map`: the view's first, then the spine's; the prefix as in Hopsworks and
    Chronon. Both are one value here, so that it can be reused, recorded as text, and given wherever references are.

    >>> origin = Role("airport_weather:*", keys={"airport": "origin"}, prefix="origin_")
    >>> origin.references
    ('airport_weather:* as origin_* on airport=origin',)

    Args:
        features: A view or its name, a reference, or several references.
        keys: A key of the view → the spine's column that is compared with it. Other keys have the same name in both.
        prefix: Put before each output name.
        known_at: `event` or `known`, for these features only. Default: that of the join.
        skip_nulls: Likewise.
        references: The same as texts.

    Raises:
        AssayError: For a prefix that cannot begin a name, what is no reference, or one that says itself what it is joined on.
    """

    features: str | HasReferences | Sequence[str]
    keys: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    known_at: KnownAt | None = None
    skip_nulls: bool | None = None
    references: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.prefix and not (isinstance(self.prefix, str) and _PREFIX.fullmatch(self.prefix)):
            raise AssayError(f"prefix {self.prefix!r}: use letters, digits and underscores, beginning with a letter.")
        if not isinstance(self.keys, Mapping):
            raise AssayError("keys of a role are a mapping: key of the view → column of the spine.")
        on = _checked(self.keys)
        if self.known_at is not None:
            checked_known_at(self.known_at)
        if self.skip_nulls is not None:
            checked_skip_nulls(self.skip_nulls)
        texts = _texts(self.features)
        object.__setattr__(self, "references", tuple(str(self._of(Reference.parse(text), on)) for text in texts))

    def _of(self, reference: Reference, on: tuple[tuple[str, str], ...]) -> Reference:
        if reference.on and on:
            raise AssayError(
                f"{str(reference)!r} says itself what it is joined on: leave that, or the role's keys, out."
            )
        on = on or reference.on
        if reference.feature == "*":
            return replace(reference, prefix=self.prefix + reference.prefix, on=on)
        return replace(reference, output=self.prefix + reference.output, on=on)


def _texts(features: str | HasReferences | Sequence[str]) -> Iterator[str]:
    if isinstance(features, str):
        yield features if ":" in features else f"{features}:*"
    else:
        yield from features.references if isinstance(features, HasReferences) else features
