"""The graph against a brute-force oracle: tables as sets of writes, replayed run by run."""

import json
import os
import random
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from assay.lineage.queries.nodes import find
from assay.lineage.queries.search import search
from assay.lineage.queries.walk import (
    Subgraph,
    downstream,
    graph,
    graph_hash,
    neighbourhood,
    upstream,
)
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.schema import INDEX, events

SOAK = bool(os.environ.get("SOAK"))
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def table(
    name: str, version: int, role: str, life: int = 0, partitions: list[str] | None = None, mode: str = ""
) -> Any:
    snapshot: dict[str, Any] = {"table": name, "table_id": f"{name}-{life}", "version": version, "role": role}
    snapshot |= {"commit_sha256": "ab" * 32} | ({"partitions": partitions} if partitions is not None else {})
    facets = {
        "version": {"datasetVersion": str(version)},
        "assay_snapshot": snapshot | ({"mode": mode} if mode else {}),
    }
    return {"namespace": "file", "name": f"/lake/{name}", "facets": facets}


def ended(
    run_id: str, minute: int, inputs: list[Any], outputs: list[Any], job: str = "job", state: str = "COMPLETE"
) -> bytes:
    value = {
        "eventType": state,
        "eventTime": at(minute).isoformat(),
        "run": {"runId": run_id},
        "job": {"namespace": "dagster://x", "name": job},
        "inputs": inputs,
        "outputs": outputs,
    }
    return json.dumps(value).encode()


def run_id(number: int) -> str:
    return str(uuid.UUID(int=number))


def names(found: Subgraph) -> set[str]:
    return {node.id for node in found.nodes}


def test_a_run_reads_version_1_while_2_is_latest(any_store: LineageStore) -> None:
    """Marquez #2733: the version that was read, not the newest."""
    any_store.put_all(
        [
            ended(run_id(1), 1, [], [table("raw/t", 1, "output", mode="replace")], "raw"),
            ended(run_id(2), 2, [], [table("raw/t", 2, "output", mode="replace")], "raw"),
            ended(run_id(3), 3, [table("raw/t", 1, "input")], [table("clean/t", 1, "output", mode="replace")], "clean"),
        ]
    )
    one, two, clean = "dataset:file:/lake/raw/t@1", "dataset:file:/lake/raw/t@2", "dataset:file:/lake/clean/t@1"
    assert names(upstream(any_store, clean)) == {clean, f"run:{run_id(3)}", one, f"run:{run_id(1)}"}
    assert names(downstream(any_store, two)) == {two}
    assert names(downstream(any_store, one)) == {one, f"run:{run_id(3)}", clean}
    latest = find(any_store, "dataset:assay:raw/t")
    assert latest is not None
    assert latest.id == two
    assert find(any_store, "dataset:assay:raw/t@1") == find(any_store, one)
    assert find(any_store, "dataset:assay:raw/t@7") is None


def test_partitions_lead_to_the_runs_that_wrote_them(any_store: LineageStore) -> None:
    any_store.put_all(
        [
            ended(run_id(1), 1, [], [table("raw/t", 1, "output", partitions=["a"], mode="replace")]),
            ended(run_id(2), 2, [], [table("raw/t", 2, "output", partitions=["b"], mode="replace")]),
            ended(run_id(3), 3, [table("raw/t", 2, "input", partitions=["a"])], [table("clean/t", 1, "output")]),
        ]
    )
    found = upstream(any_store, f"run:{run_id(3)}")
    assert {(edge.source[-3:], edge.target[-3:], edge.role) for edge in found.edges} == {
        ("001", "t@1", "output"),
        ("t@1", "t@2", "carried"),
        ("t@2", "003", "input"),
    }
    assert f"run:{run_id(3)}" not in names(downstream(any_store, f"run:{run_id(2)}"))
    assert "dataset:file:/lake/clean/t@1" in names(downstream(any_store, f"run:{run_id(1)}"))


