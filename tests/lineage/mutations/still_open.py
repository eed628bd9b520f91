"""Where the script of the evidence bundle does not give the right verdict yet, or accuses more than the culprit. Each line that
can be taken away is a step forward; none may be added."""

OFFLINE = frozenset(
    (
        "a commit of another table",
        "another delivery",
        "clean/parcels 0, cut off",
        "clean/parcels 0, empty",
        "clean/parcels 2, cut off",
        "clean/parcels 2, empty",
        "clean/parcels 4, cut off",
        "commit gone, models/late 1",
        "features/depot 4, cut off",
        "features/parcel 4, cut off",
        "first commit gone, clean",
        "gone with the lineage store",
        "index digest, clean/parcels 4",
        "index digest, features/depot 4",
        "index digest, features/parcel 4",
        "index digest, models/late 1",
        "index digest, newest",
        "index digest, predictions/late 2",
        "index digest, raw/parcels 4",
        "index digest, training/delays 1",
        "lists/depots 1, cut off",
        "log cleaned up, clean/parcels",
        "log cleaned up, features/parcel",
        "log cleaned up, predictions/late",
        "log cleaned up, raw/parcels",
        "log gone, models/late",
        "made up, with all metadata of the newest",
        "made up, with the newest run",
        "made up, with the run of another day",
        "made up, with the run of its day",
        "models/late 1, cut off",
        "models/late 1, empty",
        "newest commit, model version",
        "newest commit, partition",
        "newest, a list",
        "newest, cut off",
        "newest, empty",
        "newest, no JSON",
        "newest, other id",
        "newest, other row count",
        "newest, other table",
        "newest, other version",
        "predictions/late 0, cut off",
        "predictions/late 0, empty",
        "raw/parcels 4, cut off",
        "row count, clean/parcels 4",
        "row count, models/late 1",
        "row count, newest",
        "row count, predictions/late 2",
        "table gone, models/late",
        "training/delays 1, cut off",
        "two swapped",
        "update of the model version",
        "z-ordered and vacuumed by a plain client",
    )
)

# Values that a forger can change in a bundle without the script noticing, by document: `*` for numbers and names.
VALUES = {
    "trace.json": (
        "nodes/*/commits/*",
        "nodes/*/details",
        "nodes/*/slices",
        "nodes/*/status",
    ),
    "rows.json": ("", "*/because", "*/digests", "*/row_number"),
    "manifest.json": ("assay", "delivered"),
    "lake.json": ("", "*/detail", "*/required", "*/what"),
    "events": (
        "inputs/*/facets/assay_snapshot/digest",
        "inputs/*/facets/assay_snapshot/partitions",
        "inputs/*/facets/assay_snapshot/role",
        "inputs/*/facets/assay_snapshot/table_id",
        "outputs/*/facets/assay_snapshot/mode",
        "outputs/*/facets/assay_snapshot/partitions",
        "outputs/*/facets/assay_snapshot/role",
        "outputs/*/facets/assay_snapshot/table_id",
        "outputs/*/outputFacets/outputStatistics/rowCount",
    ),
}


def is_open(document: str, kind: str) -> bool:
    """Whether a kind of value, or what it is part of, is in the list."""
    known = VALUES.get(document, ())
    return kind in known or any(kind.startswith(f"{one}/") for one in known if one)
