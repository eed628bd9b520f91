"""Impact, column lineage, differences and traces are exactly what brute force over the runs says, on random runs."""

from collections.abc import Iterable
from typing import Any

from assay.features.storage.verdict import CheckState
from assay.lineage.columns.graph import ColumnEdge, ColumnNode, column_downstream, column_upstream
from assay.lineage.queries.diff import diff
from assay.lineage.tracing.impact import impact
from assay.lineage.tracing.trace import trace

Key = tuple[str, str, int]
Node = tuple[Key, str]  # a column of a version


def plain(keys: Iterable[Key]) -> set[tuple[str, int]]:
    return {(table, version) for table, _, version in keys}


def versions(found: Any) -> set[tuple[str, int]]:
    return {(item.table, version) for item in found for version in item.versions}


def is_complete(runs: Any) -> bool:
    """Whether nobody who is there read a table that was deleted, or made anew, since."""
    there = {key[:2] for key in runs.there}
    return all(
        (name, life) in there for made in runs.there.values() for name in made.inputs for _, life in made.inputs[name]
    )


def downstream(runs: Any, origin: set[Key]) -> set[Key]:
    """Whoever read from the origin, or from such a one, until nobody is added."""
    reached: set[Key] = set()
    while new := {key for key, made in runs.there.items() if made.read & (origin | reached)} - reached:
        reached |= new
    return reached


def looked_up(runs: Any, visited: set[Key]) -> set[Key]:
    return {key for key, made in runs.there.items() if (made.looked_up - made.read) & visited} - visited


def check_impact(runs: Any, found: Any, origin: set[Key], reached: set[Key]) -> None:
    there = runs.there
    assert versions(found.affected) == plain(reached)
    assert versions(found.lookups) == plain(looked_up(runs, origin | reached))
    assert found.complete == is_complete(runs)
    assert found.predictions == sum(there[key].wrote for key in reached if there[key].prediction)
    assert set(found.models) == {f"m@{there[key].model}" for key in reached if there[key].model}
    assert set(found.training_sets) == {f"m@{key[2]}" for key in reached if key[0] == "training/m"}


def test_impact_of_versions_tables_and_partitions(runs: Any) -> None:
    for table in runs.now:
        own = {key for key in runs.there if key[0] == table}
        check_impact(runs, impact(runs.lake, table), own, downstream(runs, own))
        for day in {runs.made[key].partition for key in own} - {None}:
            origin = {key for key in own if runs.made[key].partition == day}
            check_impact(runs, impact(runs.lake, table, partition=day), origin, downstream(runs, origin))
        for key in own:
            check_impact(runs, impact(runs.lake, table, key[2]), {key}, downstream(runs, {key}))
            for day, held in runs.now[table][key[2]].items():
                if day is not None:
                    found = impact(runs.lake, table, key[2], partition=day)
                    check_impact(runs, found, set(held), downstream(runs, set(held)))


# -- columns -----------------------------------------------------------------------------------------------------------


def said(runs: Any) -> list[tuple[Node, Node, int]]:
    """Every edge between columns that was declared."""
    there = runs.there
    return [
        ((source, name), (key, column), 0 if direct else 1)
        for key, made in there.items()
        for column, pairs in made.said.items()
        for (table, name), direct in pairs.items()
        for source in made.read | made.looked_up
        if source[0] == table and source in there
    ]


def unsaid(runs: Any) -> list[tuple[Node, Node, int]]:
    """Every edge that there may be, since nobody said what a column comes from."""
    there = runs.there
    return [
        ((source, name), (key, column), 2)
        for key, made in there.items()
        for column in made.schema.keys() - made.said.keys()
        for source in made.read & there.keys()
        for name in there[source].schema
    ]


def surest(edges: list[tuple[Node, Node, int]], origin: set[Node]) -> dict[Node, int]:
    """How each column is reached: on the best way, as badly as on its worst step."""
    reached: dict[Node, int] = {}
    changed = True
    while changed:
        changed = False
        for source, target, step in edges:
            before = 0 if source in origin else reached.get(source)
            if before is not None and max(before, step) < reached.get(target, 3):
                reached[target] = max(before, step)
                changed = True
    return reached


