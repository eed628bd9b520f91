"""A raw step names everything that it does not read, and so does what looks at the landing folder without running anything."""

import gzip
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.assets.planning.plan import planned_runs
from assay.assets.sources.limits import Limits
from assay.assets.sources.source import Files, Source, outside
from assay.assets.steps.raw import raw_step, unread_of
from assay.assets.steps.step import NotReady, Resources, execute
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.storage.storage import Storage
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.run_record import CheckResult

DAY = "2026-09-24"


class Sales(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()

    class Config(Contract.Config):
        version, owner = "1.0.0", "shop"


sales = Source(
    "sales",
    Files("sales/{day}/*", (".csv", ".csv.gz")),
    Sales,
    ("id",),
    "at",
    partitioning=Partitioning.daily("2026-09-01"),
)
STEP = raw_step(sales)


@pytest.fixture
def env(tmp_path: Path) -> Resources:
    return assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path), landing=str(tmp_path / "landing")).env()


def put(env: Resources, name: str, day: str = DAY) -> None:
    content = f"id,at\n{name},2026-09-24T09:00:00Z\n".encode()
    file = env.settings.landing_path / "sales" / day / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def check(env: Resources, name: str = "unread") -> CheckResult:
    result: Any = execute(STEP, env, DAY)
    return next(one for one in result.done.checks if one.name == name)


def test_what_lies_in_a_partition_is_read_or_named_by_a_check(env: Resources) -> None:
    for name in ("one.csv", "TWO.CSV", "three.csv.gz", "four.txt", "sub/five.csv", "region.r1.csv", "region.r2.csv"):
        put(env, name)
    found = check(env)
    assert (found.passed, found.severity, found.invalid, found.evaluated) == (False, "warn", 2, 7)
    assert found.message == (
        "2 things lie there and are not read: sales/2026-09-24/four.txt (its suffix is not among the source's: .csv, .csv.gz); "
        "sales/2026-09-24/sub/ (a folder: to read what is in it, end the pattern 'sales/{day}/*' with /**/*). "
        "Replaced by a correction: sales/2026-09-24/region.r1.csv by sales/2026-09-24/region.r2.csv."
    )
    rows = env.lake.table("raw/sales").scan().collect()["id"].to_list()
    assert sorted(rows) == ["TWO.CSV", "one.csv", "region.r2.csv", "three.csv.gz"]


def test_a_partition_without_leftovers_passes(env: Resources) -> None:
    put(env, "one.csv")
    assert (check(env).passed, check(env).message) == (True, "")


def test_a_partition_of_leftovers_alone_has_delivered_nothing_and_says_what_lies_there(env: Resources) -> None:
    put(env, "one.txt")
    with pytest.raises(
        NotReady, match=r"delivered nothing for 2026-09-24 .*\. 1 thing lies there and is not read: .*one\.txt"
    ):
        execute(STEP, env, DAY)


def test_what_comes_later_is_named_by_the_next_plan(env: Resources) -> None:
    put(env, "one.csv")
    put(env, "a.csv", "20260925")
    put(env, "a.csv", "2026-08-31")
    execute(STEP, env, DAY)
    misnamed = (
        "The files in sales/20260925/ are not read: '20260925' is not a key of daily partitions: write it like 2026-01-31. "
        "Rename the folder."
    )
    for plans in (True, False):  # with what a plan remembers, and without
        assert unread_of([sales], env) == [misnamed]
        put(env, "late.xlsx")
        if plans:
            assert list(planned_runs([STEP], env)) == []
        assert unread_of([sales], env) == [
            misnamed,
            "sales: 1 thing lies there and is not read: sales/2026-09-24/late.xlsx "
            "(its suffix is not among the source's: .csv, .csv.gz).",
        ]
        (env.settings.landing_path / "sales" / DAY / "late.xlsx").unlink()
        (env.settings.home / "plans.db").unlink(missing_ok=True)
    assert outside(sales, env.settings) == (
        "sales: what lies in sales/2026-08-31/ is not read: its partitions go from 2026-09-01."
    )


bills = Source(
    "bills",
    Files("shop/bills_{day}*", (".csv",)),
    Sales,
    ("id",),
    "at",
    partitioning=Partitioning.daily("2026-09-01"),
)


