"""A view's table, opened at the version that has rows by the definition that is asked for.

A changed definition computes its partitions beside the rows of the one before: each partition is replaced by a commit of its own,
and until the last one is, the table's latest version holds rows of both. Readers get a version whose rows all have one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError, nearest
from assay.features.definitions.mixed import incomplete, mixed
from assay.features.retention.availability import require_readable
from assay.features.serving.references import Reference
from assay.features.tables.kinds import Kind, has_definitions, kind_of, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.reader import Reader
from assay.features.tables.transaction import Transaction
from assay.features.views.label_view import never_a_feature

SERVED = (Kind.FEATURES, Kind.EMBEDDINGS)


class OtherDefinition(FutureWarning):
    """Features are served by another definition than the one that computes them now, or that serves without a number."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenView:
    """A view's table at one version, and by which definition its rows are wanted ("": nobody recorded one)."""

    view: str
    state: TableState
    definition: str

    @property
    def number(self) -> int:
        """1 is the definition that computed rows first; 0: nobody recorded one."""
        return number_of(self.state, self.definition)

    def refuse_others(self, partitions: Sequence[str] | None) -> None:
        """Raise MixedDefinitions if rows of these partitions (None: of all) were computed by another definition."""
        if not self.state.is_whole:
            found = self.state.partitions_by_definition(partitions)
            if found.keys() - {0, self.number}:
                raise incomplete(self.view, self.number, found)

    def described(self, partitions: Sequence[str] | None) -> dict[str, Any]:
        """For the record: `definitions`, each with its number, its SHA-256 and those of the partitions whose rows it computed
        (null: all). Nothing where nobody recorded one."""
        if not self.definition:
            return {}
        found = self.state.partitions_by_definition(partitions) if partitions is not None else {self.number: None}
        known = self.state.defined.known
        return {
            "definitions": [
                {"number": number or None, "sha256": known[number - 1] if number else None, "partitions": keys}
                for number, keys in sorted(found.items())
            ]
        }


def open_view(
    reader: Reader | Transaction,
    asked: Reference,
    versions: Mapping[str, int] | None = None,
    learnt: str | None = None,
    *,
    table: str = "",
) -> OpenView:
    """Open the table of a view once, at its version in `versions` (table name → version), or at the newest one that has rows by
    the definition that is asked for.

    Args:
        reader: Keeps the version, and later what is read of it.
        asked: A reference; its number says which definition.
        versions: Versions of tables to read.
        learnt: The SHA-256 of the definition that is wanted where the reference has no number.
        table: The table to open instead of the one that the view's name leads to: that of a label view.

    Raises:
        AssayError: The view, the version or the definition is unknown, or its rows are gone.
        MixedDefinitions: A version is named whose rows have several definitions, and no definition is.
    """
    table = table or table_of(reader.lake, asked.view)
    version = (versions or {}).get(table)
    if not has_definitions(table):
        if asked.definition is not None:
            raise AssayError(
                f"{asked.view!r} is no feature view: it has no definitions, so leave '@{asked.definition}' out."
            )
        return OpenView(asked.view, reader.state(table, version), "")
    opened = reader.reader if isinstance(reader, Transaction) else reader
    if version is not None or table in opened.versions:
        return _at_version(asked, reader.state(table, version), learnt)
    latest = reader.lake.table(table).at()
    wanted = _wanted(asked, latest, learnt)
    if wanted is None or wanted == latest.defined.definition:
        if asked.definition is None and not latest.is_whole:
            _warn_of_unfinished(asked.view, latest)
        state = reader.state(table)
        return OpenView(asked.view, state, state.defined.definition)
    whole = latest.index.last_whole(wanted, latest.version)
    state = reader.state(table, latest.version if whole is None else whole)
    number = number_of(latest, wanted)
    if whole is not None:
        require_readable(reader.lake, state.snapshot, f"Definition {number} of {asked.view}")
    if asked.definition is None:
        _warn_of_learnt(asked.view, latest, number)
    return OpenView(asked.view, state, wanted)


