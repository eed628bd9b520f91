"""Search against brute force: every label judged by all words of the text, with an edit distance worked out letter by letter."""

import os
import uuid
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.lineage.queries.search import nodes_of, one_edit, search, search_all
from assay.lineage.store.labels import plain_words, words_of
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.lineage.producer import dataset, event

COMMIT, TABLE_ID = "ab12cd" + "0" * 58, "7f000000-0000-4000-8000-000000000000"


def own(table: str, version: int, **facets: Any) -> dict[str, Any]:
    snapshot = {"table": table, "table_id": TABLE_ID, "commit_sha256": COMMIT, "role": "output"}
    return dataset(table, str(version), assay_snapshot=snapshot, **facets) | {"namespace": "assay"}


def filled(store: LineageStore) -> None:
    columns = {"fields": [{"name": "customer_id"}, {"name": "createdAt"}, {"name": "tickets_7d"}]}
    owners = {"owners": [{"name": "team:Support Data"}]}
    tags = {"tags": [{"key": "gold", "value": "yes"}]}
    test = {"name": "ticket_id.unique", "status": "pass", "type": "x", "params": {"table": "clean/tickets"}}
    run = {"runId": str(uuid.UUID(int=0xABC << 100)), "facets": {"test": {"tests": [test]}}}
    outputs = [own("clean/tickets", 7, schema=columns, ownership=owners, tags=tags)]
    job = {"namespace": "dagster", "name": "clean/tickets"}
    inputs = [dataset("landing/tickets/2026-09-01.csv", "f00dfeed" + "0" * 56)]
    store.put(event("COMPLETE", run=run, job=job, inputs=inputs, outputs=outputs))
    hive = {"identifiers": [{"namespace": "hive://h", "name": "warehouse.orders", "type": "TABLE"}]}
    bought = {"namespace": "s3://shop", "name": "raw/Purchases", "facets": {"symlinks": hive}}
    store.put(event("COMPLETE", 1, str(uuid.UUID(int=1)), outputs=[bought]))


PRINTED = [
    ("tickets", ("dataset", "clean/tickets", "")),
    ("TICKETS Clean", ("dataset", "clean/tickets", "")),
    ("clean-tickets", ("dataset", "clean/tickets", "")),
    ("cleantickets", ("dataset", "clean/tickets", "")),
    ("tikcets", ("dataset", "clean/tickets", "")),
    ("clen tickts", ("dataset", "clean/tickets", "")),
    ("clean/tickets@7", ("version", "clean/tickets", "")),
    ("clean/tickets@8", ("dataset", "clean/tickets", "")),
    (COMMIT[:8], ("version", "clean/tickets", COMMIT)),
    (TABLE_ID[:13], ("version", "clean/tickets", TABLE_ID)),
    ("f00dfeed", ("version", "landing/tickets/2026-09-01.csv", "f00dfeed" + "0" * 56)),
    ("csv 2026-09-01", ("dataset", "landing/tickets/2026-09-01.csv", "")),
    (str(uuid.UUID(int=0xABC << 100))[:6], ("run", "clean/tickets", str(uuid.UUID(int=0xABC << 100)))),
    (
        str(uuid.UUID(int=0xABC << 100)).replace("-", "")[:20],
        ("run", "clean/tickets", str(uuid.UUID(int=0xABC << 100))),
    ),
    ("customerid", ("column", "clean/tickets", "customer_id")),
    ("created at", ("column", "clean/tickets", "createdAt")),
    ("7d tickets", ("column", "clean/tickets", "tickets_7d")),
    ("clean customer", ("column", "clean/tickets", "customer_id")),
    ("unique ticket", ("rule", "clean/tickets", "ticket_id.unique")),
    ("suport data", ("owner", "clean/tickets", "team:Support Data")),
    ("gold", ("tag", "clean/tickets", "gold")),
    ("warehouse orders", ("dataset", "raw/Purchases", "")),
    ("shop purchases", ("dataset", "raw/Purchases", "")),
    ("s3a://shop/raw/Purchases/", ("dataset", "raw/Purchases", "")),
    ("dagster clean", ("job", "clean/tickets", "")),
]


