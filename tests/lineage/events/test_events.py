import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, Run, RunResult, TableWrite, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder, run_id
from assay.lineage.events import events
from assay.lineage.events.columns import Edge, column_lineage
from assay.lineage.events.serialize import to_bytes
from assay.lineage.store.lineage_store import LineageStore

Official = Callable[[Mapping[str, Any]], list[str]]
T0 = datetime(2026, 9, 1, 6, 30, 0, 123456, tzinfo=UTC)
SHA = "ab" * 32
DAGSTER_RUN = "0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60"


def event_of(event: Any) -> dict[str, Any]:
    return json.loads(to_bytes(event))


def snapshot(table: str, version: int = 3, root: str = "/data/lake") -> Snapshot:
    return Snapshot(table, f"id-of-{table}", version, SHA, f"{root}/{table}")


def written(table: str, version: int = 4, **changes: Any) -> TableWrite:
    values: dict[str, Any] = {
        "table": table,
        "snapshot": snapshot(table, version),
        "partition": "2026-09-01",
        "rows": 7,
        "size": 900,
        "changed": True,
        "schema": {"a": "Int64", "b": "String"},
    }
    return TableWrite(**(values | changes))


def done(work: Work | None = None, **changes: Any) -> RunResult:
    values: dict[str, Any] = {
        "work": work or Work("clean/tickets", "2026-09-01", "c0de", Run(str(DAGSTER_RUN), T0)),
        "reads": (Slice(snapshot("raw/tickets"), ("2026-09-01",), SHA),),
        "sources": (),
        "writes": (written("clean/tickets"),),
        "checks": (),
        "contract": None,
        "extra": {},
        "finished_at": T0 + timedelta(seconds=2),
    }
    return RunResult(**(values | changes))


def named(datasets: list[dict[str, Any]], table: str) -> dict[str, Any]:
    (found,) = [item for item in datasets if item["name"].endswith(table)]
    return found


def version_of(dataset: Mapping[str, Any]) -> str:
    return dataset["facets"]["version"]["datasetVersion"]


# -- versions ----------------------------------------------------------------------------------------------------------


def test_a_run_reads_version_1_while_2_is_latest(lake: Lake, store: LineageStore, recorder: EventRecorder) -> None:
    """Marquez #2733: the version of an input is the one that was read, not the latest one."""
    for rows in ([1], [1, 2]):
        with transaction(lake, recorder, Work("raw/t")) as tx:
            tx.write("raw/t", pl.DataFrame({"a": rows}))
    assert lake.table("raw/t").at().version == 2
    work = Work("clean/t")
    with transaction(lake, recorder, work) as tx:
        tx.write("clean/t", tx.read("raw/t", version=1).collect())
    complete = store.events(work.run.id)[-1].data
    (read,) = complete["inputs"]
    assert version_of(read) == "1"
    snapshot = read["facets"]["assay_snapshot"]
    assert snapshot["version"] == 1
    assert snapshot["commit_sha256"] == lake.table("raw/t").at(1).snapshot.commit_sha256
    assert {item.version for item in store.uses(work.run.id) if item.table == "raw/t"} == {"1"}


