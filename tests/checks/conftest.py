"""What tests of batches on disk need."""

import pytest

from assay.checks.validation import blocks, spill


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch on disk has several blocks however few rows it has, and its keys are compared there."""
    monkeypatch.setattr(blocks, "ROWS", 2)
    monkeypatch.setattr(spill, "IN_MEMORY", 0)
