"""Feature references: which features of which view, under which names, and by which columns of the spine they are joined.

In text: `view:feature`, `view:*` (all of them), `view:feature as name`, `view:* as prefix_*`, each with ` on key=column` where
the spine calls a key of the view otherwise. So one view can be joined in several roles. `Role` is the same in Python.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from assay.errors import AssayError, nearest
from assay.features.serving.join_options import JoinOptions, KnownAt, checked_known_at, checked_skip_nulls
from assay.features.views.feature_view import FeatureView

T = TypeVar("T")

_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"({_NAME}):(\*|{_NAME})(?: as ({_NAME}|{_NAME}\*))?(?: on (.+))?")
_PREFIX = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference. `output` is the column's name; of `*` the features' names stay, after `prefix`. `on`: pairs of a key of
    the view and the spine's column that is compared with it, for keys that the spine calls otherwise."""

    view: str
    feature: str
    output: str
    prefix: str = ""
    on: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises AssayError for a text of another form."""
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None or (match[2] == "*") != (match[3] or match[2]).endswith("*"):
            raise AssayError(
                f"{text!r} is not a feature reference: write 'view:feature', 'view:*' or 'view:feature as name', and "
                "'… on key=column' where the spine calls a key otherwise."
            )
        everything = match[2] == "*"
        prefix = match[3][:-1] if everything and match[3] else ""
        return cls(match[1], match[2], "*" if everything else match[3] or match[2], prefix, _pairs(match[4], text))

    @property
    def join(self) -> str:
        """What the view is called in this role: its name, and the spine's columns where these are other ones."""
        return ".".join((self.view, *([",".join(column for _, column in self.on)] if self.on else [])))

    def __str__(self) -> str:
        renamed = f"{self.prefix}*" if self.prefix else self.output if self.output != self.feature else ""
        on = ", ".join(f"{key}={column}" for key, column in self.on)
        return f"{self.view}:{self.feature}{f' as {renamed}' if renamed else ''}{f' on {on}' if on else ''}"


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

    features: str | FeatureView | Sequence[str]
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


Features = str | Role | Sequence[str | Role]
"""What is joined: references, as texts or as roles; one, or several."""


@dataclass(frozen=True, slots=True)
class Request:
    """References, and how they are joined: roles taken apart, options checked."""

    references: tuple[Reference, ...]
    options: JoinOptions

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(str, self.references))

    def joins(self) -> dict[str, list[Reference]]:
        """The references by the role that their view is joined in, in order of first appearance."""
        groups: dict[str, list[Reference]] = {}
        for reference in self.references:
            groups.setdefault(reference.join, []).append(reference)
        return groups


def request(features: Features, options: JoinOptions) -> Request:
    """Features as they were asked for.

    Raises AssayError for a malformed reference, for none at all, for options of a view that is not asked for, and for a view
    that is to be joined in two ways in one role.
    """
    given = [features] if isinstance(features, str | Role) else list(features)
    references: list[Reference] = []
    own: dict[str, Role | None] = {}
    for item in given:
        role = item if isinstance(item, Role) else None
        for reference in map(Reference.parse, role.references if role else [item]):  # pyright: ignore[reportArgumentType]
            references.append(reference)
            before = own.setdefault(reference.join, role)
            if _ways(before) != _ways(role):
                raise AssayError(f"{reference.join} is asked for with two settings of known_at or skip_nulls: use one.")
    if not references:
        raise AssayError("No features were asked for: name some, e.g. 'customer_activity:tickets_7d'.")
    views = {reference.join: reference.view for reference in references}
    for what, option in (("known_at", options.known_at), ("skip_nulls", options.skip_nulls)):
        for name in option if isinstance(option, Mapping) else ():
            if name not in {*views, *views.values()}:
                close = nearest(str(name), [*views, *views.values()])
                raise AssayError(f"{what} is given for {name!r}, of which no feature is asked for.{close}")
    known_at, skip_nulls = {}, {}
    for name, view in views.items():
        role = own[name]
        known, skip = options.of(name, view)
        known_at[name] = known if role is None or role.known_at is None else role.known_at
        skip_nulls[name] = skip if role is None or role.skip_nulls is None else role.skip_nulls
    folded = replace(options, known_at=_folded(known_at, "event"), skip_nulls=_folded(skip_nulls, False))
    return Request(tuple(references), folded)


def _ways(role: Role | None) -> tuple[KnownAt | None, bool | None]:
    return (role.known_at, role.skip_nulls) if role else (None, None)


def _folded(chosen: Mapping[str, T], default: T) -> T | dict[str, T]:
    """One value where all have the same; else those that are not the default."""
    values = list(chosen.values())
    if all(value == values[0] for value in values):
        return values[0]
    return {name: value for name, value in chosen.items() if value != default}


def _texts(features: str | FeatureView | Sequence[str]) -> Iterator[str]:
    if isinstance(features, FeatureView):
        yield from (f"{features.name}:{name}" for name in features.feature_names)
    elif isinstance(features, str):
        yield features if ":" in features else f"{features}:*"
    else:
        yield from features
