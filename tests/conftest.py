"""What every test may use: the official material beside the repository, a real PostgreSQL, quiet libraries."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SOAK = bool(os.environ.get("ASSAY_SOAK"))

# A test decides where things are; what the caller's shell says must not leak in.
for name in [name for name in os.environ if name.startswith(("ASSAY_", "DAGSTER_", "OPENLINEAGE_"))]:
    if name != "ASSAY_SOAK":
        del os.environ[name]


@pytest.fixture(scope="session")
def banking77() -> Path:
    """The folder with the real queries, or a skip."""
    folder = SHARED / "data" / "banking77"
    if not folder.is_dir():
        pytest.skip("the real queries (../shared/data/banking77) are not beside this checkout")
    return folder
