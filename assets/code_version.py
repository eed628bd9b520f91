"""Which code ran: the installed release, and the commit of the working copy that the process was started in."""

import functools
import subprocess
from importlib.metadata import version


@functools.cache
def code_identity() -> dict[str, str]:
    """`assay` (release), and in a git working copy `git` (commit) and `changed` ("yes" with uncommitted changes)."""
    identity = {"assay": version("assay")}
    revision = _git("rev-parse", "HEAD")
    if revision:
        identity |= {"git": revision, "changed": "yes" if _git("status", "--porcelain", "-uno") else "no"}
    return identity


def _git(*arguments: str) -> str:
    """Output of a git command here, or "" where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
