"""Calls of a function or method, counted while it does what it did."""

from collections import Counter
from typing import Any

import pytest


def count_calls(monkeypatch: pytest.MonkeyPatch, found: Counter[str], owner: Any, name: str, what: str) -> None:
    """Count the calls of `owner.name` under `what`, until the end of the test."""
    real = getattr(owner, name)

    def counted(*given: Any, **named: Any) -> Any:
        found[what] += 1
        return real(*given, **named)

    monkeypatch.setattr(owner, name, counted)
