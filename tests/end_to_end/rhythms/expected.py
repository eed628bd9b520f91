"""What the lake must hold, computed from what was delivered, row by row and without Assay."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from tests.end_to_end.rhythms.declared import WINDOWS, Kind

BAD, TWICE = "amount.ge", "id.unique"


@dataclass(frozen=True, slots=True)
class Row:
    """A sale as it was delivered."""

    id: str
    shop: str
    at: datetime
    amount: float

    @property
    def is_bad(self) -> bool:
        return self.amount < 0


Quarantined = tuple[str, float, tuple[str, ...], str]  # id, amount, rules, status


@dataclass(slots=True)
class Expected:
    """Of one source: its partitions as they were delivered, and what people decided about bad rows (by id: the corrected amount,
    or None for a rejected one)."""

    kind: Kind
    delivered: dict[str, list[Row]] = field(default_factory=dict)  # in the order of files and rows
    decided: dict[str, float | None] = field(default_factory=dict)

    def raw(self) -> list[tuple[str, str, float]]:
        return sorted((key, row.id, row.amount) for key, rows in self.delivered.items() for row in rows)

    def clean(self) -> list[tuple[str, Row]]:
        """Partition and row."""
        return [(key, row) for key, row, rules in self._judged() if not rules or self._let_in(row)]

    def quarantined(self) -> dict[str, list[Quarantined]]:
        """By partition. Rows that people let in stay there, and say so."""
        found: dict[str, list[Quarantined]] = defaultdict(list)
        for key, row, rules in self._judged():
            if rules:
                status = "held" if row.id not in self.decided else "released" if self._let_in(row) else "rejected"
                delivered = next(one for one in self.delivered[key] if one.id == row.id and one.at == row.at)
                found[key].append((row.id, delivered.amount, rules, status))
        return {key: sorted(rows) for key, rows in found.items()}

    def _let_in(self, row: Row) -> bool:
        return self.decided.get(row.id) is not None

    def _judged(self) -> Iterator[tuple[str, Row, tuple[str, ...]]]:
        """Every row with the rules that it breaks; one that people let in has its corrected amount."""
        places = list(self.delivered if self.kind.rhythm == "static" else sorted(self.delivered))
        best: dict[str, tuple[datetime, int, int]] = {}
        in_order = [
            ((row.at, places.index(key), number), row)
            for key in places
            for number, row in enumerate(self.delivered[key])
            if not row.is_bad
        ]
        for place, row in sorted(in_order, key=lambda item: item[0]):
            if not self.kind.first_wins or row.id not in best:
                best[row.id] = place
        for key in places:
            seen: set[str] = set()
            for number, row in enumerate(self.delivered[key]):
                if row.is_bad:
                    amount = self.decided.get(row.id)
                    yield key, (row if amount is None else Row(row.id, row.shop, row.at, amount)), (BAD,)
                elif self.kind.mode == "snapshot":  # a key occurs in each state, once
                    yield key, row, (TWICE,) if row.id in seen else ()
                    seen.add(row.id)
                else:
                    yield key, row, () if best[row.id] == (row.at, places.index(key), number) else (TWICE,)

    def features(self) -> list[tuple[object, ...]]:
        """Windows: shop, moment, number and sum; of others key, moment and twice the amount. Computed with Polars."""
        kind, rows = self.kind, self.clean()
        schema = {
            "key": pl.String,
            "id": pl.String,
            "shop": pl.String,
            "at": pl.Datetime("us", "UTC"),
            "amount": pl.Float64,
        }
        frame = pl.DataFrame(
            [(key, row.id, row.shop, row.at, row.amount) for key, row in rows], schema=schema, orient="row"
        )
        if not kind.has_windows:
            at = pl.col("at")
            if kind.mode == "snapshot":
                ends = {key: kind.partitioning.end_of(key) for key in kind.keys}
                at = pl.col("key").replace_strict(ends, return_dtype=schema["at"])
            return sorted(frame.select("id", at, pl.col("amount") * 2).rows())
        found: list[tuple[object, ...]] = []
        for key in sorted(self.delivered):
            end = kind.partitioning.end_of(key)
            begin = end - window_of(kind)
            near = kind.partitioning.overlapping(begin, end)
            seen = frame.filter(pl.col("key").is_in(near), pl.col("at") >= begin, pl.col("at") < end)
            sums = seen.group_by("shop").agg(pl.len(), pl.col("amount").sum())
            found += [(shop, end, count, round(total, 6)) for shop, count, total in sums.rows()]
        return sorted(found)  # pyright: ignore[reportArgumentType] - their types are the same in each column

    def incomplete(self) -> set[str]:
        """The partitions whose windows reach into partitions that nobody delivered."""
        if not self.kind.has_windows:
            return set()
        ends = {key: self.kind.partitioning.end_of(key) for key in self.delivered}
        return {
            key
            for key, end in ends.items()
            if set(self.kind.partitioning.overlapping(end - window_of(self.kind), end)) - set(self.delivered)
        }


def window_of(kind: Kind) -> timedelta:
    count, unit = int(WINDOWS[kind.rhythm][:-1]), WINDOWS[kind.rhythm][-1]
    return timedelta(hours=count) if unit == "h" else timedelta(days=count)


@dataclass(slots=True)
class ExpectedTable(Expected):
    """Of a table that is compared: the looks at it, each a batch of changes. `delivered` has the changed rows of each."""

    looks: list[tuple[datetime, Mapping[str, Row]]] = field(default_factory=list)
    changes: dict[str, dict[str, str]] = field(default_factory=dict)

    def look(self, at: datetime, table: Mapping[str, Row], *, whole: bool, since: datetime | None) -> bool:
        """What a look at the table sees. Whether it makes a batch. `since`: where reading by a cursor begins."""
        known = self._known()
        seen = {key: row for key, row in table.items() if whole or since is None or row.at >= since}
        inserted = {key: row for key, row in seen.items() if key not in known}
        updated = {key: row for key, row in seen.items() if key in known and known[key] != row}
        deleted = {key: known[key] for key in known.keys() - table.keys()} if whole else {}
        if not inserted and not updated and not deleted:
            return False
        batch = f"{len(self.delivered) + 1:06d}"
        self.delivered[batch] = [*inserted.values(), *updated.values(), *deleted.values()]
        self.changes[batch] = {
            **dict.fromkeys(inserted, "insert"),
            **dict.fromkeys(updated, "update"),
            **dict.fromkeys(deleted, "delete"),
        }
        self.looks.append((at, dict(table)))
        return True

    def _known(self) -> dict[str, Row]:
        known: dict[str, Row] = {}
        for batch, rows in self.delivered.items():
            for row in rows:
                if self.changes[batch][row.id] == "delete":
                    known.pop(row.id)
                else:
                    known[row.id] = row
        return known

    def _judged(self) -> Iterator[tuple[str, Row, tuple[str, ...]]]:
        held: dict[str, Row] = {}  # what clean has of a key
        for batch, rows in self.delivered.items():
            for row in rows:
                if self.changes[batch][row.id] == "delete":
                    last = held.pop(row.id, None)
                    yield (batch, last, ()) if last is not None else (batch, row, (BAD,) if row.is_bad else ())
                    continue
                amount = self.decided.get(row.id) if row.is_bad else None
                judged = row if amount is None else Row(row.id, row.shop, row.at, amount)
                yield batch, judged, (BAD,) if row.is_bad else ()
                if not judged.is_bad:
                    held[row.id] = judged

    def features(self) -> list[tuple[object, ...]]:
        """Key, batch (for the moment at which the table was looked at) and twice the amount; of a delete there is no value."""
        gone = {
            (batch, key) for batch, keys in self.changes.items() for key, change in keys.items() if change == "delete"
        }
        return sorted((row.id, key, None if (key, row.id) in gone else 2 * row.amount) for key, row in self.clean())

    def current(self, looks: int | None = None) -> dict[str, float]:
        """What clean says of each key after so many looks."""
        held: dict[str, float] = {}
        batches: Sequence[str] = list(self.delivered)[:looks]
        for batch, row, rules in self._judged():
            if batch not in batches:
                continue
            if self.changes[batch][row.id] == "delete":
                held.pop(row.id, None)
            elif not rules or self._let_in(row):
                held[row.id] = row.amount
        return held


def at_hour(number: int) -> datetime:
    return datetime(2025, 6, 1, tzinfo=UTC) + timedelta(hours=number)
