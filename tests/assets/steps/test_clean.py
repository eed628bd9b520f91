"""A batch that is cleaned on disk gives what it gives in memory: the same files, verdicts and previews, and nothing is left."""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

import assay
from assay import Contract, Field, Files, Partitioning, Source, Timestamp, rule
from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.assets.steps.apply_decisions import HELD, LINK, REFUSED, REJECTED, RELEASED, STATUS, VOID
from assay.assets.steps.clean import clean_step, judged_batch, prepare_batch
from assay.assets.steps.published_rows import EXAMPLES
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, Result, execute, fingerprints, look, stale, work_of
from assay.checks import SpilledOutcome
from assay.features import AuditFailed
from assay.features.storage import parquet_files
from assay.features.storage.scratch import FOLDER
from assay.features.tables.transaction import Transaction
from assay.store import Store

TABLES = ("clean/parcels", "quarantine/parcels", "profiles/parcels")
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
NAMES = ("Ada Ltd", "ada ltd.", "Grace", "Linus", "Barbara & Sons", "Edsger")


class Parcels(Contract):
    parcel: str = Field(key=True)
    weight: float = Field(ge=0)
    sent: Timestamp = Field()
    state: str = Field(isin=["new", "sent", "lost"])
    product: str = Field(exists_in="lists/products")
    counter: int = Field(sequence="increasing", per="state", nullable=True)
    sender: str = Field()
    name: str = Field(canonical_unique="sender", pii="name")
    note: str = Field(nullable=True)

    class Config(Contract.Config):
        version = "1.0.0"
        severity = {"weight.le_10": "warn"}  # noqa: RUF012 (read once)

    @rule(name="weight.le_10")
    def light(cls) -> pl.Expr:
        return pl.col("weight") <= 10

    @pa.check("note")
    def quiet(cls, data: Any) -> pl.LazyFrame:  # noqa: N805 (pandera gives the class)
        return data.lazyframe.select(~pl.col(data.key).str.contains("!", literal=True))


parcels = Source(
    name="parcels",
    reader=Files("parcels/{day}/*", (".csv",)),
    partitioning=Partitioning.daily(DAYS[0]),
    contract=Parcels,
    key=("parcel",),
    event_time="sent",
)


def delivered(day: int, rows: int = 400) -> bytes:
    """Parcels of a day with every kind of defect; some keys are in the batch twice, and some are those of the day before."""
    chance = random.Random(day)

    def spoilt(value: object, *others: object) -> str:
        return str(chance.choice(others) if chance.random() < 0.05 else value)

    lines = [b"parcel,weight,sent,state,product,counter,sender,name,note"]
    for index in range(rows):
        sender = chance.randrange(len(NAMES))
        values = [
            spoilt(f"P{day}-{index}", "", f"P{day}-{max(0, index - 5)}", *[f"P{day - 1}-{index}"] * 3),
            spoilt(round(chance.random() * 12, 2), -1, "heavy", "nan", ""),
            spoilt(f"{DAYS[day]}T{index % 24:02d}:00:00Z", "yesterday"),
            spoilt("new", "sent", "eaten"),
            spoilt(f"p{index % 3}", "p8", "p9"),
            spoilt(index, 0, "x"),
            f"c{sender}",
            spoilt(NAMES[sender], ""),
            spoilt("é" * (index % 4), "loud!", '"a, b"'),
        ]
        lines.append(",".join(values).encode())
    lines[7:7] = [b"too,few", b"P,1,caf\xe9,,,,,,"]
    return b"\n".join([*lines, b""])


@dataclass
class Desk:
    """A lake, and what steps use to clean batches in memory or on disk."""

    store: Store
    memory: Resources
    disk: Resources

    def deliver(self, day: int, content: bytes) -> None:
        file = self.memory.settings.landing_path / "parcels" / DAYS[day] / "parcels.csv"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        execute(raw_step(parcels), self.memory, DAYS[day])

    def products(self, *names: str) -> None:
        with self.store.transaction("lists/products") as tx:
            tx.write("lists/products", pl.DataFrame({"product": names}))

    def decide(self, action: str, rows: tuple[tuple[str, int], ...], **options: Any) -> None:
        """Try a decision in memory, and make it on disk, which comes to the same."""
        what = Decision(action, "seen on the invoice", "kim", **options)
        choice = RowSelection(partition=DAYS[1], rows=rows)
        tried = decide(parcels, self.memory, choice, what)
        made = decide(parcels, self.disk, choice, what, dry_run=False)
        assert tried.rows == made.rows and any(row.fits for row in tried.rows), tried

    def held(self, rule: str, **delivered: str) -> tuple[tuple[str, int], ...]:
        """The rows of day 1 that broke this rule alone, and have these values."""
        rows = self.memory.lake.table("quarantine/parcels").at().scan([DAYS[1]])
        alone = rows.filter(pl.col("_rules") == pl.lit([rule], pl.List(pl.String)), pl.col(STATUS) == HELD, **delivered)
        return tuple(alone.select(LINK).collect().rows())

    def clean_both_ways(self, day: int) -> pl.DataFrame:
        """Clean a day in memory, and again on disk: all is as before. Gives the quarantined rows."""
        first, before = execute(clean_step(parcels), self.memory, DAYS[day], force=True), self.published(day)
        second, after = execute(clean_step(parcels), self.disk, DAYS[day], force=True), self.published(day)
        assert first.changed and second.done.writes
        assert after == before
        assert shown(second) == shown(first)
        assert left_behind(self.disk) == []
        return self.memory.lake.table("quarantine/parcels").at().scan([DAYS[day]]).collect()

    def published(self, day: int) -> dict[str, Any]:
        """The digests that name the day's files, and what the commits say of them."""
        found: dict[str, Any] = {}
        for table in TABLES:
            state = self.memory.lake.table(table).at()
            commit = state.writer_of(DAYS[day])
            assert commit is not None
            files = [file.path for file in state.files_of([DAYS[day]])]
            assert files and all(parquet_files.file_sha256(file) for file in files)
            found[table] = (files, state.schema, commit.report, commit.profile, commit.column_lineage, commit.checks)
        return found


