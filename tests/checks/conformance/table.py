"""The published table: `python -m tests.checks.conformance.table` writes docs/conformance.md."""

from collections import Counter
from importlib.metadata import version
from pathlib import Path

from tests.checks.conformance import forms, frames, texts, types, values
from tests.checks.conformance.case import CANNOT_SAY, Case, by_assay, by_pandera, shown
from tests.checks.conformance.differences import CHOICE, COARSE, DIFFERENCES, SILENT

AREAS: dict[str, list[Case]] = {
    "Values and built-in checks": values.CASES,
    "Text": texts.CASES,
    "Types": types.CASES,
    "Declared forms of texts": forms.CASES,
    "Frames, keys, custom checks": frames.CASES,
}
CASES = [case for cases in AREAS.values() for case in cases]
PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

_INTRODUCTION = """# Conformance

{total} small cases, each with a truth written by hand, each run through Assay and through pandera {version} on polars, with
`lazy=True` and pandera's defaults. This page is made from the corpus in `tests/checks/conformance`, and a test keeps it true.

Assay gives the truth in all of them. pandera gives another verdict in {differing}, and has no word for the rule in {beyond}:

| kind | cases | meaning |
|---|---|---|
| silent | {silent} | something wrong passes, or something right is lost, without an error |
| coarse | {coarse} | there is an error, but later, for more, or less exact than it could be |
| choice | {choice} | both can be defended; the reason says why Assay chose its own |

A verdict is the rows (counted from 0) that do not meet the contract; or the batch as a whole does not, the delivery's columns or
their types do not, the contract itself is refused, or the rule has no verdict (unknown).
"""


def page() -> str:
    """docs/conformance.md as the corpus gives it now."""
    kinds = Counter(difference.kind for difference in DIFFERENCES.values())
    introduction = _INTRODUCTION.format(
        total=len(CASES),
        version=version("pandera"),
        differing=len(DIFFERENCES),
        beyond=sum(by_pandera(case) == CANNOT_SAY for case in CASES),
        silent=kinds[SILENT],
        coarse=kinds[COARSE],
        choice=kinds[CHOICE],
    )
    return "\n".join([introduction, *(_area(title, cases) for title, cases in AREAS.items())])


def _area(title: str, cases: list[Case]) -> str:
    lines = [f"## {title}", "", "| case | truth | Assay | pandera | why pandera differs |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, cases), ""])


def _row(case: Case) -> str:
    difference = DIFFERENCES.get(case.name)
    why = f"{difference.kind}: {difference.why}" if difference else ""
    cells = [case.name, shown(case.truth), shown(by_assay(case)[0]), shown(by_pandera(case)), why]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