def test_outputs_name_the_version_written_and_unchanged_ones_the_version_that_holds_them(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    works = [Work("raw/t", "2026-09-01"), Work("raw/t", "2026-09-02"), Work("raw/t", "2026-09-01")]
    for work in works:
        with transaction(lake, recorder, work) as tx:
            tx.write("raw/t", pl.DataFrame({"a": [int((work.partition or "")[-1])]}))
    outputs = [store.events(work.run.id)[-1].data["outputs"][0] for work in works]
    assert [version_of(item) for item in outputs] == ["1", "2", "1"]
    assert [item["facets"]["assay_snapshot"]["role"] for item in outputs] == ["output", "output", "unchanged"]
    table_id = lake.table("raw/t").at().snapshot.table_id
    run = store.run_of(table_id, 1)
    assert run is not None
    assert run.id == works[0].run.id


def test_a_failed_publication_names_the_outputs_that_are_out(
    lake: Lake, store: LineageStore, recorder: EventRecorder
) -> None:
    with transaction(lake, recorder, Work("one")) as tx:
        tx.write("clean/u", pl.DataFrame({"a": ["text"]}))
    work = Work("two")
    with pytest.raises(AssayError, match="column 'a' is String"), transaction(lake, recorder, work) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
        tx.write("clean/u", pl.DataFrame({"a": [2]}))  # another type is refused when it is published
    failed = store.events(work.run.id)[-1].data
    assert failed["eventType"] == "FAIL"
    assert [item["name"].rpartition("/")[2] for item in failed["outputs"]] == ["t"]


def test_several_reads_of_one_table_are_one_input() -> None:
    table = snapshot("features/x")
    reads = (Slice(table, ("b",), "1" * 64, lookup=True), Slice(table, ("a",), "2" * 64))
    (read,) = event_of(events.finished(done(reads=reads), "assay"))["inputs"]
    assert read["facets"]["assay_snapshot"]["partitions"] == ["a", "b"]
    assert read["facets"]["assay_snapshot"]["role"] == "input"
    reads = (Slice(table, None, "1" * 64, lookup=True), Slice(table, ("a",), "2" * 64, lookup=True))
    (read,) = event_of(events.finished(done(reads=reads), "assay"))["inputs"]
    assert "partitions" not in read["facets"]["assay_snapshot"]
    assert read["facets"]["assay_snapshot"]["role"] == "reference"

    reads = (Slice(table, None, "", True, ("a", "b")), Slice(table, None, "", True, ("b", "c")))
    (read,) = event_of(events.finished(done(reads=reads), "assay"))["inputs"]
    assert read["facets"]["assay_snapshot"]["except"] == ["b"] and "partitions" not in read["facets"]["assay_snapshot"]
    (read,) = event_of(events.finished(done(reads=reads[:1]), "assay"))["inputs"]
    assert read["facets"]["assay_snapshot"]["except"] == ["a", "b"] and "digest" not in read["facets"]["assay_snapshot"]
    reads = (Slice(table, None, "", True, ("a", "b")), Slice(table, ("a",), "1" * 64, True))
    (read,) = event_of(events.finished(done(reads=reads), "assay"))["inputs"]
    assert read["facets"]["assay_snapshot"]["except"] == ["b"]


def test_delivered_files_are_inputs_at_their_digest() -> None:
    sources = (
        SourceFile("tickets/2026-09-01/a b.csv", SHA, 10, 3),
        SourceFile("postgresql://reader:s3cret@DB:5432/crm/customers", SHA, 10, 3),
    )
    found = event_of(events.finished(done(reads=(), sources=sources), "assay"))["inputs"]
    assert [(item["namespace"], item["name"], version_of(item)) for item in found] == [
        ("file", "tickets/2026-09-01/a b.csv", SHA),
        ("postgres://db:5432", "crm/customers", SHA),
    ]


# -- checks ------------------------------------------------------------------------------------------------------------


def test_all_checks_are_in_the_terminal_event_once_each() -> None:
    checks = (
        CheckResult("rows", "raw/tickets", True, "warn", evaluated=9),
        CheckResult("text.not_null", "clean/tickets", False, "quarantine", "text", evaluated=9, invalid=2, unknown=1),
        CheckResult("file", "clean/other", False, "block", invalid=1, message="secret text"),
        CheckResult("volume", "clean/tickets", True, "warn", unknown=1),
    )
    event = event_of(events.finished(done(checks=checks), "assay"))
    found = {item["name"]: item["inputFacets"] for item in event["inputs"]}
    raw = found["raw/tickets"]["dataQualityAssertions"]["assertions"]
    clean = found["clean/tickets"]["dataQualityAssertions"]["assertions"]
    assert [(item["assertion"], item["success"], item["severity"]) for item in raw] == [("rows", True, "warn")]
    assert [(i["assertion"], i["success"], i["severity"], i["column"], i["expected"], i["actual"]) for i in clean] == [
        ("text.not_null", False, "error", "text", "0", "2")
    ]
    tests = event["run"]["facets"]["test"]["tests"]
    assert [(t["name"], t["status"], t["params"]["table"]) for t in tests] == [
        ("rows", "pass", "raw/tickets"),
        ("text.not_null", "fail", "clean/tickets"),
        ("file", "fail", "clean/other"),
        ("volume", "skip", "clean/tickets"),
    ]
    assert "secret text" not in json.dumps(event)


def test_an_audited_output_is_no_input_of_the_graph(lake: Lake, store: LineageStore, recorder: EventRecorder) -> None:
    work = Work("clean/t")
    with transaction(lake, recorder, work) as tx:
        tx.check(CheckResult("a.not_null", "clean/t", True, evaluated=1))
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    assert sorted(item.role for item in store.uses(work.run.id)) == ["audited", "output"]
    (audited,) = store.events(work.run.id)[-1].data["inputs"]
    assert version_of(audited) == "1"


# -- columns -----------------------------------------------------------------------------------------------------------

DECLARED = {
    "sum": {"direct": [("raw/a", "x"), ("raw/b", "y")], "indirect": [("raw/a", "day"), ("raw/a", "x")]},
    "copy": {"direct": [["raw/a", "z"]], "indirect": [["raw/a", "day"]]},
    "constant": {"direct": [], "indirect": [("raw/a", "day")]},
}


def column_facets(declared: Mapping[str, Any]) -> dict[str, Any]:
    reads = tuple(Slice(snapshot(table), None, SHA) for table in ("raw/a", "raw/b", "raw/c"))
    output = written("clean/t", column_lineage=declared)
    return event_of(events.finished(done(reads=reads, writes=(output,)), "assay"))["outputs"][0]["facets"]


def edges_of_column_lineage(facet: Mapping[str, Any]) -> set[tuple[str | None, str, str, str]]:
    found: set[tuple[str | None, str, str, str]] = set()
    found |= {(None, i["name"], i["field"], t["type"]) for i in facet["dataset"] for t in i["transformations"]}
    for column, entry in facet["fields"].items():
        found |= {
            (column, i["name"], i["field"], t["type"]) for i in entry["inputFields"] for t in i["transformations"]
        }
    return found


def edges_of_lineage(facet: Mapping[str, Any]) -> set[tuple[str | None, str, str, str]]:
    whole = [item for item in facet["inputs"] if "field" in item]
    found: set[tuple[str | None, str, str, str]] = set()
    found |= {(None, i["name"], i["field"], t["type"]) for i in whole for t in i["transformations"]}
    for column, entry in facet["fields"].items():
        found |= {(column, i["name"], i["field"], t["type"]) for i in entry["inputs"] for t in i["transformations"]}
    return found


def test_both_column_facets_say_the_same_and_nothing_more() -> None:
    facets = column_facets(DECLARED)
    expected = {
        ("sum", "raw/a", "x", "DIRECT"),
        ("sum", "raw/a", "x", "INDIRECT"),
        ("sum", "raw/b", "y", "DIRECT"),
        ("copy", "raw/a", "z", "DIRECT"),
        (None, "raw/a", "day", "INDIRECT"),  # every column depends on it: said once
    }
    assert edges_of_column_lineage(facets["columnLineage"]) == expected
    assert edges_of_lineage(facets["lineage"]) == expected
    assert facets["columnLineage"]["fields"]["constant"] == {"inputFields": []}
    whole = [item["name"] for item in facets["lineage"]["inputs"] if "field" not in item]
    assert whole == ["raw/a", "raw/b"]  # raw/c was read for nothing in this output
    assert "assay_unknownColumns" not in facets


def test_unknown_columns_are_said_to_be_unknown_and_have_no_edges() -> None:
    facets = column_facets(DECLARED | {"odd": "unknown", "alien": {"direct": [("raw/never_read", "q")]}})
    assert facets["assay_unknownColumns"]["columns"] == ["odd", "alien"]
    assert set(facets["columnLineage"]["fields"]) == set(facets["lineage"]["fields"]) == {"sum", "copy", "constant"}
    assert facets["columnLineage"]["dataset"] == []  # "every row" would claim something of the unknown columns too
    assert len([item for item in facets["lineage"]["inputs"] if "field" not in item]) == 3


_pairs = st.lists(st.tuples(st.sampled_from(["t", "u"]), st.sampled_from("xyz")), max_size=4)
_declared = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(st.just("unknown"), st.fixed_dictionaries({"direct": _pairs, "indirect": _pairs})),
)


