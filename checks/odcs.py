"""Former place of its names; they work for one more version, with a warning."""

from assay.lazy import moved

__getattr__ = moved(
    __name__,
    {
        "from_odcs": "assay.checks:from_odcs",
        "to_odcs": "assay.checks:to_odcs",
    },
)
