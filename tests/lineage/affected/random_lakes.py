"""Lakes of random runs that remember, in plain Python, which delivered records each row came from: the oracle of `affected`."""

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.features.serving.feature_refs import join, resolve
from assay.features.serving.join_options import JoinOptions
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.windowed import windows
from assay.lineage.predictions.prediction_log import stage_predictions

CUSTOMER, TICKET = Entity("customer", ["customer_id"]), Entity("ticket", ["ticket_id"])
AMOUNT = pl.col("amount")
COUNTED = {"time": "created_at", "n": pl.len(), "most": pl.col("amount").max()}
ACTIVITY = FeatureView(
    "activity", CUSTOMER, "event_time", windows(["1d", "2d"], source="clean/tickets", **COUNTED), max_age="36h"
)
OWN = FeatureView("own", TICKET, "created_at", [Feature("twice", AMOUNT * 2)], "clean/tickets")
LAST = FeatureView(
    "last",
    CUSTOMER,
    "created_at",
    [Feature("amount", AMOUNT), Feature("odd", pl.when(AMOUNT % 2 == 1).then(AMOUNT))],
    "clean/tickets",
    max_age="30h",
    known_time="known_at",
)
OVER = FeatureView(
    "over",
    CUSTOMER,
    "event_time",
    windows(["2d"], source="features/last", time="created_at", top=pl.col("amount").max()),
)
VIEWS = (ACTIVITY, OWN, LAST, OVER)
REFERENCES = {
    "activity": ["activity:n_1d", "activity:most_2d"],
    "own": ["own:twice"],
    "last": ["last:amount", "last:odd as last_odd"],
    "over": ["over:top_2d"],
}
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
Token = tuple[str, int, str, int]  # table, version, SHA-256 of the file, number of the record
Row = dict[str, Any]  # a row with its provenance under "_from"


def link(row: Row) -> tuple[str, int]:
    return row["_source_sha256"], row["_row_number"]


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).strftime("%Y-%m-%d")


def in_role(text: str, column: str) -> str:
    """A reference by the column that a role compares with the customer."""
    if not column:
        return text
    plain, _, name = text.partition(" as ")
    return f"{plain} as friends_{name or plain.partition(':')[2]} on customer_id={column}"