def test_impact_of_columns(runs: Any) -> None:
    edges = said(runs) + unsaid(runs)
    for origin in sorted(runs.there)[::3]:
        for column in runs.made[origin].schema:
            reached = surest(edges, {(origin, column)})
            found = impact(runs.lake, origin[0], origin[2], column=column)
            check_impact(runs, found, {origin}, {key for key, _ in reached})
            for item in found.affected:
                ways: dict[str, int] = {}
                for (key, name), way in reached.items():
                    if key[0] == item.table:
                        ways[name] = min(way, ways.get(name, way))
                assert item.columns == tuple(sorted(ways))
                assert item.indirect == tuple(sorted(name for name, way in ways.items() if way == 1))
                assert item.unknown == tuple(sorted(name for name, way in ways.items() if way == 2))
            visited = {(origin, column), *reached}
            silent = {target[0][0] for source, target, step in edges if step == 2 and source in visited}
            assert {note.split()[0] for note in found.notes} == silent


def node(column: Node) -> ColumnNode:
    (table, _, version), name = column
    return ColumnNode(table, version, name)


def test_columns_in_both_directions(runs: Any) -> None:
    edges = said(runs)
    for table, held in runs.now.items():
        version = runs.chance.choice(list(held))
        (key,) = (key for key in runs.there if (key[0], key[2]) == (table, version))
        for column in ("a", "b"):
            if column not in runs.made[key].schema:
                continue
            seen = {(key, column)}
            while new := {target for source, target, _ in edges if source in seen} - seen:
                seen |= new
            down = column_downstream(runs.lake, table, column, version)
            assert set(down.edges) == {ColumnEdge(node(a), node(b), how == 0) for a, b, how in edges if a in seen}
            assert set(down.unknown) == {node(b) for a, b, _ in unsaid(runs) if a in seen}
            seen = {(own, column) for part in held[version].values() for own in part}
            while new := {source for source, target, _ in edges if target in seen} - seen:
                seen |= new
            up = column_upstream(runs.lake, table, column, version)
            assert set(up.edges) == {ColumnEdge(node(a), node(b), how == 0) for a, b, how in edges if b in seen}
            assert set(up.unknown) == {
                node(b) for b in seen if b[1] not in runs.made[b[0]].said and runs.made[b[0]].read
            }


# -- differences -------------------------------------------------------------------------------------------------------


def differing(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: (one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def inputs(made: Any, lives: dict[str, set[str]]) -> dict[str, Any]:
    return {
        name: tuple(sorted(f"{version}#{life}" if len(lives[name]) > 1 else version for version, life in read))
        for name, read in made.inputs.items()
    }


def states(checks: dict[str, bool]) -> dict[str, CheckState]:
    return {name: CheckState.HELD if held else CheckState.WARNED for name, held in checks.items()}


def test_differences_between_any_two_versions(runs: Any) -> None:
    keys = sorted(runs.made)
    for _ in range(4):
        a, b = runs.chance.choices(keys, k=2)
        for lake in (runs.lake, None):
            held = lake is not None and {a, b} <= runs.there.keys()
            found = diff(
                runs.recorder.store, lake, *(f"dataset:assay:{t}@{version}#{life}" for t, life, version in (a, b))
            )
            one, other = runs.made[a], runs.made[b]
            lives: dict[str, set[str]] = {}
            for name, read in [*one.inputs.items(), *other.inputs.items()]:
                lives.setdefault(name, set()).update(life for _, life in read)
            assert found.schema == differing(one.schema, other.schema)
            pairs = {
                "rows": (one.rows, other.rows) if held else (one.wrote, other.wrote),
                "contract": (one.contract or None, other.contract or None),
                "code": (one.code, other.code),
            }
            for name, pair in pairs.items():
                assert getattr(found, name) == (None if pair[0] == pair[1] else pair), name
            assert found.checks == differing(states(one.checks), states(other.checks))
            assert found.inputs == differing(inputs(one, lives), inputs(other, lives))
            assert not found.unknown


# -- traces ------------------------------------------------------------------------------------------------------------


def test_a_prediction_leads_to_every_version_that_it_came_from(runs: Any) -> None:
    there = runs.there
    for key, made in there.items():
        if not made.prediction:
            continue
        seen = {key}
        while new := {source for own in seen for source in there[own].read if source in there} - seen:
            seen |= new
        root = trace(runs.lake, made.prediction).root
        found, queue = set(), [root]
        while queue:
            node = queue.pop()
            found |= {(node.table, commit.version) for commit in node.commits}
            queue += [item for item in node.inputs if not item.lookup]
        assert found == plain(seen)
