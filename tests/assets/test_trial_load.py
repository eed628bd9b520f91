"""Whether a project can be loaded is tried in a process of its own."""

from pathlib import Path

import pytest

from assay.assets.trial_load import broken_modules


@pytest.mark.parametrize(
    ("text", "module", "said"),
    [
        ("X = 1\n", None, ""),
        ("X = \n", "tried_shop.declarations.orders", "line 1: invalid syntax"),
        ("import sys\nsys.exit(0)\n", "project", "ends its process"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, module: str | None, said: str
) -> None:
    package = tmp_path / "tried_shop" / "declarations"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["tried_shop.declarations"]\n')
    (package / "orders.py").write_text(text)
    monkeypatch.setenv("ASSAY_PROJECT", str(tmp_path))
    found = broken_modules()
    assert list(found) == ([module] if module else [])
    assert said in "".join(found.values())
    if module is None:
        (package / "__init__.py").touch()
        (tmp_path / "tried_shop" / "defs.py").write_text("import dagster\n\ndefs = dagster.Definitions()\n")
        (tmp_path / "workspace.yaml").write_text("load_from: [{python_module: tried_shop.defs}]\n")
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        assert broken_modules("workspace.yaml") == {}
        (tmp_path / "broken.py").write_text("X = \n")
        (tmp_path / "workspace.yaml").write_text(f"load_from: [{{python_file: {tmp_path}/broken.py}}]\n")
        assert list(broken_modules(str(tmp_path / "workspace.yaml"))) == [str(tmp_path / "workspace.yaml")]
