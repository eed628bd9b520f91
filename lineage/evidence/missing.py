"""What an evidence bundle lacks, and why."""

from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError
from assay.lineage.predictions.find_prediction import unreadable


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that could not be exported, and why. Without a `required` part the bundle cannot be verified completely."""

    what: str
    why: str
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "why": self.why, "required": self.required}


def why(problem: BaseException) -> str:
    return str(problem) if isinstance(problem, AssayError) else unreadable(problem)
