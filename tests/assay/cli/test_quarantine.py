"""What was set aside is listed whatever is declared today."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def test_rows_of_a_source_that_is_not_declared_any_more_are_listed(
    bank: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["empty"]\n')
    monkeypatch.setenv("ASSAY_PROJECT", str(tmp_path))

    answer = cli(
        "quarantine", "list", "--json", place=SimpleNamespace(environment={"ASSAY_HOME": str(bank.store.settings.home)})
    )
    assert answer.code == 0
    assert {(row["source"], row["rule"], row["fits_now"]) for row in json.loads(answer.out)} >= {
        ("transfers", "amount.ge", 0)
    }
