"""Another namespace for events that leave the house.

Every lake calls its tables `assay:clean/tickets`, so that lineage survives a move. At a backend that collects from several
lakes these names would meet; so what is sent there may stand under a name of one's own. The store keeps ours.
"""

import json
from typing import Any

from assay.lineage.events.events import namespaces
from assay.lineage.events.naming import LOGICAL


def renamed(body: bytes, namespace: str) -> bytes:
    """An event with its own datasets and jobs under another namespace: `assay` becomes `shop`, and `dagster://assay`
    becomes `dagster://shop`. Others' names stay. With the namespace `assay`, these are the same bytes."""
    if namespace == LOGICAL:
        return body
    names = {LOGICAL: namespace} | dict(zip(namespaces(LOGICAL), namespaces(namespace), strict=True))
    return json.dumps(_renamed(json.loads(body), names), ensure_ascii=False, separators=(",", ":")).encode()


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(made.get("namespace"), str):
        made["namespace"] = names.get(made["namespace"], made["namespace"])
    uri = made.get("uri")
    if isinstance(uri, str) and uri.startswith(f"{LOGICAL}:") and made.get("name") == LOGICAL:  # a `dataSource` facet
        made |= {"name": names[LOGICAL], "uri": names[LOGICAL] + uri.removeprefix(LOGICAL)}
    return made
