"""Stores on both databases, and lakes to trace in: a small support desk, and random ones that know where their rows came from."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Recorder, Work
from assay.features.tables.transaction import Transaction, transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.windowed import windows
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.conftest import SOAK

FIRST = date(2026, 9, 1)
CUSTOMER = Entity("customer", ["customer_id"])
TICKET = Entity("ticket", ["ticket_id"])
ACTIVITY = FeatureView(
    "customer_activity",
    CUSTOMER,
    "event_time",
    windows(["1d", "3d"], source="clean/tickets", time="created_at", tickets=pl.len()),
)
TEXT = FeatureView("ticket", TICKET, "created_at", [Feature("length", pl.col("text").str.len_chars())], "clean/tickets")
DECLARATION = b'{"name": "Tickets", "version": "1.2", "columns": []}'  # of the contract, as the lake keeps it
FEATURES = ["customer_activity:tickets_1d", "customer_activity:tickets_3d", "ticket:length"]


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def midnight(number: int) -> datetime:
    return datetime.combine(FIRST + timedelta(days=number), datetime.min.time(), UTC)


@dataclass
class Desk:
    """Tickets by day: delivered, cleaned, made features of, learnt from and predicted. `landing` holds what was delivered."""

    lake: Lake
    landing: Path
    embed: Callable[[Sequence[str]], Any]
    delivered: dict[str, Path] = field(default_factory=dict)  # by SHA-256
    grown: Callable[[int], Path] | None = None  # the folder of a desk after `until`, made once, to be copied

    def work(self, asset: str, partition: str | None = None) -> Any:
        return transaction(self.lake, NullRecorder(), Work(asset, partition, code_version=f"code of {asset}"))

    def deliver(self, number: int, tickets: int = 4, note: str = "") -> SourceFile:
        """A file of a day's tickets: customer c0, c1, c0, c1, … at 01:00, 02:00, …"""
        lines = [
            f"t{number}-{n},c{n % 2},{midnight(number) + timedelta(hours=n + 1)},text {n} {note}"
            for n in range(tickets)
        ]
        path = self.landing / "tickets" / day(number) / f"drop{note}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
        return self.ingest(number, path, tickets)

    def ingest(self, number: int, path: Path, rows: int) -> SourceFile:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        self.delivered[sha256] = path
        kept = f"_landing/{sha256[:2]}/{sha256}"
        self.lake.storage.put_once(kept, content)
        source = SourceFile(path.relative_to(self.landing).as_posix(), sha256, len(content), rows, kept)
        frame = pl.DataFrame(
            [line.split(",") for line in content.decode().splitlines()],
            schema=["ticket_id", "customer_id", "created_at", "text"],
            orient="row",
        ).with_columns(
            pl.lit(source.path).alias("_source_file"),
            pl.lit(sha256).alias("_source_sha256"),
            pl.int_range(1, rows + 1).alias("_row_number"),
        )
        with self.work("raw/tickets", day(number)) as tx:
            tx.sources.append(source)
            tx.write("raw/tickets", frame)
        return source

    def customers(self) -> None:
        """One batch of a source that is only looked things up in."""
        content = b"c0\nc1"
        sha256 = hashlib.sha256(content).hexdigest()
        self.lake.storage.put_once(f"_landing/{sha256[:2]}/{sha256}", content)
        source = SourceFile("customers/000001.csv", sha256, len(content), 2, f"_landing/{sha256[:2]}/{sha256}")
        frame = pl.DataFrame({"customer_id": ["c0", "c1"]}).with_columns(
            pl.lit(source.path).alias("_source_file"),
            pl.lit(sha256).alias("_source_sha256"),
            pl.int_range(1, 3).alias("_row_number"),
        )
        with self.work("raw/customers", "000001") as tx:
            tx.sources.append(source)
            tx.write("raw/customers", frame)
        with self.work("clean/customers", "000001") as tx:
            tx.write("clean/customers", tx.read("raw/customers", ["000001"]).collect().drop("partition_key"))

    def clean(self, number: int) -> None:
        with self.work("clean/tickets", day(number)) as tx:
            rows = tx.read("raw/tickets", [day(number)]).collect().drop("partition_key")
            tx.read("clean/customers", lookup=True)
            if self.lake.table("clean/tickets").exists():
                tx.read("clean/tickets", lookup=True)
            digest = hashlib.sha256(DECLARATION).hexdigest()
            self.lake.storage.put_once(f"_contracts/{digest}.json", DECLARATION)
            tx.contract = {"name": "Tickets", "version": "1.2", "digest": digest}
            tx.check(CheckResult("ticket_id.unique", "clean/tickets", True, evaluated=rows.height))
            tx.check(
                CheckResult(
                    "text.not_null", "clean/tickets", number != 1, evaluated=rows.height, invalid=int(number == 1)
                )
            )
            columns = {name: {"direct": [("raw/tickets", name)], "indirect": []} for name in rows.columns}
            tx.write(
                "clean/tickets",
                rows.with_columns(pl.col("created_at").str.to_datetime(time_zone="UTC")),
                column_lineage=columns,
            )

    def features(self, number: int) -> None:
        present = [day(n) for n in range(max(number - 2, 0), number + 1)]
        with self.work("features/customer_activity", day(number)) as tx:
            frame = tx.read("clean/tickets", present)
            tx.extra |= {"serving": ACTIVITY.serving(), "view": ACTIVITY.definition()}
            rows = ACTIVITY.compute({"clean/tickets": frame}, at=midnight(number + 1))
            tx.write("features/customer_activity", rows, column_lineage=ACTIVITY.column_lineage())
        with self.work("features/ticket", day(number)) as tx:
            rows = TEXT.compute({"clean/tickets": tx.read("clean/tickets", [day(number)])})
            tx.describe(**TEXT.metadata())
            tx.write("features/ticket", rows, column_lineage=TEXT.column_lineage())
        with self.work("embeddings/ticket_text", day(number)) as tx:
            texts = tx.read("clean/tickets", [day(number)]).select("text").unique().sort("text").collect()["text"]
            keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
            known: set[str] = set()
            if self.lake.table("embeddings/ticket_text").exists():
                known = set(tx.read("embeddings/ticket_text", lookup=True).collect()["text_key"])
            rows = pl.DataFrame({"text_key": keys, "vector": self.embed(texts.to_list())}).cast(
                {"vector": pl.List(pl.Float32)}
            )
            lineage = {"vector": {"direct": [("clean/tickets", "text")], "indirect": []}}
            new = rows.filter(~pl.col("text_key").is_in(list(known)))
            tx.write("embeddings/ticket_text", new, mode="append", column_lineage=lineage)

    def until(self, number: int) -> None:
        """Everything up to and with a day."""
        works_as_usual = "work" not in vars(self)  # a test may have it recorded
        if self.grown is not None and works_as_usual and not self.lake.tables():
            self._copy(self.grown(number))
            return
        self.customers()
        for n in range(number + 1):
            self.deliver(n)
            self.clean(n)
            self.features(n)

    def _copy(self, folder: Path) -> None:
        """Of another desk: all but its index, which no copy is believed to be."""
        lake = Path(self.lake.storage.root)
        shutil.copytree(folder / "lake", lake, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_index"))
        shutil.copytree(folder / "landing", self.landing, dirs_exist_ok=True)
        for path in sorted(self.landing.rglob("*.csv")):
            self.delivered[hashlib.sha256(path.read_bytes()).hexdigest()] = path

    def train(self, version: str, numbers: range) -> None:
        days = [day(number) for number in numbers]
        with self.work("training/router") as tx:
            rows = tx.read("features/ticket", days).collect().drop("partition_key")
            tx.read("features/customer_activity", days)
            tx.write("training/router", rows)
        with self.work("models/router") as tx:
            state = tx.state("training/router")
            tx.read("training/router")
            artifact = f"model {version}".encode()
            model = {
                "model_version": version,
                "sha256": hashlib.sha256(artifact).hexdigest(),
                "artifact": artifact,
                "training_set": f"router@{state.version}",
                "metrics": json.dumps({"accuracy": 0.9}),
                "created_at": midnight(numbers.stop),
            }
            tx.write("models/router", pl.DataFrame([model]), mode="append")

    def predict(self, number: int, version: str) -> list[str]:
        with self.work("predictions/router", day(number)) as tx:
            return self.stage(tx, number, version)

    def stage(self, tx: Transaction, number: int, version: str, skew: int = 0) -> list[str]:
        """`skew` is a serving bug: the model sees another number than the feature table says."""
        tx.read("models/router")
        tx.read("embeddings/ticket_text")
        activity = tx.read("features/customer_activity", [day(n) for n in range(number + 1)]).collect()
        length = tx.read("features/ticket", [day(number)]).select("ticket_id", "length")
        spine = tx.read("clean/tickets", [day(number)]).join(length, on="ticket_id").collect().sort("ticket_id")
        latest = activity.filter(pl.col("partition_key") == day(number - 1))
        frame = spine.join(latest, on="customer_id", how="left", maintain_order="left").select(
            "ticket_id",
            "customer_id",
            pl.col("created_at").alias("event_time"),
            "tickets_1d",
            "tickets_3d",
            pl.col("length") + skew,
            pl.lit("card").alias("intent"),
            pl.lit(0.75).alias("confidence"),
            pl.col("text")
            .map_elements(lambda text: hashlib.sha256(text.encode()).hexdigest(), return_dtype=pl.String)
            .alias("text_key"),
        )
        columns = ["tickets_1d", "tickets_3d", "length"]
        return stage_predictions(
            tx,
            model="router",
            model_version=version,
            frame=frame,
            features=FEATURES,
            feature_columns=columns,
            outputs=["intent"],
        )


def embed(texts: Sequence[str]) -> Any:
    """A vector of four numbers from a text's digest."""
    return (
        pl.Series([list(hashlib.sha256(text.encode()).digest()[:4]) for text in texts])
        .cast(pl.Array(pl.Float32, 4))
        .to_numpy()
    )


@pytest.fixture
def desk(tmp_path: Path, made_once: Callable[..., Path]) -> Desk:
    def grown(number: int) -> Path:
        def make(folder: Path) -> None:
            Desk(open_lake(folder / "lake"), folder / "landing", embed).until(number)

        return made_once(f"desk-{number}", make)

    return Desk(open_lake(tmp_path / "lake"), tmp_path / "landing", embed, grown=grown)


Token = Any  # a landing file's SHA-256, or a (table, version) that wrote rows


@dataclass
class Wild:
    """A lake of random runs. Beside each commit it keeps what its rows came from, as sets: the oracle for every query.

    `contents[table][version][partition]` is everything the rows of a partition came from at a version; `made[table, version]`
    what the rows that this version wrote came from.
    """

    lake: Lake
    chance: random.Random
    recorder: Recorder = field(default_factory=NullRecorder)
    contents: dict[str, dict[int, dict[str | None, frozenset[Token]]]] = field(default_factory=dict)
    made: dict[tuple[str, int], frozenset[Token]] = field(default_factory=dict)
    looked_up: dict[tuple[str, int], frozenset[Token]] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)  # model version → version of the table
    predictions: dict[str, tuple[str, int]] = field(default_factory=dict)
    count: int = 0

    def read(self, tx: Transaction, table: str, *, lookup: bool = False, at: int = 0) -> frozenset[Token]:
        """Read some partitions of a table, often at an old version."""
        known = [version for version in self.contents.get(table, {}) if version >= at]
        if not known:
            return frozenset()
        version = self.chance.choice(known) if self.chance.random() < 0.6 else known[-1]
        there = self.contents[table][version]
        keys: list[Any] = self.chance.sample(sorted(there, key=str), self.chance.randint(1, len(there)))
        whole = None in there or self.chance.random() < 0.2
        tx.read(table, None if whole else keys, version=version, lookup=lookup)
        return frozenset().union(*(there[key] for key in (there if whole else keys)))

    def remember(self, tx: Transaction, table: str, partition: str | None, came: frozenset[Token], mode: str) -> None:
        assert tx.done is not None
        for written in tx.done.writes:
            version = written.snapshot.version
            came |= {(table, version)}
            self.made[table, version] = came
            before = dict(self.contents.get(table, {}).get(max(self.contents.get(table, {}), default=0), {}))
            before[partition] = came | (before.get(partition, frozenset()) if mode == "append" else frozenset())
            self.contents.setdefault(table, {})[version] = before

    def step(self) -> None:
        self.count += 1
        table = self.chance.choice([*UPSTREAMS, "predictions/router"])
        if table == "predictions/router":
            self.predict()
            return
        partition = None if table.startswith(("training", "models")) else day(self.chance.randrange(3))
        mode = "append" if table.startswith(("models", "embeddings")) else "replace"
        frame = pl.DataFrame({"n": [self.count]})
        came: frozenset[Token] = frozenset()
        work = Work(table, partition, code_version="1")
        with transaction(self.lake, self.recorder, work) as tx:
            if table.startswith("raw/"):
                sha256 = hashlib.sha256(f"{self.count}".encode()).hexdigest()
                tx.sources.append(SourceFile(f"{self.count}.csv", sha256, 1, 1))
                came |= {sha256}
            for upstream in UPSTREAMS[table]:
                if self.chance.random() < 0.8:
                    came |= self.read(tx, upstream)
            lookups = self.read(tx, "clean/b", lookup=True) if table == "clean/a" else frozenset()
            if table == "models/router":
                frame = frame.with_columns(model_version=pl.lit(f"{self.count}"))
            tx.write(table, frame, mode=mode)
        self.remember(tx, table, partition, came, mode)
        assert tx.done is not None
        version = tx.done.writes[0].snapshot.version
        self.looked_up[table, version] = lookups
        if table == "models/router":
            self.models[f"{self.count}"] = version

    def predict(self) -> None:
        """With one of the models in the table: of the others nothing comes into the prediction."""
        if not self.models:
            return
        number, (model, since) = self.chance.randrange(3), self.chance.choice(sorted(self.models.items()))
        known = self.contents.get("predictions/router", {})
        before = known[max(known)].get(day(number), frozenset()) if known else frozenset()  # looked at: is this id new?
        work = Work("predictions/router", day(number), code_version="1")
        with transaction(self.lake, self.recorder, work) as tx:
            self.read(tx, "models/router", at=since)
            came = self.made["models/router", since] | self.read(tx, "features/g") | self.read(tx, "embeddings/e")
            frame = pl.DataFrame({"id": [self.count], "event_time": [midnight(number)]})
            ids = stage_predictions(tx, model="router", model_version=model, frame=frame, keys=["id"])
        self.remember(tx, "predictions/router", day(number), came, "append")
        assert tx.done is not None
        written = ("predictions/router", tx.done.writes[0].snapshot.version)
        self.predictions[ids[0]], self.looked_up[written] = written, before


UPSTREAMS: dict[str, tuple[str, ...]] = {
    "raw/a": (),
    "raw/b": (),
    "clean/a": ("raw/a",),
    "clean/b": ("raw/b",),
    "features/f": ("clean/a", "clean/b"),
    "features/g": ("clean/a", "features/f"),
    "embeddings/e": ("clean/b",),
    "training/router": ("features/f", "features/g", "embeddings/e"),
    "models/router": ("training/router",),
}


@pytest.fixture(scope="session", params=range(10 if SOAK else 1))
def wild(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Wild:
    """Seventy random runs: stale reads, replaced days, appends, several models. Only to be read."""
    made = Wild(open_lake(tmp_path_factory.mktemp("wild")), random.Random(request.param))
    for _ in range(70):
        made.step()
    while not made.predictions:
        made.step()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineageStore]:
    """The same behaviour on both databases."""
    if request.param == "sqlite":
        opened = open_lineage_store(tmp_path / "lineage.db", busy_seconds=10)
    else:
        url = request.getfixturevalue("postgres_url")
        _empty(url)
        opened = open_lineage_store(url, home=tmp_path, busy_seconds=10)
    yield opened
    opened.close()


def _empty(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