def test_files_of_many_days_and_sources_in_one_folder_are_read_corrected_or_named(env: Resources) -> None:
    def drop(name: str, key: str) -> None:
        file = env.settings.landing_path / "shop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"id,at\n{key},2026-09-24T09:00:00Z\n")

    refunds = replace(bills, name="refunds", reader=Files("shop/refunds_{day:%Y%m%d}.csv", (".csv",)))
    steps = [raw_step(bills), raw_step(refunds)]
    drop("bills_2026-09-24.csv", "first")
    drop("bills_2026-09-24_south.csv", "south")
    drop("bills_2026-09-25.csv", "next")
    drop("bills_2026-09-24.txt", "other")
    drop("refunds_20260924.csv", "refund")
    drop("refunds_2026-09-24.csv", "misnamed")
    drop("bills_2026-08-31.csv", "early")
    planned = sorted((step.outputs[0], run.partition) for run in planned_runs(steps, env) for step in run.steps)
    assert planned == [("raw/bills", DAY), ("raw/bills", "2026-09-25"), ("raw/refunds", DAY)]
    result: Any = execute(steps[0], env, DAY)
    (unread,) = (one for one in result.done.checks if one.name == "unread")
    assert (unread.passed, unread.message) == (
        False,
        "1 thing lies there and is not read: shop/bills_2026-09-24.txt (its suffix is not among the source's: .csv).",
    )
    drop("bills_2026-09-24.r1.csv", "corrected")
    execute(steps[0], env, DAY)
    execute(steps[0], env, "2026-09-25")
    execute(steps[1], env, DAY)
    rows = env.lake.table("raw/bills").scan().select("partition_key", "id").collect().rows()
    assert sorted(rows) == [(DAY, "corrected"), (DAY, "south"), ("2026-09-25", "next")]
    assert env.lake.table("raw/refunds").scan().collect()["id"].to_list() == ["refund"]
    assert list(planned_runs(steps, env)) == []
    assert unread_of([bills, refunds], env) == [
        "bills: 2 things lie there and are not read: shop/bills_2026-09-24.txt (its suffix is not among the source's: .csv); "
        "shop/refunds_2026-09-24.csv (it says no partition: write it like shop/bills_2026-09-01*).",
        "refunds: 1 thing lies there and is not read: shop/refunds_2026-09-24.csv (it says no partition: write it like "
        "shop/refunds_20260901.csv).",
    ]
    assert outside(bills, env.settings) == (
        "bills: what lies in shop/bills_2026-08-31.csv is not read: its partitions go from 2026-09-01."
    )


def test_a_pattern_that_does_not_say_the_partition_is_refused_where_it_is_declared() -> None:
    with pytest.raises(AssayError, match=r"Source 'bills': 'shop/bills_\{month\}\.csv' does not say of which day"):
        replace(bills, reader=Files("shop/bills_{month}.csv", (".csv",)))


def test_files_of_a_batch_cost_as_much_each_however_many_there_are(env: Resources) -> None:
    def calls(day: str, count: int) -> int:
        for number in range(count):
            put(env, f"{number}.csv", day)
        found = 0

        def counted(*_: object) -> None:
            nonlocal found
            found += 1

        sys.setprofile(counted)
        try:
            execute(STEP, env, day)
        finally:
            sys.setprofile(None)
        return found

    calls("2026-09-01", 1)
    few, many = calls("2026-09-02", 50), calls("2026-09-03", 200)
    assert many < 4.4 * few


def test_with_other_limits_only_what_was_refused_is_judged_again() -> None:
    limited = replace(sales, reader=Files("sales/{day}/*", (".csv", ".csv.gz"), limits=Limits(columns=5)))
    assert raw_step(limited).judged_by != raw_step(sales).judged_by
    assert raw_step(limited).code_version == raw_step(sales).code_version


def test_bytes_are_read_as_they_were_kept(env: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    put(env, "a.csv")
    keep = Storage.keep

    def kept(storage: Storage, *given: Any) -> None:
        keep(storage, *given)
        put(env, "b.csv")
        (env.settings.landing_path / "sales" / DAY / "b.csv").replace(
            env.settings.landing_path / "sales" / DAY / "a.csv"
        )

    monkeypatch.setattr(Storage, "keep", kept)
    execute(STEP, env, DAY)
    assert env.lake.table("raw/sales").at().scan().collect()["id"].to_list() == ["a.csv"]


def test_bytes_that_were_kept_before_are_read_with_their_digest(env: Resources) -> None:
    """Nobody knows what has become of the lake's copy meanwhile, so the delivered file is read, and must be what was scanned."""
    put(env, "a.csv")
    execute(STEP, env, DAY)
    (kept,) = (file for file in Path(env.lake.storage.root, "_landing").rglob("*") if file.is_file())
    kept.write_bytes(kept.read_bytes().replace(b"a.csv", b"x.csv"))
    execute(STEP, env, DAY, force=True)
    assert env.lake.table("raw/sales").at().scan().collect()["id"].to_list() == ["a.csv"]
