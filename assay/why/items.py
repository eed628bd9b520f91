"""What an explanation of a prediction consists of: values that say it as text and as data."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.errors import plural
from assay.features.storage.verdict import CheckState


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
    """A delivered row behind the prediction. `values` are masked by the contract; `notes` are what is unusual about it. `same`
    and `differs` are the prediction's keys in which it agrees, and in which it is about others."""

    table: str
    file: str
    sha256: str
    row_number: int
    because: tuple[str, ...]
    values: Mapping[str, str | None]
    notes: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("because", "notes", "same", "differs")}
        return {name: getattr(self, name) for name in self.__slots__} | {"values": dict(self.values)} | lists

    def is_about(self, whose: Collection[str]) -> bool:
        """Whether it is about the same as the prediction: in the keys `whose`, else in all keys that its table has."""
        return set(whose) <= set(self.same) if whose else not self.differs


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One of the answers to a question: by which version of the model, and when it was made."""

    prediction_id: str
    model_version: str
    answer: Mapping[str, str | None]
    made_at: datetime | None

    @property
    def text(self) -> str:
        answer = " · ".join(f"{name} {value}" for name, value in self.answer.items())
        made = f", made {self.made_at:%Y-%m-%d %H:%M:%S} UTC" if self.made_at is not None else ""
        return f"{answer} (version {self.model_version}{made}, {self.prediction_id})"

    def to_dict(self) -> dict[str, Any]:
        made = self.made_at.isoformat() if self.made_at is not None else None
        return {name: getattr(self, name) for name in self.__slots__} | {"answer": dict(self.answer), "made_at": made}


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
        aside = sum(rule.state is CheckState.SET_ASIDE for rule in judged)
        held = sum(bool(rule.ok) for rule in judged) - aside
        besides = f", {aside} set rows aside" if aside else ""
        return f"{held} of {plural(len(judged), 'rule')} held{besides}" if judged else ""


@dataclass(frozen=True, slots=True)
class ShownFeatures:
    """What one view gave: `values` masked and as texts, None where there was none. `event_time` is that of the row that was
    served; `age` how old it was then, in words."""

    view: str
    table: str
    version: int
    keys: tuple[str, ...]
    values: Mapping[str, str | None]
    event_time: datetime | None
    age: str
    absent: bool

    @property
    def source_text(self) -> str:
        """Where they come from and how old they were, in short."""
        if self.absent:
            return f"{self.view}: no row was there"
        if self.event_time is None:
            return f"{self.view}: looked up by {', '.join(self.keys)}"
        return f"{self.view}: as of {self.event_time:%Y-%m-%d %H:%M} UTC, {self.age}"

    @property
    def values_text(self) -> str:
        return ", ".join(f"{name} {value if value is not None else '–'}" for name, value in self.values.items())

    def to_dict(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        time = self.event_time.isoformat() if self.event_time is not None else None
        return own | {"keys": list(self.keys), "values": dict(self.values), "event_time": time}
