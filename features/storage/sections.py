"""Typed sections of a commit's metadata: what some kinds of tables say besides run, inputs and checks.

A section is one JSON object under its own key in the commit (`assay.predictions`, …). Keys that this code does not know are
kept in `more` and written back. The format is described in docs/commit-format.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Self

from assay.errors import AssayError


class SectionDamaged(AssayError):
    """A section of a commit is not what it must be. `section` is its name."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"Section {name!r} of a commit is damaged: {problem}.")
        self.section, self.problem = name, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What all sections share: they are read from and written to JSON objects."""

    name: ClassVar[str]
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        names = _names(cls)
        fields, more = {}, {}
        for key, value in data.items():
            if key not in names:
                more[key] = value
            elif value is not None:
                fields[key] = _frozen(value) if isinstance(value, list | tuple) else value
        return cls(**fields, more=more)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what is empty is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "more"}
        return {key: _plain(value) for key, value in values.items() if value not in (None, "", (), {})} | dict(
            self.more
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding(Section):
    """How the vectors of a table were made: the model, its SHA-256 and revision, and the engine's settings."""

    name: ClassVar[str] = "embedding"
    model: str = ""
    digest: str = ""
    revision: str = ""
    dimensions: int = 0
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Section):
    """A model that a commit stored: the version and SHA-256 of its artefact, the training set it was fitted on, and which part of
    that: the definition of the `split`."""

    name: ClassVar[str] = "model"
    version: str = ""
    sha256: str = ""
    training_set: str = ""
    split: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions(Section):
    """Who predicted, and from what.

    `keys` identify a prediction, `features` are the references that it was joined by, `feature_columns` the columns that
    are digested into `feature_digest`, and `outputs` the columns that hold the model's answers (empty in commits of
    before `assay.format`: see `assay.lineage.predictions.outputs`). `outputs_by` is `default` where nobody declared them,
    so that they are all columns without another role. `answers` is the Merkle root over what was answered, in the columns
    `answered` of each row, sorted by id (see `assay.lineage.predictions.answers`). `joined` says how the features were joined
    (`known_at`, `skip_nulls`), `spine` where the rows come from: its `table` and the column with their `event_time`, or that
    a function gave them (`built`), with the keys by which it looked into further tables (`lookups`). Both are empty where nobody
    recorded it. `uses` are the references that on-demand features were computed of, `request` the columns of each row that hold
    their other inputs.
    """

    name: ClassVar[str] = "predictions"
    model: str = ""
    version: str = ""
    keys: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    feature_columns: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    outputs_by: str = ""
    answered: tuple[str, ...] = ()
    answers: str = ""
    joined: Mapping[str, Any] = field(default_factory=dict)
    spine: Mapping[str, Any] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    request: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Section):
    """Which code ran: the installed release, and in a git working copy its commit."""

    name: ClassVar[str] = "code"
    assay: str = ""
    git: str = ""
    changed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Section):
    """What a person decided about quarantined rows; corrected values stand in the table only."""

    name: ClassVar[str] = "decision"
    id: str = ""
    action: str = ""
    rows: tuple[Any, ...] = ()
    row_count: int = 0
    columns: tuple[str, ...] = ()
    edits_sha256: str = ""
    exceptions: tuple[str, ...] = ()
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Section):
    """A batch in counts of rows: in = clean + quarantined."""

    name: ClassVar[str] = "report"
    rows_in: int = 0
    rows_clean: int = 0
    rows_quarantined: int = 0
    rows_released: int = 0
    rows_rejected: int = 0

    def to_dict(self) -> dict[str, Any]:
        counts = ("rows_in", "rows_clean", "rows_quarantined", "rows_released", "rows_rejected")
        return {name: getattr(self, name) for name in counts} | dict(self.more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes(Section):
    """What a look at a table showed that is compared with what the lake holds of it.

    `keys` identify a row. The counts are of rows: of a look at the `whole` table all of them, else of those that were asked for.
    `seen_at` is when it was looked at, `whole_at` when last at all of it (ISO 8601). Where each partition has the whole state
    (`states`), the counts are of one partition `against` the one before it. A table that only holds changes, as clean does, has
    the keys alone.
    """

    name: ClassVar[str] = "changes"
    keys: tuple[str, ...] = ()
    states: bool = False
    against: str = ""
    whole: bool = False
    seen_at: str = ""
    whole_at: str = ""
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None
    unchanged: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it says how many rows are other than they were."""
        return self.inserted is not None

    @property
    def total(self) -> int:
        """How many rows are other than they were."""
        return (self.inserted or 0) + (self.updated or 0) + (self.deleted or 0)

    def __str__(self) -> str:
        return (
            f"{self.inserted or 0:,} inserted, {self.updated or 0:,} changed, {self.deleted or 0:,} deleted, "
            f"{self.unchanged or 0:,} unchanged"
        )


TYPED: dict[str, type[Section]] = {
    section.name: section for section in (Embedding, Model, Predictions, Code, Decision, Report, Changes)
}
# JSON objects whose form belongs to those who write and read them: views, training sets, column lineage, profiles.
OBJECTS = ("view", "serving", "manifest", "column_lineage", "profile")
NAMES = (*OBJECTS, *TYPED)
_SAME = frozenset((*OBJECTS, "code", "decision", "report"))  # called in `assay.extra` as today


# What those who read these objects rely on: key → form. A list of one form is a list of such; `?` may be left out or null.
_READ = {"table": str, "version": int, "table_id": str, "commit_sha256": str, "digest": str, "partitions?": [str]}
_SERVED = {
    "keys?": [str],
    "entity?": str,
    "event_time?": str,
    "known_time?": str,
    "max_age_us?": int,
    "kind?": str,
    "states?": bool,
}
_FORMS: dict[str, dict[str, Any]] = {
    "view": {"name?": str, "entity?": str, "event_time?": str, "features?": [Mapping]},
    "serving": {**_SERVED, "keys": [str]},
    "manifest": {
        "rows": int,
        "inputs": [_READ],
        "features": [{"table": str, "serving": _SERVED, "features": [Mapping]}],
        "references": [str],
        "content_digest": str,
        "schema": [{"name": str}],
    },
}
# All others are lists.
_OF_FIELDS: dict[Any, Any] = {
    str: str,
    int: int,
    bool: bool,
    str | None: str,
    int | None: int,
    Mapping[str, Any]: Mapping,
}


def section(name: str, value: Any) -> Any:
    """A section as the commit offers it: typed, or a JSON object. Raises AssayError for an unknown name, and SectionDamaged
    for a value of another form."""
    if name not in NAMES:
        raise AssayError(f"A commit has no section {name!r}. Sections are: {', '.join(NAMES)}.")
    kind = TYPED.get(name)
    if kind is not None and isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise SectionDamaged(name, f"it must be a mapping, not {type(value).__name__}")
    problem = _problem(value, _forms(kind) if kind is not None else _FORMS.get(name, {}))
    if problem:
        raise SectionDamaged(name, problem)
    return kind.from_dict(value) if kind is not None else value


def from_extra(extra: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sections, and the rest, of the untyped `assay.extra` of commits without `assay.format`.

    There `model` means an embedding model in one commit and the model of predictions in another; only the second has keys.
    """
    rest = dict(extra)
    sections: dict[str, Any] = {}
    model = rest.get("model")
    if isinstance(model, Mapping) and "keys" in model:
        described = {**rest.pop("model"), "features": rest.pop("features", ()), "outputs": rest.pop("outputs", ())}
        sections["predictions"] = Predictions.from_dict({"model": described.pop("name", ""), **described})
    elif isinstance(model, Mapping) and "digest" in model:
        described = dict(rest.pop("model"))
        about = {name: rest.pop(name) for name in ("dimensions", "engine") if name in rest}
        sections["embedding"] = Embedding.from_dict({"model": described.pop("name", ""), **described, **about})
    for name in [name for name in rest if name in _SAME]:
        if isinstance(rest[name], Mapping):
            sections[name] = section(name, rest.pop(name))
    return sections, rest


def to_json(value: Any) -> Any:
    """The JSON object of a section."""
    return value.to_dict() if isinstance(value, Section) else _plain(value)


@cache
def _forms(kind: type[Section]) -> dict[str, Any]:
    """The forms of a typed section's fields. None of them is required."""
    return {f"{item.name}?": _OF_FIELDS.get(item.type, [object]) for item in fields(kind) if item.name != "more"}


def _problem(value: Any, form: Any) -> str:
    """What keeps a JSON value from having a form, without the value; nothing if it has it."""
    if isinstance(form, list):
        if not isinstance(value, list | tuple):
            return f"it must be a list, not {type(value).__name__}"
        return next(filter(None, (_problem(item, form[0]) for item in value)), "")
    if not isinstance(form, dict):
        return "" if isinstance(value, form) else f"it must be {form.__name__}, not {type(value).__name__}"
    if not isinstance(value, Mapping):
        return f"it must be an object, not {type(value).__name__}"
    for key, expected in form.items():
        name = key.removesuffix("?")
        if value.get(name) is None:
            if name == key:
                return f"{name!r} is missing"
        elif found := _problem(value[name], expected):
            return f"in {name!r}, {found}"
    return ""


@cache
def _names(kind: type[Section]) -> frozenset[str]:
    return frozenset(item.name for item in fields(kind)) - {"more"}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