def test_a_read_of_all_but_some_partitions_is_one_edge_that_leads_to_the_others(any_store: LineageStore) -> None:
    outputs = {
        part: table("raw/t", number, "output", partitions=[part], mode="replace")
        for number, part in enumerate("abc", 1)
    }
    any_store.put_all([ended(run_id(number), number, [], [item]) for number, item in enumerate(outputs.values(), 1)])
    read, again = table("raw/t", 3, "input"), table("raw/t", 3, "input")
    read["facets"]["assay_snapshot"]["except"], again["facets"]["assay_snapshot"]["except"] = ["b"], ["a"]
    any_store.put(ended(run_id(4), 4, [read], [table("clean/t", 1, "output")]))
    (use,) = (item for item in any_store.uses(run_id(4)) if item.role == "input")
    assert (use.partitions, use.excluded) == (None, ("b",))
    above = names(upstream(any_store, f"run:{run_id(4)}"))
    assert {f"run:{run_id(1)}", f"run:{run_id(3)}"} < above and f"run:{run_id(2)}" not in above
    for number, reached in ((1, True), (2, False), (3, True)):
        assert (f"run:{run_id(4)}" in names(downstream(any_store, f"run:{run_id(number)}"))) is reached
    any_store.put(ended(run_id(4), 5, [again], [table("clean/t", 1, "output")]))  # both together: all of it
    assert f"run:{run_id(2)}" in names(upstream(any_store, f"run:{run_id(4)}"))


def test_what_was_only_looked_up_is_shown_and_not_followed(store: LineageStore) -> None:
    store.put(ended(run_id(1), 1, [], [table("keys", 1, "output")]))
    store.put(ended(run_id(2), 2, [table("keys", 1, "reference")], [table("out", 1, "output")]))
    found = upstream(store, "dataset:assay:out")
    assert names(found) == {"dataset:file:/lake/out@1", f"run:{run_id(2)}", "dataset:file:/lake/keys@1"}
    assert [edge.role for edge in found.edges] == ["reference", "output"]


def test_answers_are_complete_or_say_that_they_are_not(any_store: LineageStore) -> None:
    inputs = [table(f"raw/{number}", 1, "input") for number in range(20)]
    any_store.put(ended(run_id(1), 1, inputs, [table("out", 1, "output")]))
    whole = upstream(any_store, "dataset:assay:out", limit=22)
    assert (len(whole.nodes), len(whole.edges), whole.truncated) == (22, 21, None)
    part = upstream(any_store, "dataset:assay:out", limit=21)
    assert (len(part.nodes), part.truncated) == (21, "there are more than 21 nodes")
    assert neighbourhood(any_store, "dataset:assay:out", up=1).truncated is None
    assert graph(any_store, limit=5).truncated is not None
    assert upstream(any_store, "dataset:assay:nothing") == Subgraph((), ())


def test_ids_find_their_nodes_whatever_is_in_the_names(any_store: LineageStore) -> None:
    odd = {"namespace": "postgres://h:5432", "name": "db.s:x@y", "facets": {"version": {"datasetVersion": "a@b:c"}}}
    plain = {"namespace": "s3://bucket", "name": "no version"}
    any_store.put(ended(run_id(1), 1, [odd, plain], [table("models/100%", 1, "output")], "job:with:colons"))
    for node in graph(any_store).nodes:
        assert find(any_store, node.id) == node
    job = find(any_store, "job:dagster://x:job:with:colons")
    assert job is not None
    assert (job.name, job.facts["runs"]) == ("job:with:colons", 1)
    assert names(neighbourhood(any_store, job.id)) == (names(graph(any_store)) - {f"run:{run_id(1)}"}) | {job.id}
    assert [node.kind for node in search(any_store, "COLONS")] == ["job"]
    assert [node.name for node in search(any_store, "0%")] == ["/lake/models/100%"]
    assert search(any_store, "lake") == []  # the folder all tables lie in
    assert [node.id for node in search(any_store, run_id(1))] == [f"run:{run_id(1)}"]
    assert search(any_store, "s", kinds=["job"], limit=0) == []


def test_facts_name_the_run_and_the_checks(any_store: LineageStore) -> None:
    tests = [
        {"name": name, "type": "x", "status": status, "params": {"table": "clean/t", "severity": "block"}}
        for name, status in (("unique", "pass"), ("range", "fail"))
    ]
    volume = {"name": "volume", "status": "skip", "actual": "not judged"}
    tests.append(volume | {"params": {"table": "clean/t", "severity": "warn"}})
    event = json.loads(ended(run_id(1), 1, [], [table("clean/t", 1, "output")]))
    event["run"]["facets"] = {"test": {"tests": tests}}
    any_store.put(json.dumps(event).encode())
    node = find(any_store, "dataset:assay:clean/t")
    assert node is not None
    assert node.facts["checks"] == {
        "state": "failed",
        "passed": 1,
        "set_aside": [],
        "warned": [],
        "failed": ["range"],
        "not_judged": ["volume"],
    }
    assert (node.facts["run"], node.facts["written_at"]) == (run_id(1), at(1).isoformat())


