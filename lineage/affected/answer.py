"""The predictions that took affected rows, one by one: `affected_predictions` follows the rows, `batches` lists what they led to.

Direct are predictions that were served an affected feature row, or are about an affected row. A model that learnt from affected
rows affects what it predicts in another way: those predictions are a group of their own, and are listed when asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from assay.errors import plural
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake
from assay.lineage.affected.counted import only_set_aside, rows_once, tables_on_the_way
from assay.lineage.affected.files import DESCRIBED, File, described, file_outlines, files_meant
from assay.lineage.affected.listed import DIRECT, SCHEMA, listed
from assay.lineage.affected.origin import Origin, selected
from assay.lineage.affected.selection import Gone
from assay.lineage.affected.walk import Walk
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.outline import Outline, Span, leaf, line
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.queries.other_readers import OtherReader, other_readers
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.impact import named_models

Tick = Callable[[str, int, int], None]


@dataclass
class Count:
    """How many predictions of one model were listed: `direct`, and others through their `model`; `inexact` of them may be
    unaffected."""

    direct: int = 0
    model: int = 0
    inexact: int = 0


@dataclass(eq=False)
class AffectedPredictions:
    """What affected rows led to. `batches` reads the predictions; `counts`, `notes` and `reasons` are whole once it has ended,
    which `read` sees to. `files`: what became of the delivered files that are asked about, the newest of `files_meant`. `others`:
    jobs of other producers that read affected tables (`OtherReader`), where the index of runs was asked: what these make is not
    in the lake."""

    origin: Origin
    walk: Walk = field(repr=False)
    owners: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[File, ...] = ()
    files_meant: int = 0
    others: tuple[OtherReader, ...] = ()
    counts: dict[str, Count] = field(default_factory=dict)
    _notes: dict[str, None] = field(default_factory=dict, repr=False)
    _is_read: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything could be followed: no prediction is missing from the list."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What could not be followed."""
        return tuple(self.walk.commits.reasons)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where more predictions may be listed than are affected."""
        return (*self.walk.notes, *self._notes)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The versions of models that learnt from affected rows, as `router@3`."""
        return named_models(self.walk.commits, self.walk.of(Kind.MODELS))

    @cached_property
    def training_sets(self) -> tuple[str, ...]:
        """The training sets with affected rows, as `router@2`."""
        return tuple(f"{own_name(table)}@{version}" for table, version in self.walk.of(Kind.TRAINING))

    @cached_property
    def through_models(self) -> int:
        """How many predictions were made by affected models, whether they took affected rows themselves or not."""
        made = [version for version in self.walk.predicted if self.walk.through_model(version)]
        return rows_once(self.walk.commits, made)

    def batches(self, *, through_models: bool = False, tick: Tick | None = None) -> Iterator[pl.DataFrame]:
        """The affected predictions with the columns of `SCHEMA`, some at a time, by table and version.

        `keys` and `answer` are JSON objects: what identifies a prediction, and the model's outputs with its confidence.
        `affected`: `direct`, or `model`. `through`: the tables that affected rows were taken from. `exact`: False where it could
        not be followed row by row, so that the prediction may be unaffected.

        Args:
            through_models: Also predictions that are only affected through their model.
            tick: Is called with what is done, how many commits of predictions are done, and of how many.
        """
        self.counts.clear()
        self._notes.clear()
        versions = self.walk.predicted
        commits = [self.walk.commits.commit(version) for version in versions]
        # What was appended is new; only what was written again can hold an id a second time.
        again = {commit.table for commit in commits if commit is not None and commit.mode != "append"}
        seen: dict[str, set[str]] = {table: set() for table in again}
        for number, (version, commit) in enumerate(zip(versions, commits, strict=True)):
            if tick is not None:
                tick("predictions", number, len(versions))
            try:
                for rows in self._rows(version, through_models) if commit is not None else ():
                    kept = rows
                    if version[0] in again:
                        kept = rows.filter(~rows[ID].is_in(seen[version[0]]))
                        seen[version[0]].update(rows[ID])
                    if kept.height:
                        self._count(own_name(version[0]), kept)
                        yield kept
            except Gone as problem:
                self.walk.commits.reasons[f"predictions of {version[0]} are missing: {problem}"] = None
        if tick is not None:
            tick("predictions", len(versions), len(versions))
        self._is_read = True

    def read(self, *, through_models: bool = False) -> "AffectedPredictions":
        """The same with all predictions counted."""
        for _ in self.batches(through_models=through_models):
            pass
        return self

    def frame(self, *, through_models: bool = False) -> pl.DataFrame:
        """All of the list in memory."""
        return pl.concat([pl.DataFrame(schema=SCHEMA), *self.batches(through_models=through_models)])

    def _count(self, model: str, rows: pl.DataFrame) -> None:
        count = self.counts.setdefault(model, Count())
        direct = int((rows["affected"] == DIRECT).sum())
        count.direct += direct
        count.model += rows.height - direct
        count.inexact += int((~rows["exact"]).sum())

    def _rows(self, version: Version, through_models: bool) -> Iterator[pl.DataFrame]:
        commit = self.walk.commits.commit(version)
        assert commit is not None  # asked by `batches`
        tests = self.walk.tests(version)
        of_model = through_models and self.walk.through_model(version)
        if not tests.by_table and not of_model:
            return
        owner = self._owner(version)
        for rows in self.walk.predictions(version):
            hits = tests(rows)
            through = (
                pl.concat_str(
                    [pl.when(answer.taken).then(pl.lit(table)) for table, answer in hits.items()],
                    separator="; ",
                    ignore_nulls=True,
                )
                if hits
                else pl.lit("")
            )
            noted = rows.with_columns(
                through.alias("__through"),
                pl.any_horizontal(
                    [answer.taken & ~answer.perhaps for answer in hits.values()] or [pl.lit(False)]
                ).alias("__exact"),
                pl.any_horizontal([answer.taken for answer in hits.values()] or [pl.lit(False)]).alias("__direct"),
            )
            taken = noted if of_model else noted.filter("__direct")
            for table, answer in hits.items():
                if answer.taken.any():
                    self._notes |= dict.fromkeys(sorted(tests.reasons(table, answer)))
            yield listed(taken, commit, owner)

    def _owner(self, version: Version) -> str:
        """Who answers for the predictions: their owner, or else those of the contracts of what they were made from."""
        if self.owners.get(version[0]):
            return self.owners[version[0]]
        commit = self.walk.commits.commit(version)
        names: dict[str, None] = {}
        for item in commit.inputs if commit else ():
            for number in self.walk.commits.writers(commit, item)[-1:] if commit and not item.lookup else ():
                made = self.walk.commits.commit((item.snapshot.table, number))
                owner = self.owners.get(item.snapshot.table) or ((made.contract or {}).get("owner") if made else None)
                names |= {str(owner): None} if owner else {}
        return "; ".join(names)

    @cached_property
    def set_aside(self) -> tuple[str, ...]:
        """In sentences, of which tables all affected rows were put into quarantine."""
        return tuple(
            f"All of them are in {table}: no row entered {Kind.CLEAN.table(own_name(table))}."
            for table in only_set_aside(self.walk)
        )

    @property
    def reached(self) -> set[str]:
        """The tables with affected rows, and those of the predictions that may have taken some."""
        return {table for table, _ in (*self.walk.selections, *self.walk.predicted)}

    # -- in words --------------------------------------------------------------------------------------------------

    @property
    def direct(self) -> int:
        return sum(count.direct for count in self.counts.values())

    def tables(self) -> list[dict[str, Any]]:
        """By table on the way: how many versions have affected rows (`in_use` of them still), and how many rows these are:
        `rows` counts each once, `written` once for each version that wrote it."""
        return tables_on_the_way(self.walk, of_files=self.origin.file is not None and self.origin.rows is None)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the list. Reads the predictions, if that has not been done."""
        if not self._is_read:
            self.read()
        return {
            "origin": self.origin.to_dict(),
            "about": self.origin.about,
            "files": [file.to_dict() for file in self.files],
            "files_meant": self.files_meant,
            "complete": self.complete,
            "truncated": list(self.reasons),
            "notes": list(self.notes),
            "tables": self.tables(),
            "set_aside": list(self.set_aside),
            "training_sets": list(self.training_sets),
            "models": list(self.models),
            "predictions": {
                "direct": self.direct,
                "made_by_affected_models": self.through_models,
                "by_model": {name: vars(count) for name, count in sorted(self.counts.items())},
            },
            "other_readers": [item.to_dict() for item in self.others],
        }

    def outline(self) -> Outline:
        """The same in words."""
        found = self.to_dict()
        verdict = "complete" if self.complete else f"truncated: {'; '.join(self.reasons)}"
        learnt = (("training sets", self.training_sets), ("models", self.models))
        below = [
            *(file_outlines(self.files, self.files_meant, self.origin.file) if self.origin.file else ()),
            *(_table_line(item) for item in found["tables"]),
            *(leaf(Span(text, "strong")) for text in self.set_aside),
            *(leaf(f"{kind}: {', '.join(names)}") for kind, names in learnt if names),
            *(leaf(Span(f"not exact: {note}", "warning")) for note in self.notes),
            *(_model_line(name, count) for name, count in sorted(self.counts.items())),
            *(leaf(Span(f"outside, not followed: {item}", "warning")) for item in self.others),
            self._total(),
        ]
        if self.through_models:
            below.append(leaf(Span(f"{self.through_models:,} predictions were made by affected models", "dim")))
        head = line(Span(f"impact of {self.origin}", "strong"), f" ({verdict})")
        return Outline((head, line(Span(f"asked about: {self.origin.about}", "dim"))), tuple(below))

    def _total(self) -> Outline:
        if not self.walk.commits.lake.tables(Kind.PREDICTIONS.folder):
            return leaf(Span("0 predictions: none are recorded in this lake", "strong"))
        inexact = sum(count.inexact for count in self.counts.values())
        perhaps = f", {inexact:,} of them perhaps" if inexact else ""
        return leaf(Span(f"{plural(self.direct, 'prediction')} took affected rows", "strong"), perhaps)

    def __str__(self) -> str:
        return str(self.outline())


def _table_line(item: Mapping[str, Any]) -> Outline:
    exact = "" if item["exact"] else ", perhaps fewer"
    again = f", which wrote {item['written']:,}" if item["written"] > item["rows"] else ""
    unused = item["versions"] - item["in_use"]
    gone = f" ({unused} replaced since)" if unused else ""
    where = f"{exact}  in {plural(item['versions'], 'version')}{again}{gone}"
    return leaf(Span(item["table"], "strong"), f"  {plural(item['rows'], 'row')}", Span(where, "dim"))


def _model_line(name: str, count: Count) -> Outline:
    through = f", and {count.model:,} through the model" if count.model else ""
    return leaf(Span(f"{name}: {plural(count.direct, 'prediction')}", "strong"), through)


def affected_predictions(
    lake: Lake,
    origin: Origin,
    *,
    lookups: bool = False,
    owners: Mapping[str, str] | None = None,
    store: LineageStore | None = None,
) -> AffectedPredictions:
    """Follow rows to the predictions that took them.

    Args:
        lake: Where the tables are.
        origin: Which rows.
        lookups: Also follow commits that only looked something up in affected rows: all their rows count.
        owners: By table, who answers for it. Otherwise the contracts in the commits say it.
        store: The index of runs: names jobs of other producers that read affected tables, and who refused a file earlier.

    Raises:
        AssayError: There is no such file, table, version, partition or column, or the expression for the rows cannot be used.
    """
    commits = CommitGraph(lake)
    meant = files_meant(commits, origin, store) if origin.file is not None else []
    delivered: dict[Version, set[str]] = {}
    for file in meant:
        for version in file.versions:
            delivered.setdefault((file.table, version), set()).add(file.sha256)
    walk = Walk(commits, selected(commits, origin, delivered), origin.column, lookups)
    walk.run()
    found = AffectedPredictions(origin, walk, owners or {}, files_meant=len(meant))
    found.files = described(commits, meant[-DESCRIBED:], store)
    found.others = other_readers(store, lake, found.reached) if store is not None else ()
    return found
