"""Feature sets: what a model reads, by a name and a version, so that training and online reads ask for the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.errors import AssayError
from assay.features.serving.references import HasReferences, Reference, Role, refuse_two_definitions
from assay.features.views.names import check_name

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features that a model reads, as one value: give it wherever features are asked for.

    >>> FeatureSet("router", ["ticket:*", "customer_activity:tickets_7d"], version="2").id
    'router@2'

    Training sets record which sets they were joined by. A set that has changed needs another version: a training set that
    was made with other features under the same name and version refuses it.

    Args:
        name: Letters, digits and underscores, beginning with a letter.
        features: References such as `"ticket:*"`, declared views and embeddings (all of their features), roles.
        version: Such as `"2"` or `"2026-09"`.
        description: One sentence for people; it decides nothing.
        owner: Who answers for it; it decides nothing.

    Raises:
        AssayError: For a name or a version that cannot be used, no features, what is no reference, or two definitions of a view.
    """

    name: str
    features: Sequence[str | HasReferences | Role]
    version: str = "1"
    description: str = ""
    owner: str = ""
    asked: tuple[str | Role, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name, "feature set")
        where = f"feature set {self.name!r}"
        if not isinstance(self.version, str) or not _VERSION.fullmatch(self.version):
            raise AssayError(f"{where}: version {self.version!r} is no text such as '2' or '2026-09'")
        if not self.features or isinstance(self.features, str):
            raise AssayError(f"{where} needs features: a list of references such as 'ticket:*', of views, or of roles")
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "asked", tuple(_asked(self.features, where)))
        refuse_two_definitions([Reference.parse(text) for text in self.references])

    @property
    def id(self) -> str:
        """`<name>@<version>`."""
        return f"{self.name}@{self.version}"

    @property
    def references(self) -> tuple[str, ...]:
        """The references as texts."""
        return tuple(text for one in self.asked for text in (one.references if isinstance(one, Role) else (one,)))

    def digest(self) -> str:
        """SHA-256 over what is joined and how; not over the definitions of the features."""
        joined = [
            [list(one.references), one.known_at, one.skip_nulls] if isinstance(one, Role) else one for one in self.asked
        ]
        return hashlib.sha256(json.dumps(joined).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As training sets record it."""
        return {"name": self.name, "version": self.version, "sha256": self.digest()}


def _asked(features: Sequence[str | HasReferences | Role], where: str) -> Iterator[str | Role]:
    """The references, in one form: as texts, but for those of roles."""
    for item in features:
        if isinstance(item, FeatureSet):
            raise AssayError(f"{where}: a set does not hold other sets; name the features of {item.id} themselves")
        if isinstance(item, Role):
            yield item
        elif isinstance(item, str):
            yield str(Reference.parse(item))
        elif isinstance(item, HasReferences):
            yield from item.references
        else:
            raise AssayError(f"{where}: {type(item).__name__} is no feature: give references, views or roles")
