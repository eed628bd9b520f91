"""Lakes of random look-ups and of spines that functions made, which remember in plain Python what each prediction came from."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.features.serving.feature_refs import join, resolve
from assay.features.storage.commit_metadata import LOOKED_UP
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.prediction_log import stage_predictions

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
CUSTOMERS = ["c0", "c1", "c2", "c3"]
SEGMENT = Serving.lookup(["customer_id"])
SCHEMA = {
    "ticket_id": pl.String,
    "customer_id": pl.String,
    "referrer": pl.String,
    "created_at": pl.Datetime("us", "UTC"),
}
Row = dict[str, Any]
Token = tuple[str, int, int]  # table, version, number of the row in the commit


@dataclass(frozen=True)
class Came:
    """What a prediction came from, and what it `perhaps` did, as that is not recorded. `found` are rows that a look-up on the way
    found: they count where look-ups are followed."""

    certain: frozenset[Token]
    perhaps: frozenset[Token]
    found: frozenset[Token]
    perhaps_found: frozenset[Token]


@dataclass
class LookupLake:
    """`held[table][version]`: every row then, by partition in the order of the files, with its origins under `_from`."""

    lake: Lake
    chance: random.Random
    held: dict[str, dict[int, dict[str, list[Row]]]] = field(default_factory=dict)
    came: dict[str, Came] = field(default_factory=dict)
    count: int = 0

    def live(self, steps: int) -> None:
        acts = [self.customers, self.tickets, self.segments, self.predict]
        for act in (*acts[:3], *(self.chance.choice(acts) for _ in range(steps)), self.predict):
            act()

    def work(self, table: str, partition: str) -> Any:
        self.count += 1
        return transaction(self.lake, NullRecorder(), Work(table, partition, code_version=f"{self.count}"))

    def version(self, table: str) -> int:
        known = sorted(self.held[table])
        return known[-1] if self.chance.random() < 0.7 else self.chance.choice(known)

    def write(self, tx: Any, table: str, rows: list[Row], schema: Mapping[str, Any]) -> None:
        frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
        tx.write(table, frame)

    def remember(self, tx: Any, table: str, partition: str, rows: list[Row]) -> None:
        (version,) = [item.snapshot.version for item in tx.done.writes if item.table == table]
        known = self.held.setdefault(table, {})
        if version in known:
            return
        for number, row in enumerate(rows):
            own = frozenset([(table, version, number)])
            row["_from"], row["_found"] = row.get("_from", frozenset()) | own, row.get("_found", frozenset())
        known[version] = (dict(known[max(known)]) if known else {}) | {partition: rows}

    def rows(self, table: str, version: int) -> list[Row]:
        return [row for _, rows in sorted(self.held[table][version].items()) for row in rows]

    def tokens(self, table: str) -> dict[Token, Row]:
        """Every row that a table ever held."""
        rows = [row for parts in self.held[table].values() for some in parts.values() for row in some]
        return {token: row for row in rows for token in row["_from"] if token[0] == table}

    # -- the runs --------------------------------------------------------------------------------------------------

    def customers(self) -> None:
        partition = self.chance.choice(["p0", "p1"])
        rows: list[Row] = [
            {"customer_id": name, "country": f"{self.count}"}
            for name in self.chance.sample(CUSTOMERS, self.chance.randint(1, 3))
        ]
        with self.work("clean/customers", partition) as tx:
            self.write(tx, "clean/customers", rows, {"customer_id": pl.String, "country": pl.String})
        self.remember(tx, "clean/customers", partition, rows)

    def tickets(self) -> None:
        """Each looks for its customer and for who referred that one."""
        at, partition = self.version("clean/customers"), self.chance.choice(["d0", "d1"])
        rows: list[Row] = [
            {
                "ticket_id": f"t{self.chance.randrange(5)}",
                "customer_id": self.chance.choice(CUSTOMERS),
                "referrer": self.chance.choice([*CUSTOMERS, None]),
                "created_at": FIRST + timedelta(hours=self.chance.randrange(4)),
            }
            for _ in range(self.chance.randint(1, 4))
        ]
        with self.work("clean/tickets", partition) as tx:
            tx.read("clean/customers", lookup=True, version=at)
            tx.extra[LOOKED_UP] = {"clean/customers": [["customer_id", "customer_id"], ["referrer", "customer_id"]]}
            self.write(tx, "clean/tickets", rows, SCHEMA)
        there = self.rows("clean/customers", at)
        for row in rows:
            names = {row["customer_id"], row["referrer"]} - {None}
            row["_found"] = frozenset().union(*(one["_from"] for one in there if one["customer_id"] in names))
        self.remember(tx, "clean/tickets", partition, rows)

    def segments(self) -> None:
        """A table that is looked up by customer, which may have several rows of one, also in a partition."""
        partition = self.chance.choice(["s0", "s1", "s2"])
        names = [self.chance.choice(CUSTOMERS) for _ in range(self.chance.randint(1, 3))]
        rows: list[Row] = [
            {"customer_id": name, "segment": f"{self.count}-{place}"} for place, name in enumerate(names)
        ]
        with self.work("features/segments", partition) as tx:
            tx.describe(serving=SEGMENT.to_dict())
            self.write(tx, "features/segments", rows, {"customer_id": pl.String, "segment": pl.String})
        self.remember(tx, "features/segments", partition, rows)

    def predict(self) -> None:
        """About rows of tickets, or about what a function made of them and of customers."""
        at, customers, segments = (
            self.version(f"{t}") for t in ("clean/tickets", "clean/customers", "features/segments")
        )
        kind = self.chance.choice(["rows", "filtered", "shifted", "joined", "joined undeclared"])
        spine: dict[str, Any] = {"table": "clean/tickets", "event_time": "created_at"}
        spine |= {} if kind == "rows" else {"built": True}
        spine |= {"lookups": {"clean/customers": ["customer_id"]}} if kind == "joined" else {}
        with self.work("predictions/router", "d0") as tx:
            frame = tx.read("clean/tickets", version=at).collect()
            made = frame.select("ticket_id", "customer_id", event_time="created_at")
            if kind == "filtered":
                made = made.sort("event_time").unique("customer_id", keep="last")
            if kind == "shifted":
                moved = pl.col("event_time") + pl.duration(
                    minutes=pl.when(pl.col("ticket_id") < "t2").then(1).otherwise(0)
                )
                made = made.with_columns(moved)
            if kind.startswith("joined"):
                made = made.join(tx.read("clean/customers", version=customers).collect(), on="customer_id", how="semi")
            made = made.unique().sort(pl.all())
            if made.is_empty():
                return
            joined = join(made, resolve(tx, ["segments:segment"], made, versions={"features/segments": segments}))
            ids = stage_predictions(
                tx,
                model="router",
                model_version=f"{self.count}",
                frame=joined.with_columns(intent=pl.lit("card")),
                keys=["ticket_id", "customer_id"],
                features=["segments:segment"],
                feature_columns=["segment"],
                outputs=["intent"],
                joined={"known_at": "event", "skip_nulls": False},
                spine=spine,
            )
        tickets = self.rows("clean/tickets", at)
        for prediction, row in zip(ids, joined.rows(named=True), strict=True):
            own = [
                one
                for one in tickets
                if (one["ticket_id"], one["customer_id"], one["created_at"])
                == (row["ticket_id"], row["customer_id"], row["event_time"])
            ]
            came = [one["_from"] for one in own]
            if row["segment"] is not None:
                served = [one for one in self.rows("features/segments", segments) if one["segment"] == row["segment"]]
                came += [one["_from"] for one in served]
            if kind == "joined":
                of_customer = [
                    one for one in self.rows("clean/customers", customers) if one["customer_id"] == row["customer_id"]
                ]
                came += [one["_from"] for one in of_customer]
            unsure = {"clean/tickets": [] if own else tickets}
            unsure |= (
                {"clean/customers": self.rows("clean/customers", customers)} if kind == "joined undeclared" else {}
            )
            possible = [one for rows in unsure.values() for one in rows]
            self.came[prediction] = Came(
                frozenset().union(*came),
                frozenset().union(*(one["_from"] for one in possible)),
                frozenset().union(*(one["_found"] for one in own)),
                frozenset().union(*(one["_found"] for one in possible)),
            )