def shown(result: Result) -> dict[str, Any]:
    plain = dict(result.shown)
    frames = {f"example {rule}": rows for rule, rows in plain.pop("examples").items()}
    frames |= {name: plain.pop(name) for name in ("preview", "quarantined")}
    assert all(rows.height <= EXAMPLES for name, rows in frames.items() if name.startswith("example"))
    return plain | {name: (rows.schema, rows.rows()) for name, rows in frames.items()}


def left_behind(env: Resources) -> list[Path]:
    return list((env.settings.home / FOLDER).iterdir())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(parquet_files, "ROWS_PER_FILE", 100)  # so that a batch has several files
    store = assay.open(home=tmp_path, actor="kim")
    env = store.env()
    made = Desk(store, env, replace(env, settings=env.settings.model_copy(update={"in_memory_mb": 0})))
    made.products("p0", "p1", "p2")
    for day in (0, 1):
        made.deliver(day, delivered(day))
    yield made
    store.recorder.close()


def test_files_verdicts_and_previews_are_the_same_on_disk_and_in_memory(desk: Desk) -> None:
    desk.clean_both_ways(0)
    quarantined = desk.clean_both_ways(1)
    broken = {name for rules in quarantined["_rules"] for name in rules}
    assert broken == {
        *("row.unparsable", "row.encoding", "parcel.not_null", "parcel.unique", "weight.dtype", "weight.not_nan"),
        *("weight.ge", "weight.not_null", "sent.dtype", "state.isin", "product.exists", "counter.dtype"),
        *("counter.sequence", "name.not_null", "name.canonical_unique", "note.quiet", "weight.le_10"),
    }, "every kind of defect is in the batch"
    with judged(desk, desk.disk) as (outcome, settled):
        assert isinstance(outcome, SpilledOutcome)
        assert settled.clean.select(pl.len()).collect().item() + quarantined.height == outcome.report.rows_in == 402
    taken = quarantined.filter(pl.col("parcel").str.starts_with("P0-"), pl.col("_rules").list.contains("parcel.unique"))
    assert taken.height, "some keys belong to the day before"


def judged(desk: Desk, env: Resources) -> Any:
    tx = Transaction(env.lake, work_of(clean_step(parcels), DAYS[1]))
    return judged_batch(parcels, prepare_batch(parcels, tx, env), env.settings)


def test_decisions_have_the_same_effect_on_disk_and_in_memory(desk: Desk) -> None:
    for day in (0, 1):
        execute(clean_step(parcels), desk.memory, DAYS[day])
    desk.decide("release", desk.held("state.isin"), edits={"state": "lost"})
    desk.decide("release", desk.held("weight.ge")[:1], exceptions=("weight.ge",), until=date(2999, 12, 31))
    desk.products("p0", "p1", "p2", "p7")
    desk.decide("release", desk.held("product.exists", product="p8"), edits={"product": "p7"})
    desk.decide("reject", desk.held("product.exists", product="p9")[:2])
    desk.products("p0", "p1", "p2", "p9")  # releases do not fit any more, and what was refused would be clean
    quarantined = desk.clean_both_ways(1)
    assert set(quarantined[STATUS]) == {RELEASED, REJECTED, HELD, VOID}
    refused = quarantined.filter(pl.col("_rules") == pl.lit([REFUSED], pl.List(pl.String)))
    assert refused.height == 2, "they are refused, though they meet the contract by now"


def test_nothing_is_left_on_disk_by_a_batch_that_is_stopped(desk: Desk) -> None:
    execute(clean_step(parcels), desk.disk, DAYS[0])
    header, *lines = delivered(2).split(b"\n")
    desk.deliver(2, b"\n".join([header, *(line.replace(b",new,", b",eaten,") for line in lines)]))
    with pytest.raises(AuditFailed):
        execute(clean_step(parcels), desk.disk, DAYS[2])
    assert left_behind(desk.disk) == []
    assert desk.memory.lake.table("clean/parcels").at().partitions() == [DAYS[0]]


def test_without_the_engine_for_batches_on_disk_a_batch_is_in_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    execute(clean_step(parcels), desk.disk, DAYS[0])
    assert not (desk.disk.settings.home / FOLDER).exists()


def test_a_batch_that_was_refused_is_asked_for_again_when_what_it_refers_to_has_changed(desk: Desk) -> None:
    clean, day = clean_step(parcels), DAYS[0]
    desk.products("p5")  # none of those that were delivered
    with pytest.raises(AuditFailed):
        execute(clean, desk.memory, day)
    refused = look(clean, desk.memory, day).refused
    assert refused is not None, "it is not asked for again"
    assert list(fingerprints([clean], desk.memory, day).values()) == [refused.given]
    desk.products("p0", "p1", "p2", "p5")
    assert look(clean, desk.memory, day).refused is None
    execute(clean, desk.memory, day)
    desk.products("p0")
    assert not stale(clean, desk.memory, day), "what was taken stays"