def test_rows_in_quarantine_and_warnings_are_told_from_failures(any_store: LineageStore) -> None:
    given = {
        "held": ("quarantine", "3"),
        "not evaluated": ("quarantine", "0"),
        "volume": ("warn", "1"),
        "b": ("block", "9"),
    }
    tests = [
        {"name": name, "status": "fail", "actual": actual, "params": {"table": "clean/t", "severity": severity}}
        for name, (severity, actual) in given.items()
    ]
    counted = {"name": "resent", "status": "fail", "actual": "1", "params": {"table": "clean/t", "severity": "info"}}
    event = json.loads(ended(run_id(1), 1, [], [table("clean/t", 1, "output")]))
    event["run"]["facets"] = {"test": {"tests": [*tests, counted]}}
    any_store.put(json.dumps(event).encode())
    for node_id in (f"run:{run_id(1)}", "dataset:assay:clean/t"):
        node = find(any_store, node_id)
        assert node is not None
        assert node.facts["checks"] == {
            "state": "failed",
            "passed": 1,
            "set_aside": ["held"],
            "warned": ["not evaluated", "volume"],
            "failed": ["b"],
            "not_judged": [],
        }


# -- random histories --------------------------------------------------------------------------------------------------

Version = tuple[str, int, int]  # table, life, version


@dataclass
class History:
    """Simulates tables forwards: what each partition of each version holds. Knows nothing of the index."""

    chosen: random.Random
    events: list[bytes] = field(default_factory=list)
    now: dict[str, Version] = field(default_factory=dict)
    holds: dict[Version, dict[str | None, frozenset[Version]]] = field(default_factory=dict)
    parts: dict[Version, list[str] | None] = field(default_factory=dict)
    makers: dict[Version, set[int]] = field(default_factory=lambda: defaultdict(set))
    reads: list[tuple[int, Version, list[str] | None]] = field(default_factory=list)

    def run(self, number: int) -> None:
        chosen, inputs = self.chosen, []
        for name in chosen.sample(sorted(self.now), min(len(self.now), chosen.randint(0, 3))):
            _, life, latest = self.now[name]
            version = latest if chosen.random() < 0.6 else chosen.randint(1, latest)  # a stale read
            some = name[0] == "p" and chosen.random() < 0.7
            part = sorted(chosen.sample("abc", chosen.randint(1, 2))) if some else None
            inputs.append(table(name, version, "input", life, part))
            self.reads.append((number, (name, life, version), part))
        names_ = chosen.sample(["p/1", "p/2", "p/3", "w/1", "w/2"], chosen.randint(1, 2))
        outputs = [self._write(number, name) for name in names_]
        self.events.append(
            ended(run_id(number), number, inputs, outputs, state=chosen.choice(["COMPLETE"] * 9 + ["FAIL"]))
        )

    def _write(self, number: int, name: str) -> Any:
        chosen, before = self.chosen, self.now.get(name)
        _, life, latest = before or (name, 0, 0)
        if before and chosen.random() < 0.15:  # a retry finds its result there already
            self.makers[before].add(number)
            return table(name, latest, "unchanged", life, self.parts[before])
        if before and chosen.random() < 0.1:  # deleted and made anew
            life, latest, before = life + 1, 0, None
        made = self.now[name] = (name, life, latest + 1)
        partition = chosen.choice("abc") if name[0] == "p" else None  # in any order: backfills
        mode = chosen.choice(["replace", "append"])
        held = self.holds[before] if before else {}
        kept = held.get(partition, frozenset()) if mode == "append" else frozenset()
        self.holds[made] = {**held, partition: kept | {made}}
        self.parts[made] = [partition] if partition is not None else None
        self.makers[made].add(number)
        return table(name, made[2], "output", life, self.parts[made], mode)

    # -- the oracle ------------------------------------------------------------------------------------------------

    def id(self, item: int | Version) -> str:
        if isinstance(item, int):
            return f"run:{run_id(item)}"
        name, life, version = item
        doubled = sum(other[0] == name and other[2] == version for other in self.holds) > 1
        return f"dataset:file:/lake/{name}@{version}" + (f"#{name}-{life}" if doubled else "")

    def seen(self, version: Version, part: list[str] | None) -> set[Version]:
        return {write for key, held in self.holds[version].items() if part is None or key in part for write in held}

    def up(self, item: int | Version, until: int) -> set[str]:
        found: set[int | Version] = {item}
        todo = [item] if isinstance(item, int) else []
        if not isinstance(item, int):
            for write in self.seen(item, None):
                found |= {write, *(made := {run for run in self.makers[write] if run <= until})}
                todo += made
        done: set[int | Version] = set()
        while todo:
            run = todo.pop()
            if run in done:
                continue
            done.add(run)
            for reader, version, part in self.reads:
                if reader == run:
                    for write in self.seen(version, part):
                        made = {maker for maker in self.makers[write] if maker <= until}
                        found |= {write, *made}
                        todo += made
                    found.add(version)
        return {self.id(each) for each in found}

    def down(self, item: int | Version, until: int) -> set[str]:
        found: set[int | Version] = {item}
        readers = {run for run, version, _ in self.reads if version == item and run <= until}
        found |= readers
        todo: list[int | Version] = [item, *readers]
        done: set[int | Version] = set()
        while todo:
            each = todo.pop()
            if each in done:
                continue
            done.add(each)
            if isinstance(each, int):
                made = [write for write, makers in self.makers.items() if each in makers]
                found |= set(made)
                todo += made
                continue
            for run, version, part in self.reads:
                if run <= until and each in self.seen(version, part):
                    found |= {run, version}
                    todo.append(run)
        return {self.id(each) for each in found}


