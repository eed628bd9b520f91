"""Large values that an update has not changed, and that the server therefore did not send: the lake has them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from assay.assets.databases.compared import last_rows
from assay.assets.databases.replication.applied import Unclear
from assay.assets.databases.replication.last_states import Key, LastStates, State
from assay.assets.databases.replication.pgoutput import UNCHANGED
from assay.assets.databases.replication.typed import portions, typed
from assay.assets.databases.sql import OpenedTable
from assay.features.tables.lake import TableState
from assay.features.tables.row_prints import KnownRows, Rows, fingerprinted
from assay.own_columns import delivered_name, delivered_names


@dataclass(slots=True)
class NotSent:
    """The values of the columns that some rows lack, by the fingerprint of the key that the lake has them under."""

    opened: OpenedTable
    key: dict[str, str]
    columns: Sequence[str]
    states: LastStates
    lacking: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        states: LastStates,
        opened: OpenedTable,
        key: dict[str, str],
        columns: Sequence[str],
        known: KnownRows,
        state: TableState | None,
    ) -> Self:
        """Find them.

        Args:
            states: The rows.
            opened: Their table.
            key: The columns of its key, with their types in SQL.
            columns: All of its columns.
            known: What the lake holds of each key.
            state: The raw table.

        Raises:
            Unclear: The lake does not have them, or not as text.
        """
        made = cls(opened, key, columns, states)
        asked: list[Rows] = []
        for some in portions(one for one in states if one.origin is not None):
            asked.append(made._prints(some))
            for one in some:
                made.lacking |= {at for at, value in enumerate(one.values or ()) if value == UNCHANGED}
        if asked:
            made._find(np.unique(np.concatenate(asked)), known, state)
        return made

    def filled(self, frame: pl.DataFrame, some: Sequence[State]) -> pl.DataFrame:
        """A frame of these rows with the values that they lack."""
        at = [number for number, one in enumerate(some) if one.origin is not None]
        if not at:
            return frame
        if frame["_defect"].gather(at).null_count() < len(at):
            raise Unclear("a row that cannot be read was not sent as a whole")
        values = {column: frame[delivered_name(self.columns[column])].to_list() for column in self.lacking}
        for number, row in zip(at, self._prints([some[number] for number in at]), strict=True):
            sent = self.states.recall(_name(row))
            for column, value in enumerate(some[number].values or ()):
                if value == UNCHANGED:
                    values[column][number] = sent[self.columns[column]]
        return frame.with_columns(
            pl.Series(delivered_name(self.columns[column]), texts, pl.String) for column, texts in values.items()
        )

    def _prints(self, some: Sequence[State]) -> Rows:
        key = delivered_names(list(self.key))
        origins: list[Key] = [one.origin for one in some if one.origin is not None]
        return fingerprinted(typed(self.opened, self.key, origins, key).select(key), key)

    def _find(self, asked: Rows, known: KnownRows, state: TableState | None) -> None:
        key, at = delivered_names(list(self.key)), known.find(asked)
        if state is None or (at < 0).any():
            raise Unclear("a row was changed that the lake does not have")
        lacking = {self.columns[column]: delivered_name(self.columns[column]) for column in self.lacking}
        for name in lacking.values():
            if self.opened.columns[name].dtype != pl.String or state.schema.get(name) != pl.String:
                raise Unclear("a value was not sent that the lake has in another form")
        count = 0
        for frame in last_rows(state, key, KnownRows(known.rows[np.unique(at)])):
            if frame["_line"].null_count() < frame.height:
                raise Unclear("a row was not sent as a whole that could not be read before")
            texts = [frame[name].to_list() for name in lacking.values()]
            for row, *values in zip(fingerprinted(frame, key), *texts, strict=True):
                self.states.remember(_name(row), dict(zip(lacking, values, strict=True)))
                count += 1
        if count < len(np.unique(at)):
            raise Unclear("a row was changed that the lake does not have")


def _name(row: np.void) -> bytes:
    return row["key"].tobytes() + row["key_2"].tobytes()
