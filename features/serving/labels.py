"""The target of a training set: the label of each row's moment, and when it became known.

The label of a moment t is that of the entity's row at t; with a horizon, the newest one of `[t, t + horizon]`. This is the as-of
rule at the end of the horizon, and the same search. What is not known yet (by the newest time in the table, or the moment that
is asked for) is left out: a horizon that has not ended says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError, nearest
from assay.features.serving.as_of import point_in_time_join
from assay.features.serving.by_definition import open_view, other_features
from assay.features.serving.feature_refs import ranked, serving_of
from assay.features.serving.references import Reference
from assay.features.serving.view_read import ViewRead
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import TableState
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.features.training.split_data import LABEL_KNOWN
from assay.features.views.label_view import LabelView
from assay.features.views.timestamps import INSTANT, instant, utc

_VALUE, _AT, _KNOWN = "__label", "__label_at", "__label_known"

Label = str | LabelView
"""`view:label`, also with ` as name` and ` on key=column`, or a label view that has a single one."""


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedLabel:
    """A label at one version of its table, and by when it must have been known."""

    reference: Reference
    state: TableState
    serving: Serving
    frame: pl.LazyFrame
    position: str | None
    known_by: datetime | None
    definition: Mapping[str, Any]
    definitions: Mapping[str, Any] = field(default_factory=dict)  # for the record: by which ones the rows were computed

    @property
    def horizon(self) -> timedelta | None:
        us = self.serving.horizon_us
        return None if us is None else timedelta(microseconds=us)

    def described(self, left_out: int) -> dict[str, Any]:
        """For the record."""
        defined = {item["name"]: item.get("sha256") for item in self.definition.get("features", [])}
        role = {"keys": dict(self.reference.on)} if self.reference.on else {}
        return {
            "view": self.reference.view,
            "table": self.state.table.name,
            "version": self.state.version,
            "serving": self.serving.to_dict(),
            "features": [
                {
                    "name": self.reference.feature,
                    "column": self.reference.output,
                    "definition": defined.get(self.reference.feature),
                }
            ],
            "known_by": self.known_by.isoformat() if self.known_by else None,
            "left_out": left_out,
            **self.definitions,
        } | role

    def column_lineage(self) -> dict[str, Any]:
        """The sources of the two columns that it gives."""
        table, serving = self.state.table.name, self.serving
        chosen = [(table, name) for name in serving.columns()]
        known = [(table, name) for name in (serving.known_time or serving.event_time,)]
        return {
            self.reference.output: {"direct": [(table, self.reference.feature)], "indirect": chosen},
            LABEL_KNOWN: {"direct": known, "indirect": chosen},
        }


def label_reference(label: Label) -> Reference:
    """The reference of a label. Raises AssayError for a text of another form, and for a view with several labels."""
    if isinstance(label, LabelView):
        if len(label.labels) != 1:
            raise AssayError(f"{label.name!r} has several labels: name one of {', '.join(map(repr, label.labels))}.")
        return Reference.parse(label.labels[0])
    reference = Reference.parse(label)
    if reference.feature == "*":
        raise AssayError(f"{label!r}: a training set has one label; name it.")
    return reference


def resolve_label(
    tx: Transaction, label: Label, *, versions: Mapping[str, int] | None = None, known_by: datetime | None = None
) -> ResolvedLabel:
    """Open a label's table, all of which becomes an input: another row may make more labels known.

    Args:
        tx: The work that reads it.
        label: Which label.
        versions: Table versions to read, by name.
        known_by: Labels that became known later count as not known. Default: the newest time in the table.

    Raises:
        AssayError: There is no such label view or label, or `known_by` is naive.
    """
    reference = label_reference(label)
    table = Kind.LABELS.table(reference.view)
    if not tx.lake.table(table).exists():
        there = [own_name(name) for name in tx.lake.tables(Kind.LABELS.folder)]
        raise AssayError(
            f"There is no label view {reference.view!r} (there are: {', '.join(there) or 'none'})."
            f"{nearest(reference.view, there)} A label that is a column of the spine needs no label=."
        )
    opened = open_view(tx, reference, versions, table=table)
    opened.refuse_others(None)
    if opened.number > 1:
        tx.decided_by(f"definition of {table}", opened.definition)
    state = tx.note(table, version=opened.state.version)
    serving, definition = serving_of(state, opened.definition)
    taken = {*serving.columns(), *other_features(state, opened.definition)}
    labels = [name for name in state.schema if name not in taken and not name.startswith("_")]
    if reference.feature not in labels:
        close = nearest(reference.feature, labels)
        raise AssayError(f"{reference.view!r} has no label {reference.feature!r} (it has: {', '.join(labels)}).{close}")
    partitions = state.partitions() if state.partitioned else None
    frame = tx.read(table)
    newest = utc(known_by, "known_by") if known_by is not None else _newest(frame, serving)
    return ResolvedLabel(
        reference, state, serving, *ranked(frame, partitions), newest, definition, opened.described(None)
    )


def _newest(frame: pl.LazyFrame, serving: Serving) -> datetime | None:
    times = [name for name in (serving.event_time, serving.known_time) if name]
    values = frame.select(pl.col(name).max() for name in times).collect().row(0)
    return max((value for value in values if value is not None), default=None)


def join_label(rows: pl.DataFrame, label: ResolvedLabel, event_time: str) -> pl.DataFrame:
    """The rows that have a known label, in their order, with it and with `label_known`.

    Raises AssayError if a column of these names is there, or the spine lacks the label view's keys.
    """
    for name in (label.reference.output, LABEL_KNOWN):
        if name in rows.columns:
            raise AssayError(
                f"label {label.reference} would give column {name!r}, which is there already: drop it from the spine, or "
                "write '… as another_name'."
            )
    serving, where = label.serving, label.state.table.name
    schema = label.frame.collect_schema()
    frame = label.frame.with_columns(
        pl.col(label.reference.feature).alias(_VALUE), instant(schema, serving.event_time, where).alias(_AT)
    )
    if serving.known_time is not None:
        frame = frame.with_columns(instant(schema, serving.known_time, where).alias(_KNOWN))
        frame = frame.filter(pl.col(_KNOWN) <= pl.lit(label.known_by, dtype=INSTANT))
    own = Serving.as_of(serving.keys, serving.event_time, known_time=serving.known_time, max_age_us=serving.horizon_us)
    taken = [_VALUE, _AT, *([_KNOWN] if serving.known_time else [])]
    position = label.position
    view = ViewRead(label.reference.view, own, frame, taken, position=position, keys=dict(label.reference.on))
    asked = rows.select(list(dict.fromkeys((*(one for one in view.spine_keys if one in rows.columns), event_time))))
    ends = asked.with_columns(pl.col(event_time) + (label.horizon or timedelta(0)))
    found = point_in_time_join(ends, [view], event_time=event_time)
    moment, end = rows[event_time], found[event_time]
    times = [pl.col(_KNOWN)] if serving.known_time else []
    times += [pl.lit(end)] if label.horizon is not None else []
    labelled = rows.with_columns(
        found.select(
            pl.when(pl.col(_AT) >= pl.lit(moment)).then(_VALUE).alias(label.reference.output),
            pl.max_horizontal(times).alias(LABEL_KNOWN),
        )
    )
    known = pl.col(LABEL_KNOWN) <= pl.lit(label.known_by, dtype=INSTANT)
    return labelled.filter(pl.col(label.reference.output).is_not_null(), known)
