"""What a verification found, in words for people; and of what it says that: no more may be claimed than was computed again."""

from assay.errors import plural
from assay.lineage.verification.finding import Verification

_FOUND = {
    "verified": "All that the answer rests on is still there, as it was recorded.",
    "incomplete": "Nothing contradicts it, but some of what it rests on is gone, or nobody vouches for it.",
    "broken": "Something is not what it was when the answer was given.",
}
_ANSWERS = {
    "checked": "The stored model, run again, gives the same answer.",
    "differs": "The stored model, run again, gives another answer.",
    "not checked": "The stored model was not run again.",
}
_NOT_AGAIN = (
    "The features were not computed again from the delivered rows, and no rule was judged again: of these it was checked that "
    "what was recorded about them has not been changed."
)


def in_sentences(found: Verification) -> str:
    """The verdict, what was computed again, and what was not."""
    return " ".join([_FOUND[found.outcome], *_again(found), _NOT_AGAIN])


def _again(found: Verification) -> list[str]:
    joined = [item for item in found.checks if item.what == "feature row" and item.ok is not None]
    embedded = [item for item in found.checks if item.what.endswith(" vector") and item.ok is not None]
    again = ["Its features were joined again from the stored feature tables."] if joined else []
    again += ["The vector of its text was computed again."] if embedded else []
    return [*again, _ANSWERS[found.answer]]


def counted(found: Verification) -> str:
    """How many of the checks held, failed, and could not be made."""
    held, failed, open_ = (sum(item.ok is ok for item in found.checks) for ok in (True, False, None))
    parts = [f"{plural(held, 'check')} held", f"{failed} failed" if failed else "none failed"]
    return ", ".join([*parts, *([f"{open_} could not be made"] if open_ else [])]) + "."
