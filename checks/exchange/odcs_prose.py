"""What an ODCS element says beside its rules: descriptions, tags, synonyms, links. It decides nothing, and nothing of it is lost.

In a contract it is `metadata` of the field or of the `Config`: the standard's words under the standard's names, and others'
custom properties under theirs. What belongs to the whole document is below `DOCUMENT` in the metadata of the `Config`.
"""

from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from assay.errors import AssayError

Node = dict[str, Any]

DOCUMENT = "document"
_CUSTOM = "customProperties"
_ELEMENT = ("id", "physicalName", "deprecated", "synonyms", "authoritativeDefinitions", "tags")
#: Of a property. `description` and `businessName` are the field's `description` and `title`.
PROPERTY = (
    *_ELEMENT,
    *("examples", "classification", "partitioned", "partitionKeyPosition", "encryptedName", "criticalDataElement"),
    *("transformSourceObjects", "transformLogic", "transformDescription", "semanticType"),
)
#: Of a table, whose `description` and `businessName` are those of the `Config`.
TABLE = (*_ELEMENT, "dataGranularityDescription", "context")
#: Of the whole document.
FUNDAMENTALS = (
    *(
        "id",
        "name",
        "tenant",
        "tags",
        "status",
        "servers",
        "dataProduct",
        "description",
        "domain",
        "context",
        "support",
    ),
    *("price", "team", "roles", "slaDefaultElement", "authoritativeDefinitions", _CUSTOM, "contractCreatedTs"),
)
OURS = "assay."


def metadata_of(node: Mapping[str, Any], words: Iterable[str]) -> dict[str, Any]:
    """What an element says, as metadata: the words that it has, and the custom properties of others."""
    kept = {word: node[word] for word in words if word in node}
    whole: list[Any] = []
    for item in node.get(_CUSTOM) or ():
        name = item["property"]
        if name.startswith(OURS):
            continue
        if item.keys() == {"property", "value"} and name not in kept and name not in _RESERVED:
            kept[name] = item["value"]
        else:
            whole.append(dict(item))
    if text := [dict(item) for item in node.get("quality") or () if item.get("type") == "text"]:
        kept["quality"] = text
    return kept | ({_CUSTOM: whole} if whole else {})


def split_metadata(metadata: Mapping[str, Any] | None, words: Iterable[str], where: str) -> tuple[Node, list[Node]]:
    """Metadata as keys of an element, and as its custom properties. Raises AssayError for a value that no file can hold."""
    plain = {str(name): _plain(value, f"{where}: its metadata {name!r}") for name, value in (metadata or {}).items()}
    custom = list(plain.pop(_CUSTOM, ()))
    words = (*words, "quality")
    node = {name: value for name, value in plain.items() if name in words}
    others = [{"property": name, "value": value} for name, value in plain.items() if name not in (*words, *_TYPE)]
    return node, [*others, *custom]


#: How a document spells a type that means the same as our spelling.
_TYPE = ("name", "physicalType", "items", "properties", "map", "logicalType", "logicalTypeOptions", "enum", DOCUMENT)
_RESERVED = frozenset({*PROPERTY, *TABLE, *FUNDAMENTALS, *_TYPE, "assay", "quality", "relationships"})


def _plain(value: Any, where: str) -> Any:
    """The value as JSON has it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case date() | time():
            return value.isoformat()
        case list() | tuple():
            return [_plain(item, where) for item in value]
        case Mapping():
            return {str(name): _plain(item, where) for name, item in value.items()}
        case _:
            raise AssayError(f"{where} is a {type(value).__name__}, which no ODCS file can hold; write it as text")
