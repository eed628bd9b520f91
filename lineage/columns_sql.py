"""Former place of its names; they work for one more version, with a warning."""

from assay.lazy import moved

__getattr__ = moved(
    __name__,
    {
        "sql_lineage": "assay.lineage:sql_lineage",
    },
)
