"""The columns that Assay adds to rows, and where an upstream's columns go that would have their names.

Every name that is one of ours, with whatever case and however many underscores before it, gets one underscore more when a reader
reads it. So none of an upstream's columns is taken for one of ours, no two become one, and each can be declared.
"""

from collections.abc import Sequence

PARTITION_KEY = "partition_key"
#: What became of a row of a compared table (`insert`, `update`, `delete`), and when that was seen.
CHANGE, SEEN_AT = "_change", "_seen_at"
INSERT, UPDATE, DELETE = "insert", "update", "delete"
#: The way back to the source, in raw, clean and quarantine; what a reader says of records; what became of a row in quarantine.
OWN_COLUMNS = frozenset(
    {
        "_source_file",
        "_source_sha256",
        "_row_number",
        "_batch_id",
        "_ingested_at",
        PARTITION_KEY,
        "_defect",
        "_line",
        "_json",
        "_rules",
        "_status",
        "_decision_id",
        "_contract",
        CHANGE,
        SEEN_AT,
    }
)
_STEMS = frozenset(name.lstrip("_") for name in OWN_COLUMNS)


def is_link(name: str) -> bool:
    """Whether a column is one of ours and no data: it passes through validation untouched."""
    return name in OWN_COLUMNS


def delivered_names(names: Sequence[str]) -> list[str]:
    """The names under which an upstream's columns are kept: their own, but where they could be taken for ours."""
    return [delivered_name(name) for name in names]


def delivered_name(name: str) -> str:
    """The same for one name."""
    stem = name.lstrip("_").lower()
    is_like_ours = stem in _STEMS and (name.startswith("_") or stem == PARTITION_KEY)
    return f"_{name}" if is_like_ours else name


def upstream_name(name: str) -> str:
    """The name that an upstream's column has there, of that under which it is kept."""
    return name.removeprefix("_") if delivered_name(name) != name else name
