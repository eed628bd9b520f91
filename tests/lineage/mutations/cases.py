"""What a case is, and how the two verifiers are asked about it: the one in the lake, and the script of the evidence bundle."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from assay.errors import AssayError
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify
from assay.lineage.tracing.trace import Trace
from tests.conftest import SOAK
from tests.lineage.mutations.world import World

Outcome = Literal["verified", "incomplete", "broken", "refused"]
Text = str | Callable[[World], str]  # a pattern, or how to make it of the lake as it was

# What follows from a part that is gone, and accuses nobody.
_CONSEQUENCE = re.compile(
    "which files it held is not known|could not be computed again|not computed again|not computed|not checked"
    "|its commit is not in the bundle|earlier commits are not in the bundle|could not be exported"
)


@dataclass(frozen=True)
class Case:
    """A change, and the one right verdict on it.

    Attributes:
        name: what the test is called.
        change: does it to a copy of the lake; it may make another prediction the one in question.
        verdict: of both verifiers; `refused`: there is nothing to trace, and the error says why.
        culprit: a pattern of what every accusation must name (`broken`), of what is named as missing (`incomplete`), or of the
            error (`refused`).
        why: in a sentence, why this is the right verdict.
        about: whose prediction is verified: of day 3 (`first`), 4 (`middle`: others follow) or 5 (`tip`: the newest commit).
        also: a pattern of what may be accused besides, rightly: what the change makes wrong without being the culprit.
        said: a pattern of a finding that must be there in the lake, whatever its result; `said_offline`: and in the bundle.
        export_refuses: a pattern of the error with which the export refuses, where it rightly does; `why` has the reason.
        lost: where there is nothing to trace, the verdict on what is left: whether something is gone or was changed.
        names: a pattern of the culprit that is then named.
        offline: the verdict of the bundle's script where it rightly is another one; `why` has the reason.
        cuts: nobody can follow the way beyond what is gone, so that a lie behind it stays unseen.
        alone: not to be combined with others: it takes something away that these need, or adds a commit.
        parts: the cases that this one is made of, where several are judged at once.
    """

    name: str
    change: Callable[[World], object]
    verdict: Outcome
    culprit: Text = ""
    why: str = ""
    about: str = "middle"
    also: str = ""
    said: str = ""
    said_offline: bool = False
    export_refuses: str = ""
    lost: Outcome = "incomplete"
    names: Text = ""
    offline: Outcome | None = None
    cuts: bool = False
    alone: bool = False
    parts: tuple["Case", ...] = ()

    def __str__(self) -> str:
        return self.name


ABOUT = {"first": 3, "middle": 4, "tip": 5}


def commit(table: str, version: int) -> str:
    """A commit, as findings name it."""
    return rf"{table}@{version}\b|{table}/_delta_log/0*{version}\.json"


ROW = r"^(prediction|feature row|answer)"  # findings about the row itself


def either(*patterns: str) -> str:
    return "|".join(patterns)


def several(given: Iterable[Case]) -> list[Case]:
    """The same change in many places: all of them under SOAK, else every fifteenth."""
    return list(given) if SOAK else list(given)[::15]


AT_ONCE = 6  # so many changes that must not matter are made to one copy, but in a soak


def cases(given: Sequence[Case], *, alike: bool = False) -> Any:
    """A test for each case, in a soak. Else those that must not matter are judged several at once: if any of them did matter, the
    verdict on all of them would be another one. And of those that break something, in a row of equals, every second is judged.

    `alike`: neighbours in the list change one thing, which can be done to a copy once."""
    names = [case.name for case in given]
    assert len(set(names)) == len(names), "two cases have one name"
    judged = list(given)
    if not SOAK:
        judged = _fewer([case for case in given if not _harmless(case)]) + at_once(filter(_harmless, given), alike)
    ids = [case.name.replace(", ", " ").replace(" ", "-") for case in judged]
    return pytest.mark.parametrize("case", judged, ids=ids)


def _fewer(given: Sequence[Case]) -> list[Case]:
    """All but every second of those that are about the same prediction and break something."""
    left: set[str] = set()
    for about in ABOUT:
        alike = [case.name for case in given if case.verdict == "broken" and case.about == about and not case.alone]
        left |= set(alike[1::2])
    return [case for case in given if case.name not in left]


def _harmless(case: Case) -> bool:
    return case.verdict == "verified" and case.about == "middle" and not (case.alone or case.offline)


def at_once(given: Iterable[Case], alike: bool) -> list[Case]:
    """A case for every few of these: neighbours, or those that stand as far apart as they can."""
    there = list(given)
    if alike:
        groups = 1 + len(there) // (AT_ONCE - 2)
        return [joined(there[first::groups]) for first in range(min(groups, len(there)))]
    return [joined(there[start : start + AT_ONCE]) for start in range(0, len(there), AT_ONCE)]


def joined(parts: Sequence[Case]) -> Case:
    if len(parts) == 1:
        return parts[0]
    why = "\n".join(f"{part.name}: {part.why}" for part in parts)
    return Case(" + ".join(part.name for part in parts), _all_of(parts), "verified", why=why, parts=tuple(parts))


def _all_of(parts: Sequence[Case]) -> Callable[[World], object]:
    return lambda world: [part.change(world) for part in parts]


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool | None
    detail: str
    required: bool

    def __str__(self) -> str:
        return f"{self.what} {self.detail}"


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        told = [f"\n      {'✗' if item.ok is False else '–'} {item}" for item in self.findings if item.ok is not True]
        return self.outcome + "".join(told)


def verdicts(world: World) -> tuple[Verdict, Verdict]:
    """Of both: in the lake, and of the script that comes with the bundle."""
    try:
        traced = world.store.trace(world.prediction)
    except AssayError as problem:
        refused = Verdict("refused", (Finding("trace", None, str(problem), True),))
        return refused, refused
    return in_lake(world, traced), offline(world, traced)


def in_lake(world: World, traced: Trace) -> Verdict:
    verification = world.store.verify(traced, embed=False, landing=world.landing)
    found = (Finding(item.what, item.ok, item.detail, item.required) for item in verification.checks)
    return Verdict(verification.outcome, tuple(found))


def offline(world: World, traced: Trace, *, whole_logs: bool = False) -> Verdict:
    try:
        files = export(world.store.lake, traced, world.store.lineage_store, whole_logs=whole_logs).files
    except AssayError as problem:
        return Verdict("refused", (Finding("export", None, str(problem), True),))
    found = verify(dict(files), lake=world.lake, landing=world.landing)
    return Verdict(outcome(found), tuple(Finding(*item) for item in found))  # type: ignore[arg-type]


def judge(case: Case, world: World) -> None:
    """Make the change and ask both."""
    world.prediction = world.of_day[ABOUT[case.about]]
    culprit, names = pattern_of(case.culprit, world), pattern_of(case.names, world)
    case.change(world)
    inside, outside = verdicts(world)
    problems = complaints(case, culprit, inside, "in the lake")
    parts = tuple(part for part in case.parts if part.said_offline)
    expected = replace(case, parts=parts, said=case.said if case.said_offline else "")
    if case.export_refuses:
        expected, culprit = Case(case.name, case.change, "refused", why=case.why), case.export_refuses
    elif case.offline:
        expected, culprit = Case(case.name, case.change, case.offline, why=case.why), ""
    problems += complaints(expected, culprit, outside, "offline")
    if case.verdict == "refused":
        problems += complaints(Case(case.name, case.change, case.lost), names, left_of(world), "what is left")
    assert not problems, "\n".join([f"{case.name}: {case.why}", *problems])


def left_of(world: World) -> Verdict:
    """What is known of a prediction that cannot be traced."""
    lost = world.store.lost_prediction(world.prediction)
    assert lost is not None, "nothing is known to be lost"
    return Verdict(
        lost.outcome, tuple(Finding(item.what, item.ok, item.detail, item.required) for item in lost.findings)
    )


def pattern_of(text: Text, world: World) -> str:
    return text if isinstance(text, str) else text(world)


def complaints(case: Case, culprit: str, verdict: Verdict, where: str) -> list[str]:
    wrong = list(_wrong(case, culprit, verdict))
    return [f"  {where}: {problem}" for problem in wrong] + ([f"  {where}, all of it: {verdict}"] if wrong else [])


def _wrong(case: Case, culprit: str, verdict: Verdict) -> Iterator[str]:
    if verdict.outcome != case.verdict:
        yield f"{verdict.outcome}, and {case.verdict} is right"
    accused = [item for item in verdict.findings if item.ok is False]
    missing = [item for item in verdict.findings if item.ok is None and item.required]
    named = accused if case.verdict == "broken" else missing
    if culprit and not any(re.search(culprit, str(item)) for item in named):
        yield f"nobody names {culprit}"
    if case.verdict != "broken":  # what is beside the point, such as a landing file, may be said to be changed
        yield from (f"accuses {item}" for item in accused if item.required)
    elif culprit:
        guilty = either(culprit, case.also) if case.also else culprit
        yield from (f"accuses an innocent: {item}" for item in accused if not re.search(guilty, str(item)))
    if case.verdict == "incomplete":
        innocent = [
            item for item in missing if not re.search(culprit, str(item)) and not _CONSEQUENCE.search(str(item))
        ]
        yield from (f"misses what is there: {item}" for item in innocent)
    for said in filter(None, (part.said for part in (case, *case.parts))):
        if not any(re.search(said, str(item)) for item in verdict.findings):
            yield f"does not say {said}"