@given(_declared)
def test_edges_mean_what_was_declared(declared: dict[str, Any]) -> None:
    """An edge of the whole dataset stands for one edge per column: written out, the edges are the declaration."""
    made = column_lineage(declared, {"t", "u"})
    expanded = {
        Edge(column, edge.table, edge.source, edge.direct)
        for edge in made.edges
        for column in ([edge.column] if edge.column is not None else made.known)
    }
    expected = {
        Edge(column, table, source, kind == "direct")
        for column, sources in declared.items()
        if sources != "unknown"
        for kind, pairs in sources.items()
        for table, source in pairs
    }
    assert expanded == expected
    assert set(made.unknown) == {column for column, sources in declared.items() if sources == "unknown"}
    assert set(made.known) | set(made.unknown) == set(declared)


# -- runs and jobs -----------------------------------------------------------------------------------------------------


def test_the_last_day_that_can_be_written_ends_with_time() -> None:
    facets = event_of(events.finished(done(Work("clean/tickets", "9999-12-31")), "prod"))["run"]["facets"]
    assert facets["nominalTime"]["nominalStartTime"] == "9999-12-31T00:00:00.000000Z"
    assert facets["nominalTime"]["nominalEndTime"] == "9999-12-31T23:59:59.999999Z"


def test_what_surrounds_a_run() -> None:
    run = Run(run_id(DAGSTER_RUN, "clean", "2026-09-01", T0), T0, DAGSTER_RUN, "daily")
    work = Work("clean/tickets", "2026-09-01", "c0de", run, {}, "Rows that hold.", "team:support", "assets/x.py:12")
    event = event_of(events.finished(done(work, contract={"name": "Tickets", "version": "2"}), "prod"))
    facets = event["run"]["facets"]
    assert event["job"]["namespace"] == "dagster://prod"
    assert event["job"]["name"] == "clean/tickets"
    assert facets["parent"]["run"]["runId"] == facets["parent"]["root"]["run"]["runId"] == DAGSTER_RUN
    assert facets["parent"]["job"] == {"namespace": "dagster://prod", "name": "daily", "facets": {}}
    assert facets["nominalTime"]["nominalStartTime"] == "2026-09-01T00:00:00.000000Z"
    assert facets["nominalTime"]["nominalEndTime"] == "2026-09-02T00:00:00.000000Z"
    assert facets["processing_engine"]["name"] == "polars"
    assert {tag["key"]: tag["value"] for tag in facets["tags"]["tags"]} == {
        "partition": "2026-09-01",
        "code_version": "c0de",
        "contract": "Tickets@2",
    }
    job = event["job"]["facets"]
    assert job["jobType"]["processingType"] == "BATCH"
    assert job["jobType"]["integration"] == "ASSAY"
    assert job["sourceCodeLocation"]["url"] == "file:assets/x.py#L12"
    assert job["ownership"]["owners"] == [{"name": "team:support"}]
    assert job["documentation"]["description"] == "Rows that hold."
    assert {event["eventTime"], event["producer"]} == {"2026-09-01T06:30:02.123456Z", "urn:assay:producer:0.1"}