def test_random_histories_equal_a_brute_force_oracle(tmp_path: Path) -> None:
    """Stale reads, retries, backfills, overwrites, tables deleted and made anew, fan-in and fan-out; now and as of then."""
    store = open_lineage_store(tmp_path / "lineage.db")
    hashes = set()
    for seed in range(1000 if SOAK else 30):
        chosen = random.Random(seed)
        history, count = History(chosen), chosen.randint(3, 14)
        for number in range(1, count + 1):
            history.run(number)
        _clear(store)
        chosen.shuffle(history.events)
        store.put_all(history.events)
        hashes.add(graph_hash(store))
        known: list[int | Version] = [*range(1, count + 1), *history.holds]
        for item in chosen.sample(known, min(5, len(known))):
            until = chosen.choice([count, chosen.randint(1, count)])
            made = item if isinstance(item, int) else min(history.makers[item])
            there = made <= until
            as_of = at(until) + timedelta(seconds=1) if until < count or chosen.random() < 0.5 else None
            up, down = (function(store, history.id(item), as_of=as_of) for function in (upstream, downstream))
            assert up.truncated is down.truncated is None
            assert names(up) == (history.up(item, until) if there else set()), (seed, item, until)
            assert names(down) == (history.down(item, until) if there else set()), (seed, item, until)
            for found in (up, down):
                assert {end for edge in found.edges for end in (edge.source, edge.target)} <= names(found)
    assert len(hashes) == (1000 if SOAK else 30)
    store.close()


def _clear(store: LineageStore) -> None:
    with store.writing() as connection:
        for each in (*INDEX, events):
            connection.execute(sa.delete(each))


def test_replay_in_any_order_gives_the_same_graph(any_store: LineageStore) -> None:
    history = History(random.Random(7))
    for number in range(1, 15):
        history.run(number)
    again = [json.dumps(json.loads(body) | {"eventType": "RUNNING", "inputs": []}).encode() for body in history.events]
    hashes = set()
    for seed in range(3):
        bodies = history.events + again
        random.Random(seed).shuffle(bodies)
        _clear(any_store)
        any_store.put_all(bodies)
        hashes |= {graph_hash(any_store)}
    assert len(hashes) == 1
    any_store.put(ended(run_id(99), 99, [], []))
    assert graph_hash(any_store) not in hashes


def test_the_whole_graph_as_it_was(any_store: LineageStore) -> None:
    for number in (1, 2, 3):
        any_store.put(ended(run_id(number), number, [], [table(f"t/{number}", 1, "output")]))
    assert names(graph(any_store, at(2))) == names(graph(any_store)) - {f"run:{run_id(3)}", "dataset:file:/lake/t/3@1"}
    assert upstream(any_store, f"run:{run_id(3)}", as_of=at(2)) == Subgraph((), ())
    assert upstream(any_store, "dataset:assay:t/3", as_of=at(2)) == Subgraph((), ())


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_depth_counts_edges(store: LineageStore, depth: int) -> None:
    for number in (1, 2):
        store.put(
            ended(run_id(number), number, [table(f"t/{number}", 1, "input")], [table(f"t/{number + 1}", 1, "output")])
        )
    assert len(upstream(store, "dataset:assay:t/3", depth).nodes) == depth + 1
    assert len(downstream(store, "dataset:assay:t/1", depth).nodes) == depth + 1
    assert len(neighbourhood(store, "dataset:assay:t/2", up=min(depth, 2), down=1).nodes) == min(depth, 2) + 2
