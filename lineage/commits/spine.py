"""What a commit says of its rows: what identifies them, where they come from, and how features were joined to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.features.serving.join_options import EVENT_TIME, JoinOptions
from assay.features.serving.references import Reference
from assay.features.serving.served import Joined
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.kinds import Kind
from assay.lineage.commits.graph import CommitGraph

# Nobody wrote down which.
_EITHER = (JoinOptions("event"), JoinOptions("known"))


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What was taken of a view in one role: `keys` of the view by the column of the row that was compared with each, where the
    two are called differently; the features (`*` for all); and how they were joined. `name` is that of the role, `references` say
    what the features are called in the row."""

    keys: Mapping[str, str]
    features: tuple[str, ...]
    joined: Joined
    name: str = ""
    references: tuple[Reference, ...] = ()

    def column(self, key: str) -> str:
        """The column of the row that was compared with a key of the view."""
        return self.keys.get(key, key)


@dataclass(frozen=True, slots=True, eq=False)
class Spine:
    """`keys` identify a row, `references` are the features that it was given and those that these were computed of, `ways` how
    they may have been joined (several where nobody wrote it down), `event_time` is the column with its time. `source`: the table
    that the rows come from and the column of that which became the time, as `sections.Predictions.spine`.

    A row of the spine gives a prediction its keys, its time and its text, and nothing else."""

    keys: tuple[str, ...]
    references: tuple[str, ...]
    ways: tuple[JoinOptions, ...]
    source: Mapping[str, Any] = field(default_factory=dict)
    event_time: str = EVENT_TIME

    def roles_of(self, view: str) -> list[TakenIn]:
        """What was taken of a view, in each of its roles; nothing where no reference names it."""
        roles: dict[str, list[Reference]] = {}
        for item in map(Reference.parse, self.references):
            if item.view == view:
                roles.setdefault(item.join, []).append(item)
        return [
            TakenIn(
                dict(taken[0].on), tuple(item.feature for item in taken), self.joined(join, view), join, tuple(taken)
            )
            for join, taken in roles.items()
        ]

    def joined(self, join: str, view: str) -> Joined:
        """How the features of a view were joined in a role."""
        ways = [way.of(join, view) for way in self.ways]
        return Joined(tuple(dict.fromkeys(known for known, _ in ways)), any(skip for _, skip in ways))

    @property
    def is_built(self) -> bool:
        """Whether a function made the rows."""
        return bool(self.source.get("built"))

    def is_of(self, table: str) -> bool:
        """Whether the rows are those of a table, as far as it is recorded which table's they are."""
        return not self.source or self.source.get("table") == table

    def is_made_of(self, table: str) -> bool:
        """Whether a function made the rows of this table's partitions."""
        return bool(self.source.get("built")) and self.source.get("table") == table

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
    ways = (JoinOptions.from_dict(described.joined),) if described.joined else _as_learnt(commits, commit)
    return Spine(described.keys, (*described.uses, *described.features), ways, described.spine)


def spine_of_training(commit: Commit) -> Spine | None:
    """Of a training set; None where its manifest does not say enough."""
    manifest = commit.manifest or {}
    if not {"references", "known_at", "skip_nulls"} <= set(manifest):
        return None
    options = JoinOptions.from_dict(manifest)
    references = (*manifest.get("uses", ()), *manifest["references"])
    return Spine((), references, (options,), event_time=options.event_time)


def _as_learnt(commits: CommitGraph, commit: Commit) -> tuple[JoinOptions, ...]:
    for item in commit.inputs:
        if Kind.MODELS.holds(item.snapshot.table) and not item.lookup:
            for number in commits.writers(commit, item)[-1:]:
                written = commits.commit((item.snapshot.table, number))
                name, _, version = (written.model.training_set if written and written.model else "").rpartition("@")
                log = commits.log(Kind.TRAINING.table(name)) if name and version.isdecimal() else None
                made = log.commit(int(version)) if log else None
                if made is not None and made.manifest and "known_at" in made.manifest:
                    return (JoinOptions.from_dict(made.manifest),)
    return _EITHER
