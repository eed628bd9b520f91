"""Marks on tables, cards and runs: one state each, the same on every page, and a sign that says it without colour."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from assay.features.storage.verdict import CheckState, Names, worst

# From harmless to severe; each has its colours in console.css.
State = Literal["plain", "ok", "aside", "warned", "refused", "failed"]
_OF_CHECKS: dict[CheckState, tuple[State, str]] = {
    CheckState.NOT_JUDGED: ("plain", "–"),
    CheckState.HELD: ("ok", "✓"),
    CheckState.SET_ASIDE: ("aside", "○"),
    CheckState.WARNED: ("warned", "!"),
    CheckState.FAILED: ("failed", "✗"),
}
_MEANINGS = {
    CheckState.NOT_JUDGED: "{} not judged yet: {names}",
    CheckState.SET_ASIDE: "rows that broke {} of {total} rules are in quarantine, as agreed: {names}",
    CheckState.WARNED: "{} of {total} checks warned: {names}",
    CheckState.FAILED: "{} of {total} checks failed: {names}",
}
_NAMED = 5  # checks in a meaning


@dataclass(frozen=True, slots=True)
class Badge:
    """The sign in the text says the same as the state without colour; `meaning` says it in a sentence. `href`: where the rows are
    that it is about."""

    text: str
    state: State
    meaning: str
    href: str = ""

    @property
    def short(self) -> str:
        """What fits on a card."""
        return self.text.partition(",")[0]


def checks_badge(
    names: Names, *, held: int = 0, where: str = "", words: Callable[[str], str] = str, rows: str = ""
) -> Badge | None:
    """What the checks of a table or run come to.

    Args:
        names: The checks by what became of them.
        held: So many more that held, whose names are not known.
        where: Which batches are meant, at the end of the meaning.
        words: What a check demands, by its name.
        rows: The address of the rows that were set aside.

    Returns:
        Red where a check stopped the batch, amber where one warned, grey where the rows that broke one were set aside as agreed,
        green where all that were judged held; None without any check.
    """
    count = {state: len(names.get(state, ())) for state in CheckState}
    count[CheckState.HELD] += held
    total = sum(count.values())
    state = worst(state for state, number in count.items() if number)
    if state is None:
        return None
    colour, sign = _OF_CHECKS[state]
    others = [other for other in reversed(CheckState) if other is not CheckState.HELD and count[other]]
    text = [f"{sign} {count[state]}/{total}" if others else f"{sign} {total}"]
    text += [str(other) if other is state else f"{count[other]} {other}" for other in others]
    meanings = [
        _MEANINGS[other].format(count[other], total=total, names=_listed(names[other], words)) for other in others
    ] or [f"{total} checks held" if total > 1 else "its check held"]
    meaning = "; ".join([*meanings, *([where] if where else [])])
    return Badge(", ".join(text), colour, meaning, rows if count[CheckState.SET_ASIDE] else "")


def _listed(names: Iterable[str], words: Callable[[str], str]) -> str:
    every = sorted(names)
    more = len(every) - _NAMED
    named = [name if (sentence := words(name)) == name else f"{sentence} ({name})" for name in every[:_NAMED]]
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def both(first: Badge | None, other: Badge | None) -> Badge | None:
    """Two marks where there is room for one: the text of the first, the colour of the worse."""
    if first is None or other is None:
        return first or other
    worse = max(first, other, key=lambda badge: get_args(State).index(badge.state))
    return Badge(f"{first.short}, checks {other.text}", worse.state, f"{first.meaning} {other.meaning}", other.href)
