"""Every rhythm and mode in a project of a stranger: what a person would expect is what the lake, Dagster and joins have."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from assay import Contract, Dlt, Field, Files, Partitioning, Pushed, Rows, Source, Timestamp
from assay.assets.dagster.history import last_runs, unresolved
from assay.assets.dagster.partitions import dagster_key
from assay.assets.declarations import pipeline
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.project import active_project
from assay.errors import AssayError
from tests.end_to_end.rhythms.conftest import KINDS, Bazaar
from tests.end_to_end.rhythms.declared import Kind
from tests.end_to_end.rhythms.expected import ExpectedTable
from tests.end_to_end.rhythms.upstreams import FIRST, LATE, SETTLED, Upstream

pytestmark = pytest.mark.timeout(3600)
ALL = 10**6


@pytest.fixture(params=range(len(KINDS)), ids=[kind.name for kind in KINDS])
def upstream(bazaar: Bazaar, request: pytest.FixtureRequest) -> Upstream:
    return bazaar.upstreams[request.param]


def of(wanted: Callable[[Kind], bool]) -> pytest.MarkDecorator:
    """Only the upstreams of such kinds."""
    numbers = [number for number, kind in enumerate(KINDS) if wanted(kind)]
    return pytest.mark.parametrize("upstream", numbers, indirect=True, ids=[KINDS[number].name for number in numbers])


def frame(bazaar: Bazaar, table: str) -> pl.DataFrame:
    return bazaar.store.table(table).scan().collect()


def test_raw_has_what_was_delivered(bazaar: Bazaar, upstream: Upstream) -> None:
    raw = frame(bazaar, f"raw/{upstream.kind.name}").select("partition_key", "id", pl.col("amount").cast(pl.Float64))
    assert sorted(raw.rows()) == upstream.expected.raw()


def test_clean_and_quarantine_have_each_row_where_it_belongs(bazaar: Bazaar, upstream: Upstream) -> None:
    name, expected = upstream.kind.name, upstream.expected
    clean = frame(bazaar, f"clean/{name}").select("partition_key", "id", "shop", "at", "amount")
    assert sorted(clean.rows()) == sorted((key, r.id, r.shop, r.at, r.amount) for key, r in expected.clean())
    columns = ("id", pl.col("amount").cast(pl.Float64), "_rules", "_status")
    quarantined: dict[str, list[Any]] = {}
    for key, identity, amount, rules, status in (
        frame(bazaar, f"quarantine/{name}").select("partition_key", *columns).rows()
    ):
        quarantined.setdefault(key, []).append((identity, amount, tuple(rules), status))
    assert {key: sorted(rows) for key, rows in quarantined.items()} == expected.quarantined()


def test_rows_in_are_clean_and_quarantined_rows(bazaar: Bazaar, upstream: Upstream) -> None:
    """Of each partition; one that people let in is in both, and counts as clean."""
    name = upstream.kind.name

    def by_partition(table: str, rows: pl.DataFrame | None = None) -> dict[str, int]:
        counted = frame(bazaar, table) if rows is None else rows
        return dict(counted.group_by("partition_key").len().rows())

    held = frame(bazaar, f"quarantine/{name}").filter(pl.col("_status") != "released")
    clean, quarantined = by_partition(f"clean/{name}"), by_partition("", held)
    both = {key: clean.get(key, 0) + quarantined.get(key, 0) for key in clean.keys() | quarantined.keys()}
    assert both == by_partition(f"raw/{name}")


@of(lambda kind: bool(kind.keys))
def test_what_lay_there_is_taken_or_named(bazaar: Bazaar, upstream: Upstream) -> None:
    landing, name = bazaar.store.settings.landing_path, upstream.kind.name
    state = bazaar.store.table(f"raw/{name}").at()
    taken, named = set[str](), set[str]()
    for key in upstream.kind.keys:
        commit = state.writer_of(key)
        assert commit is not None
        taken |= {source.path for source in commit.sources}
        messages = " ".join(check["message"] for check in commit.checks if check["name"] in ("unread", "resent"))
        named |= {str(p.relative_to(landing)) for p in (landing / name / key).iterdir() if p.name in messages}
    there = {str(file.relative_to(landing)) for file in (landing / name).rglob("*") if file.is_file()}
    assert there == taken | named
    assert {path.split("/")[1] for path in named - taken} >= upstream.unread | upstream.resent


def test_features_are_those_of_a_direct_computation(bazaar: Bazaar, upstream: Upstream) -> None:
    kind = upstream.kind
    rows = frame(bazaar, f"features/{kind.name}")
    if kind.has_windows:
        window = next(name.removeprefix("n_") for name in rows.columns if name.startswith("n_"))
        columns = ("shop", "event_time", f"n_{window}", pl.col(f"total_{window}").round(6))
    elif kind.compares:
        columns = ("id", "partition_key", "twice")
    else:
        columns = ("id", "_seen_at" if kind.mode == "snapshot" else "at", "twice")
    assert sorted(rows.select(columns).rows()) == upstream.expected.features()


@of(lambda kind: kind.mode == "snapshot" or kind.compares)
def test_a_join_sees_what_held_at_each_moment(bazaar: Bazaar, upstream: Upstream) -> None:
    """Of whole states, and of tables that are compared: with deletes, and with what people let in later. A training set and an
    online read see the same."""
    kind, expected = upstream.kind, upstream.expected
    moments: list[tuple[Any, dict[str, float]]] = []
    if isinstance(expected, ExpectedTable):
        moments = [(at, expected.current(n)) for n, (at, _) in enumerate(expected.looks, start=1)]
    else:
        held: dict[str, dict[str, float]] = {}
        for key, row in expected.clean():
            held.setdefault(key, {})[row.id] = row.amount
        moments = [(kind.partitioning.end_of(key), held[key]) for key in sorted(held)]
    assert len(moments) > 1
    ids = sorted({one for _, rows in moments for one in rows} | {"nobody"})
    spine = pl.DataFrame([(one, at) for at, _ in moments for one in ids], schema=["id", "event_time"], orient="row")
    joined = bazaar.store.as_of_join(spine, [f"{kind.name}:twice"])
    expected_values = [2 * rows[one] if one in rows else None for _, rows in moments for one in ids]
    assert joined["twice"].to_list() == expected_values
    made = bazaar.store.training_set(kind.name, spine=spine, features=[f"{kind.name}:twice"]).frame()
    assert made.sort("event_time", "id")["twice"].to_list() == joined.sort("event_time", "id")["twice"].to_list()
    for at, rows in moments:
        online = bazaar.store.online(kind.name).get({"id": ids}, at=at)
        assert online[f"{kind.name}.state"].to_list() == ["present" if one in rows else "missing" for one in ids]
    before = pl.DataFrame({"id": ids, "event_time": [moments[0][0] - timedelta(days=100)] * len(ids)})
    assert bazaar.store.as_of_join(before, [f"{kind.name}:twice"])["twice"].null_count() == len(ids)


@of(lambda kind: kind.mode == "snapshot")
def test_each_state_is_compared_with_the_one_before(bazaar: Bazaar, upstream: Upstream) -> None:
    keys, state = upstream.kind.keys, bazaar.store.table(f"clean/{upstream.kind.name}").at()
    rows = {key: {row.id: row for place, row in upstream.expected.clean() if place == key} for key in keys}
    for before, key in pairwise(keys):
        commit = state.writer_of(key)
        assert commit is not None
        changes = commit.changes
        assert changes is not None
        follows = upstream.kind.partitioning.before(key, 1) == [before]
        assert changes.against == (before if follows else "")
        if follows:
            both = rows[before].keys() & rows[key].keys()
            same = sum(rows[before][one] == rows[key][one] for one in both)
            counts = (len(rows[key]) - len(both), len(both) - same, len(rows[before]) - len(both), same)
            assert (changes.inserted, changes.updated, changes.deleted, changes.unchanged) == counts


def test_verdicts_stand_at_their_partitions(bazaar: Bazaar, upstream: Upstream) -> None:
    """Of each table each partition has its own, under the name that Dagster has for it; what is not right at the end is what
    the upstream left there."""
    kind, last = upstream.kind, dict[tuple[str, str | None], bool]()
    for key, check, partition, passed in bazaar.verdicts:
        if key.path[1] == kind.name:
            last.setdefault((check, partition), passed)
    keys = {dagster_key(kind.partitioning, key) for key in kind.keys} or {None}
    judged = {partition for check, partition in last if check in ("delivery", "amount__ge")}
    assert judged == keys
    windows = {("window_complete", dagster_key(kind.partitioning, key)) for key in upstream.expected.incomplete()}
    unread = {("unread", dagster_key(kind.partitioning, key)) for key in upstream.unread}
    assert {place for place, passed in last.items() if not passed} == windows | unread


def test_what_was_red_was_a_defect(bazaar: Bazaar) -> None:
    """In the order of the rounds: each refused partition once, and an outage of the API, which was no refusal."""
    runs = last_runs(bazaar.instance, ALL)
    assert unresolved(runs) == []
    red = [
        (run.partition, problem.table.partition("/")[2]) for run in runs for problem in run.problems if problem.refused
    ]
    expected = [
        (dagster_key(upstream.kind.partitioning, key) if key else None, upstream.kind.name)
        for upstream in bazaar.upstreams
        for number in (FIRST, LATE, SETTLED)
        for key in upstream.refused[number]
        if upstream.kind.mode in ("append", "snapshot", "pushed")
    ]
    assert sorted(red) == sorted(expected)
    assert {run.status for run in runs} <= {"success", "refused", "failure"}
    failed = {problem.table for run in runs if run.status == "failure" for problem in run.problems}
    assert failed == {f"raw/{one.kind.name}" for one in bazaar.upstreams if not one.kind.keys} - {"raw/rows_upsert"}


def test_each_refusal_is_named_while_it_lasts_and_nothing_is_due_at_the_end(bazaar: Bazaar) -> None:
    for number in (FIRST, LATE):
        for upstream in bazaar.upstreams:
            for key in upstream.refused[number]:
                assert f"raw/{upstream.kind.name}" in bazaar.reasons[number] or key, bazaar.reasons[number]
    assert bazaar.reasons[SETTLED] == "Everything is up to date."
    steps = pipeline(active_project())
    assert [str(unit) for stage in stages(steps) for unit in planned_runs(stage, bazaar.store.env())] == []


class Sales(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()


@pytest.mark.parametrize(
    ("reader", "partitioning", "says"),
    [
        (Rows("sales", "at", "erp"), Partitioning.daily("2025-01-01"), "Rows does not read by partition"),
        (
            Rows("sales", connection="erp", mode="snapshot"),
            Partitioning.static("north"),
            "Leave out the partitioning",
        ),
        (Rows("sales", "at", "erp", mode="upsert"), Partitioning.hourly("2025-01-01-00"), "hourly partitions"),
        (Dlt("sales", lambda: None), Partitioning.monthly("2025-01"), "Dlt does not read by partition"),
        (Files("sales/{day}/*", (".csv",)), Partitioning.none(), "does not say how its files are cut into batches"),
        (
            Files("sales/{day}/*", (".csv",)),
            Partitioning.hourly("2025-01-01-00"),
            "does not say of which hour a file is",
        ),
        (Files("sales/{week}/*", (".csv",)), Partitioning.daily("2025-01-01"), "a week has no usual form"),
        (Files("sales/{key}/*", (".csv",), mode="snapshot"), Partitioning.static("north"), "must be spans of time"),
        (Pushed("sales"), Partitioning.none(), "does not say how its files are cut into batches"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_what_does_not_go_together_is_refused_where_it_is_declared(
    reader: Any, partitioning: Partitioning, says: str
) -> None:
    with pytest.raises(AssayError, match=says):
        Source("sales", reader, Sales, ("id",), "at", partitioning=partitioning)


def test_every_kind_is_covered() -> None:
    """Each mode, each rhythm, and each zone with another one."""
    assert {kind.mode for kind in KINDS} == {
        "append",
        "snapshot",
        "pushed",
        "rows_append",
        "rows_upsert",
        "rows_snapshot",
        "dlt",
    }
    assert {kind.rhythm for kind in KINDS} == {"hourly", "daily", "weekly", "monthly", "static", "none"}
    assert len({kind.zone for kind in KINDS}) == 4
    assert Kind("append", "hourly", "Europe/Berlin").keys == (
        "2025-03-30-01",
        "2025-03-30-03",
        "2025-10-26-02",
        "2025-10-26-02b",
    )
