"""What is asked of a join: references, roles and feature sets, taken apart, and how each view is joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from assay.errors import AssayError, nearest
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.references import HasReferences, Reference, Role, refuse_two_definitions

T = TypeVar("T")

Asked = str | HasReferences | Role | FeatureSet
Features = Asked | Sequence[Asked]
"""What is joined: references, declared views and embeddings (all of their features), roles, feature sets; one, or several."""


@dataclass(frozen=True, slots=True)
class Request:
    """References, and how they are joined: sets and roles taken apart, options checked. `sets` are those that were asked for."""

    references: tuple[Reference, ...]
    options: JoinOptions
    sets: tuple[FeatureSet, ...] = ()

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
    given = [features] if isinstance(features, Asked) else list(features)
    references: list[Reference] = []
    own: dict[str, Role | None] = {}
    for role, text in _texts(given):
        reference = Reference.parse(text)
        references.append(reference)
        before = own.setdefault(reference.join, role)
        if _ways(before) != _ways(role):
            raise AssayError(f"{reference.join} is asked for with two settings of known_at or skip_nulls: use one.")
    refuse_two_definitions(references)
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
    each = replace(options, known_at=folded(known_at, "event"), skip_nulls=folded(skip_nulls, False))
    sets = {item.id: item for item in given if isinstance(item, FeatureSet)}
    return Request(tuple(references), each, tuple(sets.values()))


def _texts(given: Sequence[Asked]) -> Iterator[tuple[Role | None, str]]:
    """Each reference, with the role that it is asked for in."""
    for item in given:
        if isinstance(item, FeatureSet):
            yield from _texts(item.asked)
        elif isinstance(item, Role):
            yield from ((item, text) for text in item.references)
        elif isinstance(item, HasReferences):
            yield from ((None, text) for text in item.references)
        else:
            yield None, item


def _ways(role: Role | None) -> tuple[KnownAt | None, bool | None]:
    return (role.known_at, role.skip_nulls) if role else (None, None)


def folded(chosen: Mapping[str, T], default: T) -> T | dict[str, T]:
    """One value where all have the same; else those that are not the default."""
    values = list(chosen.values())
    if all(value == values[0] for value in values):
        return values[0]
    return {name: value for name, value in chosen.items() if value != default}
