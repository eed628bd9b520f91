"""Random runs, each remembered as it was told to be: stale reads, parts of tables, overwrites, appends, lookups, tables
deleted and made anew at one path, models and predictions. What the queries answer is compared with that memory."""

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import Transaction, transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import open_lineage_store

DAGS = 1_000 if os.environ.get("SOAK") else 3
RUNS = 11
TABLES = (
    "raw/a",
    "raw/b",
    "clean/a",
    "features/f",
    "training/m",
    "models/m",
    "predictions/m",
)  # each reads earlier ones
PARTITIONED = ("raw/a", "clean/a", "predictions/m")
DAYS = ("2026-09-01", "2026-09-02")

Key = tuple[str, str, int]  # table, table id, version


@dataclass
class Made:
    """A version as it was asked for. `read` and `looked_up` are the versions that wrote the rows that were read, `inputs`
    the versions (with table ids) at which they were. `said`: by column, the columns that it comes from, and whether
    directly. `schema` and `rows` are the whole table's, `wrote` counts the rows that this version added."""

    partition: str | None
    code: str
    read: set[Key] = field(default_factory=set)
    looked_up: set[Key] = field(default_factory=set)
    inputs: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    said: dict[str, dict[tuple[str, str], bool]] = field(default_factory=dict)
    contract: str = ""
    checks: dict[str, bool] = field(default_factory=dict)
    schema: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    wrote: int = 0
    model: str = ""
    prediction: str = ""


@dataclass
class Runs:
    """All that was ever `made`. `now[table][version]` is what the partitions of a table hold: the versions that wrote it."""

    lake: Lake
    recorder: EventRecorder
    chance: random.Random
    made: dict[Key, Made] = field(default_factory=dict)
    now: dict[str, dict[int, dict[str | None, tuple[Key, ...]]]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def there(self) -> dict[Key, Made]:
        """The versions of tables that are there now."""
        ids = {table: next(iter(next(iter(held.values())).values()))[-1][1] for table, held in self.now.items()}
        return {key: made for key, made in self.made.items() if ids.get(key[0]) == key[1]}

    def likely(self, probability: float) -> bool:
        return self.chance.random() < probability

    def step(self) -> None:
        table = self.chance.choice([name for name in TABLES if name != "predictions/m" or "models/m" in self.now])
        if table in self.now and self.likely(0.2):
            shutil.rmtree(Path(self.lake.storage.root, table))
            del self.now[table], self.names[table]
            return
        made = Made(self.chance.choice(DAYS) if table in PARTITIONED else None, self.chance.choice(["one", "two"]))
        append = table in ("models/m", "predictions/m") or self.likely(0.3)
        with transaction(self.lake, self.recorder, Work(table, made.partition, code_version=made.code)) as tx:
            for name in (*TABLES[: TABLES.index(table)], table):
                chances = 0.15 if name == table else 1 if (table, name) == ("predictions/m", "models/m") else 0.5
                if name in self.now and self.likely(chances):
                    self.read(tx, table, name, made)
            if self.likely(0.6):
                made.contract = self.chance.choice(["c@1", "c@2"])
                tx.contract = {"name": "c", "version": made.contract[-1]}
            made.checks = {name: self.likely(0.7) for name in ("x", "y") if self.likely(0.7)}
            tx.check(*(CheckResult(name, table, passed, "warn") for name, passed in made.checks.items()))
            (self.predict if table == "predictions/m" else self.write)(tx, table, made, append)
        assert tx.done is not None
        self.remember(tx.done.writes[0].snapshot, made, append)

    def read(self, tx: Transaction, table: str, name: str, made: Made) -> None:
        """Some partitions of some version; of one's own table the latest, since any later one would be a conflict."""
        held = self.now[name]
        version = self.chance.choice(list(held)) if name != table and self.likely(0.4) else max(held)
        there = held[version]
        keys = None if None in there or self.likely(0.3) else self.chance.sample(sorted(there, key=str), 1)
        lookup = name != "models/m" and self.likely(0.5 if name == table else 0.2)
        tx.read(name, keys, version=version, lookup=lookup)
        found = {key for part in (there if keys is None else keys) for key in there[part]}
        (made.looked_up if lookup else made.read).update(found)
        made.inputs.setdefault(name, set()).add((str(version), tx.state(name).snapshot.table_id))

    def write(self, tx: Transaction, table: str, made: Made, append: bool) -> None:
        names = self.names.setdefault(table, ["a", "b"])
        if "c" not in names and self.likely(0.2):
            names.append("c")
        made.wrote = self.chance.randint(1, 3)
        frame = pl.DataFrame({name: [len(self.made)] * made.wrote for name in names})
        if table == "models/m":
            made.model = str(len(self.made))
            frame = frame.with_columns(model_version=pl.lit(made.model))
        made.schema = {name: str(dtype) for name, dtype in frame.schema.items()}
        declared = {name: self.declare(name, made) for name in names if self.likely(0.8)}
        tx.write(table, frame, mode="append" if append else "replace", column_lineage=declared)

    def declare(self, column: str, made: Made) -> Any:
        """Mostly what a column comes from; sometimes that it is unknown, or (which is no knowledge) what was not read."""
        pairs = {(name, source): self.likely(0.5) for name in made.inputs for source in "ab" if self.likely(0.4)}
        wrong = self.likely(0.05)
        if wrong:
            pairs["raw/elsewhere", "a"] = True
        elif self.likely(0.1):
            return "unknown"
        else:
            made.said[column] = pairs
        return {kind: [pair for pair, direct in pairs.items() if direct == (kind == "direct")] for kind in _KINDS}

    def predict(self, tx: Transaction, table: str, made: Made, append: bool) -> None:
        """With one of the models ever made. Of the others that were read, nothing comes into the prediction."""
        models = {found.model: key for key, found in self.made.items() if found.model}
        name, model = self.chance.choice(list(models.items()))
        frame = pl.DataFrame({"id": [len(self.made)], "event_time": [datetime.fromisoformat(f"{made.partition}T09Z")]})
        (made.prediction,) = stage_predictions(tx, model="m", model_version=name, frame=frame, keys=["id"])
        made.wrote = 1
        if model in made.read:
            made.read -= {key for key in made.read if key[0] == "models/m" and key != model}
        if table in self.now:  # looked at: is this id new?
            latest = max(self.now[table])
            made.looked_up.update(self.now[table][latest].get(made.partition, ()))
            made.inputs.setdefault(table, set()).add((str(latest), tx.state(table).snapshot.table_id))

    def remember(self, written: Any, made: Made, append: bool) -> None:
        key = (written.table, written.table_id, written.version)
        held = self.now.setdefault(written.table, {})
        before = held[max(held)] if held else {}
        kept = before.get(made.partition, ()) if append else ()
        held[written.version] = {**before, made.partition: (*kept, key)}
        self.made[key] = made
        self.names.setdefault(written.table, [])
        made.rows = sum(self.made[own].wrote for part in held[written.version].values() for own in part)
        if made.prediction:
            schema = self.lake.table(written.table).at(written.version).schema
            made.schema = {name: str(dtype) for name, dtype in schema.items() if name != "partition_key"}


_KINDS = ("direct", "indirect")


@pytest.fixture(scope="session", params=range(DAGS))
def runs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Only to be read."""
    folder = tmp_path_factory.mktemp("runs")
    store = open_lineage_store(folder / "lineage.db")
    recorder = EventRecorder(store)
    made = Runs(open_lake(folder / "lake"), recorder, random.Random(request.param))
    while len(made.made) < RUNS:
        made.step()
    yield made
    recorder.close()
    store.close()
    shutil.rmtree(folder)
