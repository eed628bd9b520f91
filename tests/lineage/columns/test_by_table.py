"""A column's way through tables equals what a search of all paths finds."""

from hypothesis import given
from hypothesis import strategies as st

from assay.lineage.columns.by_table import ColumnStep, TableColumn, column_way
from assay.lineage.events.columns import ColumnLineage, Edge, column_lineage

LINEAGES = {
    "clean": column_lineage({"id": {"direct": [("raw", "id")]}, "text": {"direct": [("raw", "text")]}}, {"raw"}),
    "features": column_lineage(
        {"n": {"direct": [("clean", "text")], "indirect": [("clean", "id")]}, "own": "unknown"}, {"clean"}
    ),
    "counts": column_lineage(
        {"a": {"indirect": [("features", "n")]}, "b": {"indirect": [("features", "n")]}}, {"features"}
    ),
}


def test_a_column_comes_from_and_leads_to() -> None:
    way = column_way(LINEAGES, TableColumn("clean", "text"))
    assert way.up == {ColumnStep(TableColumn("raw", "text"), TableColumn("clean", "text"), True)}
    n = TableColumn("features", "n")
    assert way.down == {
        ColumnStep(TableColumn("clean", "text"), n, True),
        ColumnStep(n, TableColumn("counts", ""), False),
    }, "it decides which rows the counts are of"
    assert way.columns_of("features") == ["n"]
    assert way.columns_of("counts") == []
    assert way.unknown == frozenset()


def test_what_chose_the_rows_counts_for_each_column() -> None:
    way = column_way(LINEAGES, TableColumn("counts", "a"))
    assert {step.source for step in way.up} == {
        ("features", "n"),
        ("clean", "text"),
        ("clean", "id"),
        ("raw", "text"),
        ("raw", "id"),
    }


def test_what_nobody_declared_is_named() -> None:
    way = column_way(LINEAGES, TableColumn("features", "own"))
    assert (way.steps, way.unknown) == (frozenset(), {("features", "own")})
    assert column_way(LINEAGES, TableColumn("raw", "id")).unknown == frozenset(), "it comes from files"


names = st.sampled_from("abc")
edges = st.lists(
    st.tuples(st.sampled_from(["t", "u", "v"]), names | st.none(), st.sampled_from(["t", "u", "v"]), names), max_size=14
)


@given(edges, st.sampled_from(["t", "u", "v"]), names)
def test_it_is_all_that_can_be_reached(drawn: list[tuple[str, str | None, str, str]], table: str, column: str) -> None:
    lineages = {
        name: ColumnLineage(
            tuple(Edge(to, of, source, True) for at, to, of, source in drawn if at == name), ("a", "b", "c"), ()
        )
        for name in ("t", "u", "v")
    }
    pairs = {((of, source), (at, to or "")) for at, to, of, source in drawn} - {
        ((n, c), (n, c)) for n in "tuv" for c in "abc"
    }
    # One more edge from the rows of a table to each of its columns, for the way up only.
    rows = {((n, ""), (n, c)) for n in "tuv" for c in "abc"}

    def closure(start: tuple[str, str], links: set[tuple[tuple[str, str], tuple[str, str]]]) -> set[tuple[str, str]]:
        met = {start}
        while more := {b for a, b in links if a in met} - met:
            met |= more
        return met

    way = column_way(lineages, TableColumn(table, column))
    start = (table, column)
    down = closure(start, pairs)
    assert {(tuple(s.source), tuple(s.target)) for s in way.down} == {(a, b) for a, b in pairs if a in down}
    up = closure(start, {(b, a) for a, b in pairs | rows})
    assert {(tuple(s.source), tuple(s.target)) for s in way.up} == {(a, b) for a, b in pairs if b in up}
