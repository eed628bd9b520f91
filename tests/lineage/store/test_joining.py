"""Events of producers that know nothing of us find our tables, and datasets are found by every name they have."""

import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from assay.lineage.events.naming import DatasetName, canonical, dataset_name
from assay.lineage.queries.nodes import find
from assay.lineage.queries.search import search
from assay.lineage.queries.walk import Subgraph, downstream, neighbourhood, upstream
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.schema import INDEX, events
from tests.lineage.producer import RUN, dataset, event


def names(found: Subgraph) -> set[str]:
    return {node.id for node in found.nodes}


# -- readers that know nothing of us -----------------------------------------------------------------------------------


def ours(
    version: int, table_id: str = "id-1", minute: int = 0, address: tuple[str, str] = ("file", "/lake/clean/t")
) -> bytes:
    """One of our runs writes a version of a table."""
    snapshot = {
        "table": "clean/t",
        "table_id": table_id,
        "version": version,
        "commit_sha256": "ab" * 32,
        "mode": "replace",
    }
    written = dataset(address[1], str(version), assay_snapshot=snapshot | {"role": "output"}) | {
        "namespace": address[0]
    }
    run = str(uuid.UUID(int=1_000 * int(table_id[-1]) + version))
    return event("COMPLETE", minute, run, outputs=[written], job={"namespace": "dagster://x", "name": "clean/t"})


def spark(namespace: str, name: str, version: str = "3") -> bytes:
    """A Spark job reads a version, named by nothing but the table's address, and writes a report."""
    read = dataset(name, version) | {"namespace": namespace}
    job = {"namespace": "spark", "name": "report"}
    return event("COMPLETE", 30, RUN, job=job, inputs=[read], outputs=[dataset("/reports/r", "1")])


def ends(store: LineageStore) -> set[tuple[str, str]]:
    """The jobs that are found from the version, up and down; and from the report up."""
    node, report = "dataset:assay:clean/t@3", "dataset:file:/reports/r@1"
    found = {("up", item.facts["job"]) for item in upstream(store, node).nodes if item.kind == "run"}
    found |= {("down", item.facts["job"]) for item in downstream(store, node).nodes if item.kind == "run"}
    return found | {("report", item.facts["job"]) for item in upstream(store, report).nodes if item.kind == "run"}


JOINED = {("up", "clean/t"), ("down", "report"), ("report", "report"), ("report", "clean/t")}
APART = {("up", "clean/t"), ("report", "report")}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("file", "/lake/clean/t"), ("file", "/lake/clean/t")),
        (("file", "/lake/clean/t"), ("file:", "/lake/clean/t/")),
        (("file", "/lake/clean/t"), ("file://", "/lake/clean/t")),
        (("file", "/lake/clean/t"), ("FILE://localhost/", "/lake/clean/t")),
        (("s3://shop", "lake/clean/t"), ("s3a://shop", "/lake/clean/t")),
        (("s3://shop", "lake/clean/t"), ("S3n://shop/", "lake/clean/t/")),
        (("hdfs://n:8020", "lake/clean/t"), ("hdfs://n:8020/", "/lake/clean/t")),
    ],
)
def test_spark_is_joined_to_our_versions_whatever_comes_first(
    address: tuple[str, str], said: tuple[str, str], tmp_path: Path
) -> None:
    bodies = [
        ours(2, minute=1, address=address),
        ours(3, minute=2, address=address),
        spark(*said),
        ours(4, minute=40, address=address),
    ]
    for number, order in enumerate(itertools.permutations(bodies)):
        if number % 5 == 0:
            store = open_lineage_store(tmp_path / f"{number}.db")
            for body in order:
                store.put(body)
            assert ends(store) == JOINED, order
            store.close()


@pytest.mark.parametrize(
    ("namespace", "name", "version"),
    [
        ("file://other-host", "/lake/clean/t", "3"),
        ("file", "/lake/clean/T", "3"),
        ("file", "/lake/clean", "3"),
        ("file", "/lake/clean/t", ""),
        ("file", "/lake/clean/t", "three"),
    ],
)
def test_what_may_be_another_table_or_version_is_not_joined(
    namespace: str, name: str, version: str, store: LineageStore
) -> None:
    store.put_all([ours(3, minute=2), spark(namespace, name, version)])
    assert ends(store) == APART


def named(version: int, table_id: str = "id-1", minute: int = 0, place: str = "/lake/clean/t") -> bytes:
    """One of our runs, as it names tables today: by their names in the lake; the address is another name."""
    body = json.loads(ours(version, table_id, minute, ("assay", "clean/t")))
    identifiers = [{"namespace": "file", "name": place, "type": "TABLE"}]
    links = {"_producer": "urn:x", "_schemaURL": "urn:x", "identifiers": identifiers}
    body["outputs"][0]["facets"]["symlinks"] = links
    return json.dumps(body).encode()