def test_what_the_product_prints_is_found(any_store: LineageStore) -> None:
    filled(any_store)
    for text, expected in PRINTED:
        hits = search_all(any_store, text).hits
        assert hits, text
        assert (hits[0].kind, hits[0].name, hits[0].text) == expected, text


def test_nothing_is_found_by_what_nothing_has(store: LineageStore) -> None:
    filled(store)
    for text in (
        "",
        " ",
        "%",
        "_",
        "clean nothing",
        "tckts",
        "x" * 5_000,
        "ffffff",
        "'",
        "\0",
        "\ud800",
    ):
        assert search_all(store, text).hits == (), text


def test_kinds_namespaces_and_limits(store: LineageStore) -> None:
    filled(store)
    assert {hit.kind for hit in search_all(store, "tickets", kinds=["job", "column"]).hits} == {"job", "column"}
    assert {hit.namespace for hit in search_all(store, "tickets", namespace="file").hits} == {"file"}
    kinds = [hit.kind for hit in search_all(store, "tickets").hits]
    assert kinds == sorted(kinds, key=["dataset", "job", "column", "rule"].index), "ranked by kind"
    assert (len(search_all(store, "tickets", limit=1).hits), search_all(store, "tickets", limit=1).more) == (1, True)
    assert search_all(store, "gold").more is False
    assert [node.version for node in search(store, "clean tickets", kinds=["dataset"])] == ["7"]


def test_the_same_again_is_found_once(store: LineageStore) -> None:
    for number in range(3):
        store.put(event("COMPLETE", number, str(uuid.UUID(int=number)), outputs=[dataset("orders")]))
    assert [hit.name for hit in search_all(store, "orders").hits] == ["orders"]


# -- what stands no more -----------------------------------------------------------------------------------------------

FACETS = {
    "column": lambda names: {"schema": {"fields": [{"name": name} for name in names]}},
    "owner": lambda names: {"ownership": {"owners": [{"name": name} for name in names]}},
    "tag": lambda names: {"tags": {"tags": [{"key": name, "value": ""} for name in names]}},
}
NAMES = st.lists(st.sampled_from(["alpha", "beta", "gamma"]), max_size=3, unique=True)
MOMENTS = st.tuples(st.sampled_from(["orders", "returns"]), st.sampled_from(sorted(FACETS)), st.none() | NAMES)


@settings(max_examples=200 if os.environ.get("SOAK") else 12, deadline=None)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=7), chance=st.randoms(use_true_random=False))
def test_what_the_latest_events_do_not_name_is_found_last_as_former(
    moments: list[tuple[str, str, list[str] | None]], chance: Any, tmp_path_factory: Any
) -> None:
    """In whatever order the events arrive; None: the facet was deleted."""
    store = open_lineage_store(tmp_path_factory.mktemp("s") / "lineage.db")
    ever: dict[tuple[str, str], dict[str, bool]] = {}
    arriving = []
    for number, (name, kind, names) in enumerate(moments):
        facet: dict[str, Any] = FACETS[kind](names or [])
        if names is None:
            facet = {key: {"_deleted": True} for key in facet}
        arriving.append(event("COMPLETE", number, str(uuid.UUID(int=number)), outputs=[dataset(name, **facet)]))
        known = ever.setdefault((name, kind), {})
        ever[name, kind] = known | {text: text in (names or []) for text in [*known, *(names or [])]}
    for one in chance.sample(arriving, len(arriving)):
        store.put(one)
    for text in ("alpha", "beta", "gamma"):
        hits = search_all(store, text).hits
        expected = {(kind, name): not known[text] for (name, kind), known in ever.items() if text in known}
        assert {(hit.kind, hit.name): hit.formerly for hit in hits} == expected
        assert [hit.formerly for hit in hits] == sorted(hit.formerly for hit in hits)
    store.close()


