"""Transactions of a slot, applied: from messages to the last state of each row. Nothing here asks a server."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.assets.databases.replication.last_states import Key, LastStates, State
from assay.assets.databases.replication.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
    Value,
    Values,
    decoded,
    names,
)
from assay.assets.databases.replication.resume import Resume


class Unclear(Exception):
    """The changes alone do not say what the table is now. Why, as the end of a sentence without values; looking at the whole
    table says it."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How far the messages came: the end of the last transaction (0: there was none), and how many messages there were."""

    end: int
    messages: int


def apply(
    messages: Iterable[bytes], oid: int, columns: str, key: Sequence[str], resume: Resume, states: LastStates
) -> Applied:
    """Apply the transactions that the lake does not hold.

    Args:
        messages: Of whole transactions, in the order of their commits.
        oid: The table.
        columns: Its columns as `described`: others are unclear.
        key: The columns that identify a row.
        resume: What the lake holds.
        states: Where the states of the rows go.

    Raises:
        Unclear: A change can only be understood with the whole table.
    """
    rows = _Rows(columns, key, states)
    holds, end, count = True, 0, 0
    for content in messages:
        count += 1
        match message := decoded(content):
            case Begin():
                holds = resume.holds(message.lsn, message.xid)
            case Commit():
                end = message.end
            case Relation():
                if message.oid == oid:
                    rows.relation = message
            case Truncate():
                if not holds and oid in message.oids:
                    states.truncate()
            case None:
                pass
            case _:
                if not holds and message.oid == oid:
                    rows.change(message)
    return Applied(end, count)


def described(columns: Iterable[Column]) -> str:
    """Columns as a text that changes when a column comes, goes, or gets another name or type."""
    return " ".join(f"{column.name!r}:{column.type}:{column.modifier}" for column in columns)


@dataclass(slots=True)
class _Rows:
    """The rows of one table, which have one form at a time."""

    columns: str
    key: Sequence[str]
    states: LastStates
    relation: Relation | None = None
    _checked: Relation | None = None
    _at: tuple[int, ...] = ()
    _identifies: tuple[bool, ...] = ()

    def change(self, message: Message) -> None:
        self._require_form()
        match message:
            case Insert():
                self.states.put(State(self._key(message.new), message.new))
            case Delete():
                self.states.put(State(self._key(message.old), None))
            case Update():
                self._update(message)
            case _:
                raise ValueError(f"{type(message).__name__} changes no row")

    def _update(self, message: Update) -> None:
        new = message.new
        if message.old is not None:
            new = self._filled(new, message.old, whole=message.whole)
        after = self._key(new)
        before = after if message.old is None else self._key(message.old)
        origin: Key | None = None
        if UNCHANGED in new:
            earlier = self.states.get(before)
            if earlier is None and not self.states.truncated:
                origin = before
            elif earlier is None or earlier.values is None:
                raise Unclear("a row was changed that is not there")
            else:
                new = tuple(
                    old if value == UNCHANGED else value for value, old in zip(new, earlier.values, strict=True)
                )
                origin = earlier.origin if UNCHANGED in new else None
        if before != after:
            self.states.put(State(before, None))
        self.states.put(State(after, new, origin))

    def _filled(self, new: Values, old: Values, *, whole: bool) -> Values:
        """A row in which values that are not sent are taken from the old row, as far as that was sent."""
        return tuple(
            was if value == UNCHANGED and (whole or identifies) else value
            for value, was, identifies in zip(new, old, self._identifies, strict=True)
        )

    def _key(self, values: Values) -> Key:
        found = tuple(values[at] for at in self._at)
        if UNCHANGED in found:
            raise Unclear("a key was not sent")
        if None in found:  # several rows may have it: who is there says whether one still has
            raise Unclear("a row has no key")
        return tuple(_text(value) for value in found)

    def _require_form(self) -> None:
        if self._checked is self.relation and self.relation is not None:
            return
        if self.relation is None or described(self.relation.columns) != self.columns:
            raise Unclear("its columns have changed")
        there = names(self.relation.columns)
        self._at = tuple(there.index(name) for name in self.key)
        self._identifies = tuple(column.identifies for column in self.relation.columns)
        if not all(self._identifies[at] for at in self._at):
            raise Unclear("its replica identity has changed")
        self._checked = self.relation


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
