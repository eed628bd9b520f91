"""Whether the active project can be loaded, tried in a process of its own: `python -m assay.assets.trial_load` prints each module
that cannot, and why, as JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

from assay.errors import AssayError

_SECONDS = 300


def broken_modules(workspace: str = "") -> dict[str, str]:
    """The modules of the project that cannot be loaded as they are on disk now, each with the reason; and the file that names its
    code locations (`workspace`), where Dagster cannot load one of them."""
    command = [sys.executable, "-m", "assay.assets.trial_load"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        found = json.loads(done.stdout.splitlines()[-1])
        if not found and workspace:
            validate = [sys.executable, "-m", "dagster", "definitions", "validate", "--workspace", workspace]
            # As code servers do: packages may be imported from the folder that they are started in.
            path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
            environment = {**os.environ, "PYTHONPATH": path}
            if subprocess.run(validate, capture_output=True, timeout=_SECONDS, check=False, env=environment).returncode:
                why = f"`dagster definitions validate --workspace {workspace}` says why"
                found = {workspace: f"{workspace}: a code location cannot be loaded ({why})."}
        return found
    except subprocess.TimeoutExpired:
        return {"project": f"The project is not loaded after {_SECONDS} seconds."}
    except (ValueError, IndexError):  # it ended in the middle, as by `sys.exit` in a module
        return {"project": "Loading the project ends its process."}


def _main() -> None:
    from assay.assets.declarations import declarations
    from assay.assets.project import active_project

    try:
        found = {one.module: str(one) for one in declarations(active_project()).broken}
    except AssayError as problem:
        found = {"project": str(problem)}
    print(json.dumps(found))


if __name__ == "__main__":
    _main()