def open_named(reader: Reader | Transaction, references: Sequence[str]) -> None:
    """Open the views of which a definition is named by its number at the version that has it, for who looks at their tables
    before the references are resolved. What is not there yet is left out."""
    for reference in map(Reference.parse, references):
        there = reader.lake.table(Kind.FEATURES.table(reference.view)).exists()
        if reference.definition is not None and there:
            open_view(reader, reference)


def table_of(lake: Lake, view: str) -> str:
    """The table of a view or an embedding. Raises AssayError, with the nearest names, if there is none."""
    for table in (kind.table(view) for kind in SERVED):
        if lake.table(table).exists():
            return table
    if lake.table(Kind.LABELS.table(view)).exists():
        raise never_a_feature(view)
    served = sorted(own_name(name) for name in lake.tables() if kind_of(name) in SERVED)
    names = ", ".join(served) or "none"
    raise AssayError(f"There is no feature view or embedding {view!r} (there are: {names}).{nearest(view, served)}")


def number_of(state: TableState, definition: str) -> int:
    """The number of a definition in a table; 0 where it has none."""
    known = state.defined.known
    return known.index(definition) + 1 if definition in known else 0


def other_features(state: TableState, definition: str) -> set[str]:
    """The columns of a table that are features of its other definitions, and none of this one."""
    known = state.defined.known
    if len(known) < 2 or definition not in known:
        return set()
    names = {digest: _features_of(state, digest) for digest in known}
    return set().union(*names.values()) - names[definition]


def _features_of(state: TableState, definition: str) -> set[str]:
    newest = state.index.newest_of(definition, state.version)
    view = state.index.commit(newest).view if newest is not None else None
    return {feature["name"] for feature in (view or {}).get("features", ())}


def _wanted(asked: Reference, state: TableState, learnt: str | None) -> str | None:
    """The definition that is asked for; None: the one that is served."""
    known = state.defined.known
    if asked.definition is not None:
        if asked.definition > len(known):
            there, where = (
                f"it has {len(known)}" if known else "nobody recorded one",
                f"{state.table.name}@{state.version}",
            )
            raise AssayError(
                f"{asked.view!r} has no definition {asked.definition} in {where} ({there}; `assay features show {asked.view}` "
                "lists them)."
            )
        return known[asked.definition - 1]
    if learnt and learnt not in known:
        raise AssayError(
            f"{asked.view!r} has no rows of the definition {learnt[:16]}… that the training set was made with: the table was "
            "made anew since. Make the training set again, or ask for the features by their references."
        )
    return learnt or None


def _at_version(asked: Reference, state: TableState, learnt: str | None) -> OpenView:
    """At a version that is given: by the definition of its rows, if they have one, or the one that is asked for."""
    wanted = _wanted(asked, state, None if asked.definition is None and state.is_whole else learnt)
    if wanted is None and not state.is_whole:
        snapshot = f"{state.table.name}@{state.version}"
        raise mixed(asked.view, snapshot, state.partitions_by_definition(), state.defined.whole)
    if wanted is not None and state.is_whole and wanted != state.defined.definition:
        raise AssayError(
            f"{state.table.name}@{state.version} has rows of definition {number_of(state, state.defined.definition)} of "
            f"{asked.view}, not of {number_of(state, wanted)}: leave the number or the version out."
        )
    return OpenView(asked.view, state, state.defined.definition if wanted is None else wanted)


def _warn_of_unfinished(view: str, latest: TableState) -> None:
    defined = latest.defined
    served = number_of(latest, defined.definition)
    warnings.warn(
        f"Features of {view} are served by definition {served}, from {latest.table.name}@{defined.whole}: another one has not "
        f"computed all partitions yet. `assay features backfill {view}` completes it.",
        OtherDefinition,
        stacklevel=4,
    )


def _warn_of_learnt(view: str, latest: TableState, number: int) -> None:
    served = number_of(latest, latest.defined.definition)
    warnings.warn(
        f"Features of {view} are served by definition {number}, which the training set was made with, and which computes no "
        f"rows any more: {served} has replaced it. Make the training set again to learn by definition {served}.",
        OtherDefinition,
        stacklevel=4,
    )