def test_run_ids_are_stable_and_tell_runs_apart() -> None:
    ids = {
        run_id(parent, step, partition, start, attempt)
        for parent in ("p", "q")
        for step in ("a", "b:c")
        for partition in (None, "None", "c")
        for start in (T0, T0 + timedelta(microseconds=1))
        for attempt in (0, 1)
    }
    assert len(ids) == 2 * 2 * 3 * 2 * 2
    assert run_id("p", "a", None, T0) == run_id("p", "a", None, T0.astimezone())


def test_the_first_rows_create_and_a_whole_replacement_overwrites() -> None:
    def change(**values: Any) -> str | None:
        event = event_of(events.finished(done(writes=(written("t", **values),)), "assay"))
        return event["outputs"][0]["facets"].get("lifecycleStateChange", {}).get("lifecycleStateChange")

    assert change(version=1) == "CREATE"
    assert change(version=2, partition=None) == "OVERWRITE"
    assert change(version=2, partition=None, replaced=False) is None
    assert change(version=2) is None
    assert change(version=1, changed=False) is None


# -- the official schemas ----------------------------------------------------------------------------------------------


class PipelineBroken(AssayError):
    pass


def shapes() -> dict[str, Any]:
    run = Run(run_id("job", "step", None, T0), T0, "not-a-uuid", None)
    local = Work("notebook's asset", run=Run(DAGSTER_RUN, T0.replace(microsecond=0)))
    s3 = TableWrite("clean/x", snapshot("clean/x", 9, "s3://Bucket/lake"), None, 0, 0, True, {})
    checks = (
        CheckResult("r", "raw/tickets", False, "warn"),
        CheckResult("s", "clean/tickets", True, "block", "a", 1, 0, 0, "m"),
    )
    files = (SourceFile("a/ä ö%.csv", SHA, 1, 1), SourceFile("s3://b/k", SHA, 1, 1))
    error = PipelineBroken("a.csv: column 'x' is missing")
    return {
        "start": events.started(local, "assay"),
        "start in an orchestrator": events.started(Work("a", "000001", run=run), "assay"),
        "start by somebody": events.started(Work("a", run=run, actor="ada"), "assay"),
        "complete by somebody": events.finished(done(Work("a", run=run, actor="a service, ü")), "assay"),
        "start of a day": events.started(Work("a", "2024-02-29", "c", run, {}, "d", "o", "https://x.org/a.py#L1"), "d"),
        "complete": events.finished(done(), "assay"),
        "complete, nothing": events.finished(done(reads=(), writes=()), "assay"),
        "complete, checks and columns": events.finished(
            done(checks=checks, writes=(written("clean/tickets", column_lineage={"a": "unknown"}),)), "assay"
        ),
        "complete, files and s3": events.finished(done(reads=(), sources=files, writes=(s3,)), "assay"),
        "complete, recovered": events.finished(done(contract={"name": "n", "version": "1"}), "assay", recovered=True),
        "complete, all columns": events.finished(
            done(
                reads=tuple(Slice(snapshot(t), None, SHA) for t in ("raw/a", "raw/b")),
                writes=(
                    written("clean/tickets", column_lineage=DECLARED),
                    written("quarantine/tickets", changed=False),
                ),
            ),
            "assay",
        ),
        "fail": events.failed(done(writes=(), checks=checks), error, "assay"),
        "fail, strange": events.failed(done(reads=(), writes=()), KeyError("x"), "assay"),
        "fail, interrupted": events.failed(done(), KeyboardInterrupt(), "assay"),
    }


