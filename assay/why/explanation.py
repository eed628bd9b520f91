"""Why a prediction is as it is: values that say it as text and as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.errors import plural
from assay.features.storage.verdict import CheckState
from assay.lineage.outline import Line, Outline, Span, leaf, line
from assay.lineage.verification.finding import Verification

SHOWN = 10  # source rows
_VERDICTS = {
    "verified": "everything that it rests on is still there, and computes to the same",
    "incomplete": "nothing contradicts it, but some of what it rests on is gone or vouched for by nobody",
    "broken": "something is not what it was when the prediction was made",
}


@dataclass(frozen=True, slots=True)
class Unusual:
    """One thing that is not as it usually is. `kind` names it for programs, `sentence` says it; `of_training`: it is about
    what the model was trained from, not about this prediction's own data."""

    kind: str
    sentence: str
    table: str = ""
    of_training: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A delivered row behind the prediction. `values` are masked by the contract; `notes` are what is unusual about it."""

    table: str
    file: str
    sha256: str
    row_number: int
    because: tuple[str, ...]
    values: Mapping[str, str | None]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        return own | {"because": list(self.because), "values": dict(self.values), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class RuleResult:
    """A rule of a step: its name, what it demands (of a `subject`, such as a column), what was found, and what became of it."""

    name: str
    subject: str
    demand: str
    result: str
    state: CheckState

    @property
    def ok(self) -> bool | None:
        """None where it was not judged; true where the rows that broke it went to quarantine, as agreed."""
        return None if self.state is CheckState.NOT_JUDGED else self.state in (CheckState.HELD, CheckState.SET_ASIDE)

    @property
    def meaning(self) -> str:
        return f"{self.subject} {self.demand}".lstrip()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "meaning": self.meaning,
            "result": self.result,
            "ok": self.ok,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A table on the way: who wrote what was read of it last, by which contract, and which rules it passed."""

    table: str
    kind: str
    versions: tuple[int, ...]
    read: str
    owner: str
    contract: str
    run_id: str
    more_runs: int
    actor: str
    at: datetime | None
    code_version: str
    rules: tuple[RuleResult, ...]
    status: str
    lookup: bool
    of_training: bool

    def to_dict(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        more = {"versions": list(self.versions), "at": self.at and self.at.isoformat()}
        return own | more | {"rules": [rule.to_dict() for rule in self.rules]}

    @property
    def broken(self) -> list[RuleResult]:
        return [rule for rule in self.rules if rule.ok is False]

    @property
    def held(self) -> list[str]:
        """The rules that held, in clauses: those that demand the same of several columns together."""
        subjects: dict[str, list[str]] = {}
        for rule in self.rules:
            if rule.state is CheckState.HELD:
                subjects.setdefault(rule.demand, []).append(rule.subject)
        together = [
            f"{', '.join(names)}: each {demand}" if len(names) > 1 else f"{names[0]} {demand}".lstrip()
            for demand, names in subjects.items()
        ]
        return [
            *together,
            *(f"{rule.meaning} ({rule.result})" for rule in self.rules if rule.state is CheckState.SET_ASIDE),
        ]

    @property
    def not_judged(self) -> list[str]:
        return [f"{rule.meaning}: {rule.result}" for rule in self.rules if rule.ok is None]

    @property
    def versions_text(self) -> str:
        return ", ".join(f"@{version}" for version in self.versions)

    @property
    def rules_in_short(self) -> str:
        judged = [rule for rule in self.rules if rule.ok is not None]
        held = sum(bool(rule.ok) for rule in judged)
        return f"{held} of {plural(len(judged), 'rule')} held" if judged else ""


@dataclass(frozen=True, slots=True)
class Why:
    """A prediction and where its answer came from. `about` are its keys, masked where they are personal or where no contract
    knows them. `rows` are the first of `row_count`; None: they cannot be found any more, and `rows_problem` says why."""

    prediction_id: str
    model: str
    model_version: str
    answer: Mapping[str, str | None]
    confidence: float | None
    attached: Mapping[str, str | None]
    about: Mapping[str, str | None]
    event_time: datetime
    made_at: datetime
    run_id: str
    actor: str
    unusual: tuple[Unusual, ...]
    rows: tuple[ShownRow, ...]
    row_count: int | None
    file_count: int
    rows_problem: str
    steps: tuple[StepTaken, ...]
    verification: Verification | None = None
    bundle: Mapping[str, Any] | None = None

    @property
    def answer_text(self) -> str:
        return " · ".join(f"{name} {value}" for name, value in self.answer.items()) or "no answer was stored"

    @property
    def about_text(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.about.items())

    @property
    def rows_text(self) -> str:
        if self.row_count is None:
            return f"The delivered rows behind it cannot be listed: {self.rows_problem}"
        if not self.row_count:
            return "No delivered row is recorded behind this prediction's own features."
        first = f"; the first {SHOWN}" if self.row_count > SHOWN else ""
        return f"{plural(self.row_count, 'delivered row')} in {plural(self.file_count, 'file')}{first}"

    @property
    def verdict_text(self) -> str:
        if self.verification is None:
            return "not verified yet (add --verify)"
        return f"{self.verification.outcome}: {_VERDICTS[self.verification.outcome]}; the answer was {_answer(self.verification)}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "prediction_id": self.prediction_id,
            "model": self.model,
            "model_version": self.model_version,
            "answer": dict(self.answer),
            "confidence": self.confidence,
            "attached": dict(self.attached),
            "about": dict(self.about),
            "event_time": self.event_time.isoformat(),
            "made_at": self.made_at.isoformat(),
            "run_id": self.run_id,
            "actor": self.actor,
            "unusual": [item.to_dict() for item in self.unusual],
            "row_count": self.row_count,
            "file_count": self.file_count,
            "rows_problem": self.rows_problem,
            "rows": [row.to_dict() for row in self.rows],
            "steps": [step.to_dict() for step in self.steps],
            "verification": self.verification.to_dict() if self.verification is not None else None,
            "bundle": dict(self.bundle) if self.bundle is not None else None,
        }

    def outline(self) -> Outline:
        """One screen: the answer, what was unusual, the rows, the steps, the verdict."""
        confidence = f" (confidence {self.confidence:.3g})" if self.confidence is not None else ""
        head = (
            line(Span(self.answer_text, "strong"), confidence),
            line(f"by {self.model} {self.model_version}", Span(f" · prediction {self.prediction_id}", "dim")),
            line(
                f"about {self.about_text} " if self.about else "",
                f"at {self.event_time:%Y-%m-%d %H:%M} UTC",
                Span(f" · made {self.made_at:%Y-%m-%d %H:%M} UTC", "dim"),
                Span(f" by {self.actor}" if self.actor else "", "dim"),
            ),
        )
        texts = (line(Span(name.replace("_", " "), "dim"), f" {text}") for name, text in self.attached.items())
        return Outline((*head, *texts), (self._unusual(), self._rows(), *self._steps(), self._verdict()))

    def _unusual(self) -> Outline:
        if not self.unusual:
            return leaf(Span("Nothing unusual was found", "good"), Span(" on the way to this answer", "dim"))
        items = tuple(
            leaf(Span("in the model's training: " if item.of_training else "", "dim"), item.sentence)
            for item in self.unusual
        )
        return Outline((line(Span(f"What was unusual ({len(items)})", "warning")),), items)

    def _rows(self) -> Outline:
        return Outline(
            (line(Span(self.rows_text, "strong" if self.row_count else "dim")),), tuple(map(_row, self.rows))
        )

    def _steps(self) -> Iterator[Outline]:
        for of_training, title in ((False, "The way to it"), (True, "What the model was trained from")):
            steps = tuple(_step(step) for step in self.steps if step.of_training is of_training)
            if steps:
                yield Outline((line(Span(title, "strong")),), steps)

    def _verdict(self) -> Outline:
        style = {"verified": "good", "incomplete": "warning", "broken": "bad"}
        found = self.verification
        text = Span(self.verdict_text, style[found.outcome] if found is not None else "dim")  # pyright: ignore[reportArgumentType]
        problems = (
            tuple(leaf(f"{item.what}: {item.detail}") for item in found.checks if item.ok is False) if found else ()
        )
        return Outline((line(Span("Is that true? ", "strong"), text),), problems)

    def __str__(self) -> str:
        return str(self.outline())


