"""Where producers say what an output was made from, the graph follows that and nothing else."""

import itertools
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.lineage.queries.walk import downstream, graph, upstream
from assay.lineage.store.explicit import explicit_sources
from assay.lineage.store.lineage_store import LineageStore
from tests.lineage.producer import event

_runs = itertools.count()


def table(name: str, **facets: Any) -> dict[str, Any]:
    return {"namespace": "s3://shop", "name": name, "facets": facets}


def entity(name: str, **more: Any) -> dict[str, Any]:
    return {"namespace": "s3://shop", "name": name, "type": "DATASET"} | more


def columns(*sources: str) -> dict[str, Any]:
    return {
        "fields": {"x": {"inputFields": [{"namespace": "s3://shop", "name": name, "field": "y"} for name in sources]}}
    }


def tables(store: LineageStore, name: str, walk: Any = upstream) -> set[str]:
    ends = {node.id.removeprefix("dataset:s3://shop:") for node in walk(store, f"dataset:s3://shop:{name}").nodes}
    return {end for end in ends if not end.startswith("run:")} - {name}


WAYS = {
    "columnLineage": lambda name: table(name, columnLineage=columns(name.lower())),
    "lineage": lambda name: table(name, lineage={"inputs": [entity(name.lower())]}),
    "lineage of fields": lambda name: table(
        name, lineage={"fields": {"x": {"inputs": [entity(name.lower(), field="y")]}}}
    ),
    "spelt otherwise": lambda name: table(
        name, lineage={"inputs": [{"namespace": "s3a://shop/", "name": f"{name.lower()}/", "type": "DATASET"}]}
    ),
    "before columnLineage": lambda name: table(
        name, lineage={"inputs": [entity(name.lower())]}, columnLineage=columns("a", "b")
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("together", [True, False])
def test_a_run_of_two_ways_has_two_ways(any_store: LineageStore, way: str, together: bool) -> None:
    inputs, outputs = [table("a"), table("b")], [WAYS[way]("A"), WAYS[way]("B")]
    if together:
        any_store.put(event("COMPLETE", inputs=inputs, outputs=outputs))
    else:
        any_store.put(event("COMPLETE", 9, outputs=outputs))
        any_store.put(event("START", inputs=inputs))
    assert tables(any_store, "A") == {"a"}
    assert tables(any_store, "B") == {"b"}
    assert tables(any_store, "a", downstream) == {"A"}
    assert tables(any_store, "b", downstream) == {"B"}


def test_the_facet_of_the_job_decides_and_names_what_the_event_does_not_list(any_store: LineageStore) -> None:
    entries = [entity("A", inputs=[entity("a")]), entity("B", inputs=[entity("b")]), entity("C", inputs=[])]
    job = {"namespace": "spark", "name": "job", "facets": {"lineage": {"entries": entries}}}
    any_store.put(event("COMPLETE", job=job, inputs=[table("a")], outputs=[table("A"), table("C")]))
    assert [tables(any_store, name) for name in "ABC"] == [{"a"}, {"b"}, set()]
    assert len(graph(any_store).edges) == 5


@pytest.mark.parametrize(
    "output",
    [
        table("A"),
        table("A", columnLineage={"fields": {}}),
        table("A", columnLineage={"fields": {"x": {"inputFields": [{"namespace": None, "name": "a"}]}}}),
        table("A", columnLineage=columns("a"), schema={"fields": [{"name": "x"}, {"name": "unknown"}]}),
        table("A", columnLineage=columns("another/name/of/a")),
        table("A", lineage={"inputs": [{"type": "JOB"}, entity("a")]}),
        table("A", lineage="odd"),
    ],
)
def test_what_is_not_known_is_not_left_out(store: LineageStore, output: dict[str, Any]) -> None:
    store.put(event("COMPLETE", inputs=[table("a"), table("b")], outputs=[output]))
    assert tables(store, "A") == {"a", "b"}
    assert tables(store, "b", downstream) == {"A"}


def test_another_name_of_an_input_is_known(store: LineageStore) -> None:
    named = table("a", symlinks={"identifiers": [{"namespace": "hive", "name": "shop.a"}]})
    source = {"namespace": "hive", "name": "shop.a", "type": "DATASET"}
    output = table("A", lineage={"inputs": [source]})
    store.put(event("COMPLETE", inputs=[named, table("b")], outputs=[output]))
    assert tables(store, "A") == {"a"}


def test_a_column_that_is_not_covered_leaves_it_open() -> None:
    covered = table("A", columnLineage=columns("a"), schema={"fields": [{"name": "x"}]})
    assert explicit_sources(covered) == [{"namespace": "s3://shop", "name": "a", "field": "y"}]
    assert explicit_sources(table("A", columnLineage=columns("a"), schema={"fields": [{"name": "z"}]})) is None
    for name in (["x"], {"x": 1}, None, 7):  # no column's name
        assert explicit_sources(table("A", columnLineage=columns("a"), schema={"fields": [{"name": name}]})) is None
    assert explicit_sources(table("A", lineage={"inputs": []})) == []


STEPS = st.lists(
    st.tuples(
        st.sets(st.sampled_from("abcd"), min_size=1),  # read
        st.dictionaries(st.sampled_from("efgh"), st.none() | st.sets(st.sampled_from("abcd")), min_size=1),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=100 if os.environ.get("SOAK") else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, seed=st.randoms(use_true_random=False))
def test_walks_equal_brute_force(store: LineageStore, steps: list[Any], seed: Any) -> None:
    """Each example has names of its own; one level of sources, one of targets."""
    turn, expected, bodies = f"{next(_runs)}-", set[tuple[str, str]](), []
    for number, (read, made) in enumerate(steps):
        run_id = f"0b8ffc1e-3a5c-4b0f-9c93-{hash((turn, number)) & 0xFFFFFFFFFFFF:012x}"
        outputs = []
        for name, sources in made.items():
            said = {} if sources is None else {"lineage": {"inputs": [entity(turn + item) for item in sorted(sources)]}}
            outputs.append(table(turn + name, **said))
            expected |= {(item, name) for item in (read if sources is None else sources)}
        inputs = [table(turn + name) for name in sorted(read)]
        bodies += [
            event("START", 1, run_id, inputs=inputs),
            event("COMPLETE", 2, run_id, inputs=inputs, outputs=outputs),
        ]
    seed.shuffle(bodies)
    store.put_all(bodies[::2])
    store.put_all(bodies[1::2])
    for name in "efgh":
        assert {end.removeprefix(turn) for end in tables(store, turn + name)} == {a for a, b in expected if b == name}
    for name in "abcd":
        assert {end.removeprefix(turn) for end in tables(store, turn + name, downstream)} == {
            b for a, b in expected if a == name
        }


def test_the_same_bytes_say_the_same(store: LineageStore) -> None:
    body = json.dumps(json.loads(event("COMPLETE", outputs=[WAYS["lineage"]("A")])))
    assert store.put(body.encode()) and not store.put(body.encode())
    assert tables(store, "A") == {"a"}, "the facet names what the event does not list"