@pytest.mark.parametrize("first", [ours(2, minute=1), named(2, minute=1), named(2, minute=1, place="/before/clean/t")])
def test_a_table_is_one_line_under_the_names_it_had_and_joined_by_its_address(first: bytes, tmp_path: Path) -> None:
    bodies = [first, named(3, minute=2), spark("file", "/lake/clean/t"), named(4, minute=40)]
    for number, order in enumerate(itertools.permutations(bodies)):
        store = open_lineage_store(tmp_path / f"{number}.db")
        for body in order:
            store.put(body)
        assert ends(store) == JOINED, number
        assert [find(store, f"dataset:assay:clean/t@{version}") is not None for version in (1, 2, 3, 4)] == [
            False,
            *[True] * 3,
        ]
        store.close()


def test_a_second_table_at_an_address_takes_the_certainty_back_there_too(any_store: LineageStore) -> None:
    any_store.put_all([named(3, "id-1", 1), spark("file", "/lake/clean/t")])
    assert ends(any_store) == JOINED
    any_store.put(named(3, "id-2", 2))
    assert ends(any_store) == APART


def test_a_table_made_anew_at_the_same_path_takes_the_certainty_back(any_store: LineageStore) -> None:
    bodies = [ours(3, "id-1", 1), spark("file", "/lake/clean/t")]
    any_store.put_all(bodies)
    assert ends(any_store) == JOINED
    any_store.put(ours(3, "id-2", 2))
    assert ends(any_store) == APART


def test_names_are_made_the_same_only_by_the_rules() -> None:
    for kept in (("bigquery", "a.b.C/"), ("file:/warehouse", "default.t"), ("s3://", "x"), ("", ""), ("file", "/")):
        assert canonical(*kept) == DatasetName(*kept)
    assert canonical("kafka://h:9092/", "topic") == DatasetName("kafka://h:9092", "topic")
    assert canonical("postgresql://h:1", "d.s.t") == DatasetName("postgres://h:1", "d.s.t")
    for address in (
        "/lake/t",
        "file:///lake/t/",
        "s3a://shop/a/b/",
        "abfss://c@a.dfs.core.windows.net/t",
        "hdfs://n:1/a",
    ):
        name = dataset_name(address)
        assert canonical(name.namespace, name.name) == name


# -- names besides their own, and what has no run ----------------------------------------------------------------------


def linked(second: int, *others: str, **facet: Any) -> bytes:
    identifiers = [{"namespace": "hive://h:9083", "name": other, "type": "TABLE"} for other in others]
    facets = {"symlinks": {"identifiers": identifiers} | facet}
    return event("RUNNING", second, outputs=[dataset("/warehouse/t", "1", **facets)])


def test_a_dataset_is_found_by_its_other_names_as_long_as_they_stand(any_store: LineageStore) -> None:
    bodies = [
        linked(1, "shop.old", "shop.t"),
        linked(2, "shop.t"),
        event("COMPLETE", 3, outputs=[dataset("/warehouse/t", "1")]),
    ]
    node, other = "dataset:file:/warehouse/t@1", "dataset:hive://h:9083:shop"
    for order in itertools.permutations(bodies):
        with any_store.writing() as connection:
            for each in (*INDEX, events):
                connection.execute(each.delete())
        any_store.put_all(order)
        found = [find(any_store, name) for name in (f"{other}.t", f"{other}.t@1", f"{other}.old", f"{other}.t@2")]
        assert [item.id if item else None for item in found] == [node, node, None, None]
        assert [item.id for item in search(any_store, "SHOP.T")] == [node]
        assert search(any_store, "shop.old") == []
        assert names(upstream(any_store, f"{other}.t")) == names(upstream(any_store, node))
    any_store.put(event("COMPLETE", 9, outputs=[dataset("shop.t", "7") | {"namespace": "hive://h:9083"}]))
    own = find(any_store, f"{other}.t")
    assert own is not None
    assert own.id == f"{other}.t@7"  # who bears the name comes first; nothing was merged
    any_store.put(linked(20, _deleted=True))
    assert [item.id for item in search(any_store, "shop")] == [own.id]


def test_datasets_and_jobs_that_were_only_described_are_found(any_store: LineageStore) -> None:
    described = {"eventTime": "2026-09-01T10:00:00Z"}
    static = described | {"dataset": dataset("warehouse/static", "1")}
    job = described | {"job": {"namespace": "n", "name": "declared"}, "inputs": [dataset("declared/input")]}
    any_store.put_all([json.dumps(item).encode() for item in (static, job)])
    found = [search(any_store, text) for text in ("static", "declared")]
    assert [[node.id for node in nodes] for nodes in found] == [
        ["dataset:file:warehouse/static@1"],
        ["dataset:file:declared/input", "job:n:declared"],
    ]
    (node,) = search(any_store, "declared", kinds=["job"])
    assert node.facts == {"runs": 0}
    assert find(any_store, node.id) == node
    assert neighbourhood(any_store, node.id).nodes == (node,)