def _answer(verification: Verification) -> str:
    words = {"checked": "computed again and is the same", "differs": "computed again and differs"}
    return words.get(verification.answer, "not computed again")


def _row(row: ShownRow) -> Outline:
    values = ", ".join(f"{name} {value}" for name, value in row.values.items() if value is not None)
    lines: list[Line] = [
        line(f"{row.file} row {row.row_number}", Span(f"  {values}", "")),
        line(Span(f"because: {'; '.join(row.because)}", "dim")),
    ]
    lines += [line(Span(note, "warning")) for note in row.notes]
    return Outline(tuple(lines))


def _step(step: StepTaken) -> Outline:
    facts = [
        f"contract {step.contract}" if step.contract else "",
        f"owner {step.owner}" if step.owner else "",
        f"run {step.run_id}" + (f" and {step.more_runs} more" if step.more_runs else "") if step.run_id else "",
        f"by {step.actor}" if step.actor else "",
        step.rules_in_short,
    ]
    title = line(
        Span("looked up: ", "dim") if step.lookup else "",
        Span(step.table, "strong"),
        f"{step.versions_text}  {step.read}",
        Span("" if step.status == "readable" else f" {step.status}", "bad"),
    )
    below = [leaf(Span("! ", "warning"), rule.meaning, Span(f"  {rule.result}", "dim")) for rule in step.broken]
    if step.held and not step.of_training and not step.lookup:
        below.append(leaf(Span(f"held: {'; '.join(step.held)}", "dim")))
    known = " · ".join(filter(None, facts))
    return Outline((title, *([line(Span(known, "dim"))] if known else [])), tuple(below))
