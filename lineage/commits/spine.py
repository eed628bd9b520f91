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
    come from and the column with their event time, as `sections.Predictions.spine`."""

    keys: tuple[str, ...]
    references: tuple[str, ...]
    joined: Joined
    source: Mapping[str, Any] = field(default_factory=dict)

    def features_of(self, view: str) -> list[str]:
        """The names of the features that were taken of a view; `*` for all."""
        parsed = map(Reference.parse, self.references)
        return [item.feature for item in parsed if item.view == view]

    def is_built_from(self, table: str) -> bool:
        """Whether a function made the rows, or another table is named as theirs: any row of this one may be behind each."""
        return bool(self.source) and (bool(self.source.get("built")) or self.source.get("table") != table)

    def is_made_of(self, table: str) -> bool:
        """Whether a function made the rows of this table's partitions."""
        return bool(self.source.get("built")) and self.source.get("table") == table

    def time_of(self, table: str) -> str | None:
        """The column of a table that became the event time of the rows; None where that is not recorded."""
        return self.source.get("event_time") if self.source.get("table") == table else None


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


def _joined(said: Mapping[str, Any]) -> Joined:
    known = said.get("known_at", "event") == "known"
    return Joined(("known",) if known else ("event",), bool(said.get("skip_nulls", False)))


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