def test_who_owned_a_job_is_found_after_who_owns_one(any_store: LineageStore) -> None:
    for number, owner in enumerate(["ada", "bob"]):
        facets = {"ownership": {"owners": [{"name": f"team:{owner}"}]}}
        job = {"namespace": "airflow", "name": "load", "facets": facets}
        any_store.put(event("COMPLETE", number, str(uuid.UUID(int=number)), job=job))
    for number in range(3):
        facets = {"ownership": {"owners": [{"name": "team:ada"}]}}
        job = {"namespace": "airflow", "name": f"zz{number}", "facets": facets}
        any_store.put(event("COMPLETE", number, str(uuid.UUID(int=9 + number)), job=job))
    hits = search_all(any_store, "ada", limit=3).hits
    assert [(hit.name, hit.formerly) for hit in hits] == [("zz0", False), ("zz1", False), ("zz2", False)]
    last = search_all(any_store, "ada").hits[-1]
    assert (last.name, last.formerly, last.node) == ("load", True, "job:airflow:load")
    assert last in nodes_of(any_store, [last]), "it leads to the job"


# -- against brute force -----------------------------------------------------------------------------------------------

LETTERS = st.text("ab_", min_size=1, max_size=7).filter(lambda text: text.strip("_"))


@cache
def distance(a: str, b: str) -> int:
    """Of texts, with neighbours that change places as one edit."""
    if not a or not b:
        return len(a) + len(b)
    ways = [distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0])]
    if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
        ways.append(distance(a[2:], b[2:]) + 1)
    return min(ways)


@given(a=st.text("abc", max_size=6), b=st.text("abc", max_size=6))
def test_one_edit_is_one_edit(a: str, b: str) -> None:
    assert one_edit(a, b) is (distance(a, b) <= 1)


def answers(word: str, text: str, edits: int) -> bool:
    return any(word in each or (edits and len(word) >= 4 and distance(word, each) <= 1) for each in words_of(text))


def by_brute_force(tables: dict[str, list[str]], words: list[str], edits: int) -> set[tuple[str, str, str]]:
    found = {("dataset", name, "") for name in tables if all(answers(word, name, edits) for word in words)}
    for name, column in ((name, column) for name, columns in tables.items() for column in columns):
        mine = [answers(word, column, edits) for word in words]
        whole = (own or answers(word, f"file {name}", edits) for word, own in zip(words, mine, strict=True))
        if any(mine) and all(whole):
            found.add(("column", name, column))
    return found


@settings(max_examples=200 if os.environ.get("SOAK") else 20, deadline=None)
@given(
    tables=st.dictionaries(LETTERS, st.lists(LETTERS, max_size=3, unique=True), min_size=1, max_size=5),
    texts=st.lists(st.lists(LETTERS, min_size=1, max_size=2), min_size=1, max_size=6),
)
def test_hits_equal_those_of_brute_force(
    tables: dict[str, list[str]], texts: list[list[str]], tmp_path_factory: Any
) -> None:
    store = open_lineage_store(tmp_path_factory.mktemp("s") / "lineage.db")
    outputs = [
        dataset(name, schema={"fields": [{"name": column} for column in columns]}) for name, columns in tables.items()
    ]
    store.put(event("COMPLETE", job={"namespace": "ns", "name": "zzz"}, outputs=outputs))
    for words in texts:
        plain = plain_words(" ".join(words))
        expected = by_brute_force(tables, plain, 0) or by_brute_force(tables, plain, 1)
        hits = search_all(store, " ".join(words)).hits
        assert {(hit.kind, hit.name, hit.text) for hit in hits} == expected
        assert len(set(hits)) == len(hits)
    store.close()


def test_every_word_finds_its_label(store: LineageStore) -> None:
    """Whatever the letters: no name is lost to the way that words are made."""
    names = ["Straße_1", "données", "数据", "ΑΒΓ", "a.b.c", "x" * 300, "10%", "a'b"]
    store.put(event("COMPLETE", outputs=[dataset(name) for name in names]))
    for name in names:
        assert name in [hit.name for hit in search_all(store, name).hits], name