@pytest.mark.parametrize("shape", shapes())
def test_events_meet_the_official_schemas(shape: str, official: Official) -> None:
    assert official(event_of(shapes()[shape])) == []


def test_the_schemas_would_notice(official: Official) -> None:
    event = event_of(events.finished(done(checks=(CheckResult("r", "raw/tickets", True),)), "assay"))
    event["run"]["runId"] = "17"
    event["eventTime"] = "yesterday"
    event["outputs"][0]["facets"]["dataSource"]["uri"] = "file"
    event["outputs"][0]["facets"]["assay_snapshot"]["commit_sha256"] = "short"
    del event["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"]
    assert len(official(event)) >= 5


# -- nothing secret ---------------------------------------------------------------------------------------------------------

CANARIES = ("c4nary-pw", "c4nary@mail.example", "4111 1111 1111 1111", "AKIAC4NARYC4NARYC4NA")


def test_no_canary_gets_into_any_event(
    lake: Lake, store: LineageStore, recorder: EventRecorder, tmp_path: Path
) -> None:
    """Cell values, credentials in addresses, and messages of errors that quote both."""
    frame = pl.DataFrame({"text": list(CANARIES)})
    with transaction(lake, recorder, Work("raw/t", source_location="https://u:c4nary-pw@git.example/a.py")) as tx:
        tx.sources.append(SourceFile("postgresql://u:c4nary-pw@db/crm", SHA, 1, 1))
        tx.check(CheckResult("r", "raw/t", False, "warn", message=CANARIES[1]))
        tx.write("raw/t", frame)
    for error in (ValueError(CANARIES[1]), PipelineBroken(f"cannot reach https://u:c4nary-pw@h/ for {CANARIES[1]}")):
        with pytest.raises(type(error)), transaction(lake, recorder, Work("clean/t")) as tx:
            tx.read("raw/t").collect()
            raise error
    bodies = [item.body.decode() for item in store.events()]
    assert len(bodies) == 6
    assert [canary for canary in CANARIES for body in bodies if canary in body] == []
    raw = b"".join(file.read_bytes() for file in tmp_path.glob("lineage*"))
    assert [canary for canary in CANARIES if canary.encode() in raw] == []


def test_errors_that_are_not_ours_are_named_by_class_and_place_only() -> None:
    with pytest.raises(ValueError) as caught:
        int("c4nary")
    described = events.describe(caught.value)
    assert described.startswith("ValueError at ")
    assert described.endswith("in test_errors_that_are_not_ours_are_named_by_class_and_place_only")
    assert "c4nary" not in described
    assert events.describe(PipelineBroken("a.csv, line 3: half a row")) == "PipelineBroken: a.csv, line 3: half a row"


def test_a_table_is_called_the_same_wherever_its_lake_lies() -> None:
    here, there = (
        event_of(events.finished(done(reads=(Slice(snapshot("raw/tickets", 3, root), None, SHA),)), "assay"))["inputs"][
            0
        ]
        for root in ("/data/lake", "s3://bucket/lake")
    )
    assert (here["namespace"], here["name"]) == (there["namespace"], there["name"]) == ("assay", "raw/tickets")
    assert here["facets"]["dataSource"] == there["facets"]["dataSource"]
    (place,) = there["facets"]["symlinks"]["identifiers"]
    assert (place["namespace"], place["name"]) == ("s3://bucket", "lake/raw/tickets")