@dataclass
class RandomLake:
    """`held[table][version][partition]` are the rows of a table; `predictions` what each prediction came from."""

    lake: Lake
    chance: random.Random
    days: int = 3
    held: dict[str, dict[int, dict[str, list[Row]]]] = field(default_factory=dict)
    files: dict[int, list[tuple[str, pl.DataFrame]]] = field(default_factory=dict)
    predictions: dict[str, frozenset[Token]] = field(default_factory=dict)
    count: int = 0

    def live(self, steps: int) -> None:
        """Every table once, then runs in any order, most of them stale in some way."""
        for number in range(self.days):
            self.deliver(number)
            self.clean(number)
        for view in VIEWS:
            for number in range(self.days):
                self.view(view, number)
        acts: list[Callable[[int], None]] = [self.deliver, self.clean, self.predict, self.predict]
        acts += [lambda number, view=view: self.view(view, number) for view in VIEWS]
        acts += [self.judge_again]
        for _ in range(steps):
            self.chance.choice(acts)(self.chance.randrange(self.days))
        self.predict(self.days - 1)

    # -- what is known ---------------------------------------------------------------------------------------------

    def version(self, table: str) -> int | None:
        """Mostly the latest."""
        known = sorted(self.held.get(table, {}))
        return None if not known else known[-1] if self.chance.random() < 0.7 else self.chance.choice(known)

    def remember(self, tx: Any, table: str, partition: str, rows: list[Row], mode: str = "replace") -> int:
        (written,) = [item for item in tx.done.writes if item.table == table]
        version = written.snapshot.version
        known = self.held.setdefault(table, {})
        if version in known:  # the same rows again are no new version: they came from what they first came from
            return version
        before = dict(known[max(known)]) if known else {}
        before[partition] = [*(before.get(partition, []) if mode == "append" else []), *rows]
        known[version] = before
        return version

    def work(self, table: str, partition: str) -> Any:
        self.count += 1  # other code each time: nothing is found to be current
        return transaction(self.lake, NullRecorder(), Work(table, partition, code_version=f"{self.count}"))

    # -- the runs --------------------------------------------------------------------------------------------------

    def deliver(self, number: int) -> None:
        """A new file for a day, or the same files again, or one less; raw has those that are there."""
        files = self.files.setdefault(number, [])
        if files and self.chance.random() < 0.2:
            files.pop(self.chance.randrange(len(files)))
        if not files or self.chance.random() < 0.7:
            self.count += 1
            rows = [self.ticket(number) for _ in range(self.chance.randint(1, 3))]
            files.append((hashlib.sha256(f"{self.count}".encode()).hexdigest(), pl.DataFrame(rows, orient="row")))
        frames = [
            rows.with_columns(
                pl.lit(f"tickets/{day(number)}/{sha[:6]}.csv").alias("_source_file"),
                pl.lit(sha).alias("_source_sha256"),
                pl.int_range(1, pl.len() + 1).alias("_row_number"),
            )
            for sha, rows in files
        ]
        with self.work("raw/tickets", day(number)) as tx:
            for sha, rows in files:
                tx.sources.append(SourceFile(f"tickets/{day(number)}/{sha[:6]}.csv", sha, 1, rows.height))
            tx.write("raw/tickets", pl.concat(frames))
        rows = pl.concat(frames).rows(named=True)
        version = self.remember(tx, "raw/tickets", day(number), rows)
        for row in rows:
            row["_from"] = frozenset([("raw/tickets", version, row["_source_sha256"], row["_row_number"])])

    def ticket(self, number: int) -> Row:
        hours = self.chance.choice([0, 12, 23, 24])
        at = FIRST + timedelta(days=number, hours=hours)
        return {
            "ticket_id": f"t{self.chance.randrange(6)}",
            "customer_id": self.chance.choice(["c0", "c1"]),
            "friend_id": self.chance.choice(["c0", "c1"]),
            "created_at": at,
            "known_at": at + timedelta(hours=self.chance.choice([0, 1, 20])),
            "amount": self.chance.randrange(10),
        }

    def clean(self, number: int) -> None:
        at = self.version("raw/tickets")
        if at is None or day(number) not in self.held["raw/tickets"][at]:
            return
        partition = day(number)
        kept = [row for row in self.held["raw/tickets"][at][partition] if self.chance.random() < 0.8]
        with self.work("clean/tickets", partition) as tx:
            frame = tx.read("raw/tickets", [partition], version=at).collect().drop("partition_key")
            if self.held.get("clean/tickets"):
                tx.read("clean/tickets", lookup=True)
            links = {(row["_source_sha256"], row["_row_number"]) for row in kept}
            keep = [link in links for link in frame.select("_source_sha256", "_row_number").rows()]
            lineage = {name: {"direct": [("raw/tickets", name)], "indirect": []} for name in frame.columns}
            tx.write("clean/tickets", frame.filter(pl.Series(keep, dtype=pl.Boolean)), column_lineage=lineage)
        rows = [dict(row) for row in kept]
        known = self.held.get("clean/tickets", {})
        before = {link(row): row["_from"] for row in known[max(known)].get(partition, [])} if known else {}
        version = self.remember(tx, "clean/tickets", partition, rows)
        confirms = self.lake.table("clean/tickets").at(version).last_commit.confirms is not None
        for row in rows:
            row["_from"] |= {("clean/tickets", version, *link(row))} | (before[link(row)] if confirms else set())

    def judge_again(self, number: int) -> None:
        """Of the same rows something else is true: a version without data files says so."""
        known, partition = self.held.get("clean/tickets", {}), day(number)
        at = self.version("raw/tickets")
        rows = known[max(known)].get(partition) if known else None
        raw = {link(row): row["_from"] for row in self.held["raw/tickets"][at].get(partition, [])} if at else {}
        if not rows or not raw.keys() >= set(map(link, rows)):
            return
        with self.work("clean/tickets", partition) as tx:
            tx.read("raw/tickets", [partition], version=at)
            frame = self.lake.table("clean/tickets").scan().filter(pl.col("partition_key") == partition)
            tx.check(CheckResult(f"again_{self.count}", "clean/tickets", True, "warn", None, 1, 0))
            tx.write("clean/tickets", frame.collect().drop("partition_key"), column_lineage={})
        (written,) = [item for item in tx.done.writes if item.table == "clean/tickets"]
        version, before = written.snapshot.version, known[max(known)]
        own = {link(row): raw[link(row)] | {("clean/tickets", version, *link(row))} for row in rows}
        again = [row | {"_from": row["_from"] | own[link(row)]} for row in rows]
        known[version] = {**before, partition: again}

    def view(self, view: FeatureView, number: int) -> None:
        (source,) = view.sources()
        at = self.version(source)
        if at is None:
            return
        there = self.held[source][at]
        read = [key for key in map(day, range(max(0, number - 2), number + 1)) if key in there]
        read = read if view.lookback() else [key for key in read if key == day(number)]
        if not read:
            return
        table = f"features/{view.name}"
        with self.work(table, day(number)) as tx:
            frame = tx.read(source, read, version=at)
            rows = view.compute({source: frame}, at=FIRST + timedelta(days=number + 1))
            tx.describe(**view.metadata())
            tx.write(table, rows.sort([view.event_time, *view.entity.keys]), column_lineage=view.column_lineage())
        (behind,) = view.transformation.rows_read()
        candidates = [row for key in read for row in there[key]]
        made = rows.sort([view.event_time, *view.entity.keys]).rows(named=True)
        version = self.remember(tx, table, day(number), made)
        for row in made:
            t = row[view.event_time]
            row["_from"] = frozenset([(table, version, "", 0)]).union(
                *(
                    one["_from"]
                    for one in candidates
                    if all(one[key] == row[key] for key in view.entity.keys)
                    and (
                        one[behind.time] == t if behind.width is None else t - behind.width <= one[behind.time] < t  # type: ignore[index]
                    )
                )
            )

    def predict(self, number: int) -> None:
        at = self.version("clean/tickets")
        if at is None:
            return
        read = sorted({day(number), self.chance.choice(sorted(self.held["clean/tickets"][at]))})
        read = [key for key in read if key in self.held["clean/tickets"][at]]
        views = [view for view in VIEWS if self.held.get(f"features/{view.name}") and self.chance.random() < 0.7]
        recorded = self.chance.random() < 0.7
        if not recorded:  # then it is not known either how a view with a known time was joined
            views = [view for view in views if view.known_time is None]
        known = recorded and self.chance.random() < 0.4
        views = [view for view in views if not known or view.known_time is not None]
        skip_nulls = recorded and self.chance.random() < 0.4
        versions = {f"features/{v.name}": self.version(f"features/{v.name}") or 0 for v in views}
        roles = [(view, column) for view in views for column in self.roles(view)]
        references = [in_role(text, column) for view, column in roles for text in REFERENCES[view.name]]
        with self.work("predictions/router", day(0)) as tx:
            frame = tx.read("clean/tickets", read, version=at).collect()
            spine = (
                frame.select("ticket_id", "customer_id", "friend_id", event_time="created_at").unique().sort(pl.all())
            )
            if spine.is_empty():
                return
            how = {"known_at": "known" if known else "event", "skip_nulls": skip_nulls}
            rows = spine
            if references:
                rows = join(
                    spine, resolve(tx, references, spine, versions=versions, options=JoinOptions.from_dict(how))
                )
            columns = rows.columns[4:]
            ids = stage_predictions(
                tx,
                model="router",
                model_version=f"{self.count}",
                frame=rows.with_columns(intent=pl.lit("card")),
                keys=["ticket_id", "customer_id", "friend_id"],
                features=references,
                feature_columns=columns,
                outputs=["intent"],
                joined=how if recorded else None,
                spine={"table": "clean/tickets", "event_time": "created_at"} if recorded else None,
            )
        for prediction, row in zip(ids, spine.rows(named=True), strict=True):
            came = [
                one["_from"]
                for key in read
                for one in self.held["clean/tickets"][at][key]
                if all(one[key] == row[key] for key in ("ticket_id", "customer_id", "friend_id"))
                and (not recorded or one["created_at"] == row["event_time"])
            ]
            for view, column in roles:
                asked = row | ({"customer_id": row[column]} if column else {})
                features = [text.split(" ")[0].split(":")[1] for text in REFERENCES[view.name]]
                for names in [[name] for name in features] if skip_nulls else [[]]:
                    found = self.served(view, versions[f"features/{view.name}"], asked, known, names)
                    came += [found["_from"]] if found else []
            self.predictions[prediction] = frozenset().union(*came)

    def roles(self, view: FeatureView) -> list[str]:
        """By its own key, by the friend's, or by both, each in a role."""
        return self.chance.choice([[""], [""], ["friend_id"], ["", "friend_id"]]) if view.entity is CUSTOMER else [""]

    def served(self, view: FeatureView, version: int, row: Row, known: bool, needed: Iterable[str]) -> Row | None:
        """The feature row that the as-of join takes, by a look at each."""
        best: tuple[Any, Row] | None = None
        for partition, rows in sorted(self.held[f"features/{view.name}"][version].items()):
            for position, one in enumerate(rows):
                if any(one[key] != row[key] for key in view.entity.keys) or one[view.event_time] > row["event_time"]:
                    continue
                if known and one["known_at"] > row["event_time"]:
                    continue
                if any(one[name] is None for name in needed):
                    continue
                rank = (one[view.event_time], one.get(view.known_time or "", 0), partition, position)
                if best is None or rank > best[0]:
                    best = (rank, one)
        if best is None:
            return None
        ages = {"activity": timedelta(hours=36), "last": timedelta(hours=30)}
        age = row["event_time"] - best[1][view.event_time]
        return best[1] if age <= ages.get(view.name, age) else None
