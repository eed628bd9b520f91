"""What a commit says of its rows: what identifies them, where they come from, and how features were joined to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.features.serving.feature_refs import Reference
from assay.features.serving.served import Joined
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind
from assay.lineage.commits.graph import CommitGraph

_EITHER = Joined(("event", "known"))  # nobody wrote down which


@dataclass(frozen=True, slots=True, eq=False)
class Spine:
    """`keys` identify a row, `references` are the features that it was given, `joined` is how. `source`: the table that the rows
    come from and the column with their event time, as `sections.Predictions.spine`.

    A row of the spine gives a prediction its keys, its time and its text, and nothing else."""

    keys: tuple[str, ...]
    references: tuple[str, ...]
    joined: Joined
    source: Mapping[str, Any] = field(default_factory=dict)

    def features_of(self, view: str) -> list[str]:
        """The names of the features that were taken of a view; `*` for all."""
        parsed = map(Reference.parse, self.references)
        return [item.feature for item in parsed if item.view == view]

    @property
    def is_built(self) -> bool:
        """Whether a function made the rows."""
        return bool(self.source.get("built"))

    def is_of(self, table: str) -> bool:
        """Whether the rows are those of a table, as far as it is recorded which table's they are."""
        return not self.source or self.source.get("table") == table

    def time_of(self, table: str) -> str | None:
        """The column of a table that became the event time of the rows; None where that is not recorded."""
        return self.source.get("event_time") if self.source.get("table") == table else None

    def looked_up_by(self, table: str) -> tuple[str, ...]:
        """The keys by which a function that made the rows looked into a further table; () where it did not declare them."""
        declared = self.source.get("lookups")
        return tuple(map(str, declared.get(table, ()))) if isinstance(declared, Mapping) else ()


def spine_of_predictions(commits: CommitGraph, commit: Commit) -> Spine:
    """Of a commit of predictions. Where it does not say how features were joined, its model's training set does."""
    described = commit.predictions
    if described is None:
        return Spine((), (), _EITHER)
    joined = _joined(described.joined) if described.joined else _as_learnt(commits, commit)
    return Spine(described.keys, described.features, joined, described.spine)


def spine_of_training(commit: Commit) -> Spine | None:
    """Of a training set; None where its manifest does not say enough."""
    manifest = commit.manifest or {}
    if not {"references", "known_at", "skip_nulls"} <= set(manifest):
        return None
    return Spine((), tuple(manifest["references"]), _joined(manifest))


def _joined(manifest: Mapping[str, Any]) -> Joined:
    known = manifest.get("known_at", "event") == "known"
    return Joined(("known",) if known else ("event",), bool(manifest.get("skip_nulls", False)))


def _as_learnt(commits: CommitGraph, commit: Commit) -> Joined:
    for item in commit.inputs:
        if Kind.MODELS.holds(item.snapshot.table) and not item.lookup:
            for number in commits.writers(commit, item)[-1:]:
                written = commits.commit((item.snapshot.table, number))
                name, _, version = (written.model.training_set if written and written.model else "").rpartition("@")
                log = commits.log(Kind.TRAINING.table(name)) if name and version.isdecimal() else None
                made = log.commit(int(version)) if log else None
                if made is not None and made.manifest and "known_at" in made.manifest:
                    return _joined(made.manifest)
    return _EITHER
