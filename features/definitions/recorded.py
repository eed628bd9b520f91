"""Which definition a commit's rows were computed by: what a feature view declared then, as a digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_BESIDE = frozenset(("rows_read", "about", "sha256"))  # in the section, and no part of the definition


def definition_of(view: Mapping[str, Any] | None) -> str:
    """SHA-256 of the definition in the section `view` of a commit, which is `FeatureView.digest()`; "" where none is recorded,
    as of rows that were computed elsewhere."""
    if not view or not isinstance(view.get("features"), list | tuple):
        return ""
    recorded = view.get("sha256")
    return recorded if isinstance(recorded, str) and recorded else digest_of_definition(view)


def digest_of_definition(definition: Mapping[str, Any]) -> str:
    """SHA-256 of a definition as JSON, whatever else stands beside it."""
    own = {key: value for key, value in definition.items() if key not in _BESIDE}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
