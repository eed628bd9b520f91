"""`python -m tests.typecheck`: pyright over the packages as they are imported.

Type checkers do not follow the editable install's mapping of folders to `assay.*`, so they get a folder of links that
looks like the installed package.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINKS = ROOT / ".typecheck"
FOLDERS = ("assets", "checks", "features", "lineage")


def link_farm() -> Path:
    """`.typecheck/assay/` with the regular package's modules and the four folders beside each other."""
    package = LINKS / "assay"
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        old.unlink()
    for item in (ROOT / "assay").iterdir():
        if item.name != "__pycache__":
            (package / item.name).symlink_to(item)
    for folder in FOLDERS:
        (package / folder).symlink_to(ROOT / folder)
    config = {
        "include": ["assay"],
        "extraPaths": ["."],
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
        "venvPath": str(ROOT),
        "venv": ".venv",
    }
    (LINKS / "pyrightconfig.json").write_text(json.dumps(config))
    return LINKS


def main() -> int:
    farm = link_farm()
    return subprocess.run([sys.executable, "-m", "pyright", "--project", str(farm)], cwd=farm, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
