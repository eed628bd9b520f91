"""`assay --install-completion`: the shell asks the command itself what can come next."""

import os
from pathlib import Path

from assay.errors import AssayError

# File (in the home folder) that the shell reads when it starts, and what has to stand in it.
SHELLS = {
    "bash": (".bashrc", 'eval "$(_ASSAY_COMPLETE=bash_source assay)"'),
    "zsh": (".zshrc", 'eval "$(_ASSAY_COMPLETE=zsh_source assay)"'),
    "fish": (".config/fish/completions/assay.fish", "_ASSAY_COMPLETE=fish_source assay | source"),
}


def install(shell: str) -> str:
    """Add the line to the shell's file, unless it is there. Returns what was done; `auto` takes the shell of $SHELL.

    Raises AssayError for a shell that is not known, and for a file that cannot be written.
    """
    if shell == "auto":
        shell = Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise AssayError(f"The shell {shell or '(SHELL is not set)'} is not known: name one of {', '.join(SHELLS)}.")
    name, line = SHELLS[shell]
    file = Path.home() / name
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if line in before:
            return f"{file} has it already."
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as end:
            end.write(f"{'' if not before or before.endswith(chr(10)) else chr(10)}{line}\n")
    except OSError as problem:
        raise AssayError(f"{file} cannot be written ({problem.strerror}); add to it: {line}") from None
    return f"Added to {file}: {line}\nIt works in shells that are opened from now on."
