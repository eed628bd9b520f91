"""Why a prediction is as it is: values that say it as text and as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.errors import plural
from assay.lineage.outline import Line, Outline, Span, leaf, line
from assay.lineage.verification.finding import Verification, marked
from assay.why.items import GivenAnswer, ShownFeatures, ShownRow, StepTaken, Unusual
from assay.why.verdict import in_sentences

SHOWN = 10  # source rows


@dataclass(frozen=True, slots=True)
class Why:
    """A prediction and where its answer came from. `about` are its keys, masked where they are personal or where no contract
    knows them. `features` are what the model was given, `answers` all that the same question has got, the latest first.
    `every_row` has `row_count` rows, of which the first `listed` are shown (None: all); None: they cannot be found any more.
    `rows_problem` says why they, or some, cannot."""

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
    features: tuple[ShownFeatures, ...]
    answers: tuple[GivenAnswer, ...]
    every_row: tuple[ShownRow, ...]
    row_count: int | None
    file_count: int
    rows_problem: str
    steps: tuple[StepTaken, ...]
    verification: Verification | None = None
    bundle: Mapping[str, Any] | None = None
    listed: int | None = SHOWN

    @property
    def rows(self) -> tuple[ShownRow, ...]:
        """The first rows: as many as a screen shows, if not all are asked for."""
        return self.every_row[: self.listed]

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
            return self.rows_problem or "No delivered row is recorded behind this prediction's own features."
        first = f"; the first {len(self.rows)}" if len(self.rows) < self.row_count else ""
        besides = f". {self.rows_problem}" if self.rows_problem else ""
        return f"{plural(self.row_count, 'delivered row')} in {plural(self.file_count, 'file')}{first}{besides}"

    @property
    def answers_text(self) -> str:
        """Which answer to the question is the latest, and what else was answered, in sentences; nothing for the only answer."""
        own = next((place for place, item in enumerate(self.answers) if item.prediction_id == self.prediction_id), None)
        if own is None or len(self.answers) < 2:
            return ""
        others = [item for place, item in enumerate(self.answers) if place != own]
        if own:
            text = f"This is not the latest answer. It was replaced by {self.answers[0].text}"
            others = others[1:]
        else:
            text = "This is the latest answer"
        also = "; ".join(item.text for item in others)
        also = f" Before it: {also}." if also and not own else f" There is also: {also}." if also else ""
        return f"{text}.{also}"

    @property
    def verdict_text(self) -> str:
        if self.verification is None:
            return "not verified yet (add --verify)"
        return f"{self.verification.outcome}. {in_sentences(self.verification)}"

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
            "answers": [item.to_dict() for item in self.answers],
            "features": [item.to_dict() for item in self.features],
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
        texts = [line(Span(name.replace("_", " "), "dim"), f" {text}") for name, text in self.attached.items()]
        texts += [line(Span(self.answers_text, "warning"))] if self.answers_text else []
        parts = (self._unusual(), *self._features(), self._rows(), *self._steps(), self._verdict())
        return Outline((*head, *texts), parts)

    def _unusual(self) -> Outline:
        if not self.unusual:
            return leaf(Span("Nothing unusual was found", "good"), Span(" on the way to this answer", "dim"))
        items = tuple(
            leaf(Span("in the model's training: " if item.of_training else "", "dim"), item.sentence)
            for item in self.unusual
        )
        return Outline((line(Span(f"What was unusual ({len(items)})", "warning")),), items)

    def _features(self) -> Iterator[Outline]:
        if self.features:
            below = (leaf(Span(f"{one.source_text}: ", "dim"), one.values_text) for one in self.features)
            yield Outline((line(Span("What the model was given", "strong")),), tuple(below))

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
        return Outline((line(Span("Is that true? ", "strong"), text),), marked(found.checks) if found else ())

    def __str__(self) -> str:
        return str(self.outline())


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
