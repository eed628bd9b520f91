"""Former place of its names; they work for one more version, with a warning."""

from assay.lazy import moved

__getattr__ = moved(
    __name__,
    {
        "Change": "assay.checks:Change",
        "compare": "assay.checks:compare_contracts",
    },
)
