"""What an evidence bundle lacks, and why."""

from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that could not be exported, and why. Without a `required` part the bundle cannot be verified completely."""

    what: str
    why: str
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "why": self.why, "required": self.required}


def why(problem: BaseException) -> str:
    """The problem without text of Polars, which may quote cells."""
    return str(problem) if isinstance(problem, AssayError) else f"cannot be read ({type(problem).__name__})"
