"""Former place of its names; they work for one more version, with a warning."""

from assay.lazy import moved

__getattr__ = moved(
    __name__,
    {
        "delivery_drift": "assay.checks:delivery_drift",
    },
)
