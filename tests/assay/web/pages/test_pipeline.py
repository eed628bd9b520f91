"""Every table once, with its newest partition and owner; columns and their lines on demand; what is left out is said."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import open_lineage_store
from assay.web import create_router, pipeline
from assay.web.drawing import LISTED
from tests.assay.web.reading import Page
from tests.assay.web.test_missing import NEXT, refuse
from tests.conftest import SOAK

RAW, CLEAN, FEATURE = (f"dataset:assay:{name}" for name in ("raw/tickets", "clean/tickets", "features/ticket"))


def read(client: TestClient, address: str) -> Page:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


@pytest.mark.parametrize("address", ["/", "/pipeline"])
def test_each_table_is_there_once_with_sources_left_and_predictions_right(client: TestClient, address: str) -> None:
    page = read(client, address)
    left = {name.removeprefix("dataset:assay:"): box[0] for name, box in page.boxes.items()}
    order = [
        "raw/tickets",
        "clean/tickets",
        "features/ticket",
        "training/router",
        "models/router",
        "predictions/router",
    ]
    assert sorted(left, key=left.__getitem__) == order
    assert "version 3, 2026-09-03, 3 partitions, 12 rows" in page.cards[CLEAN]
    assert "as agreed: text is there" in page.cards[CLEAN]


def test_a_card_of_the_first_page_leads_to_the_picture_around_its_table(client: TestClient) -> None:
    (card,) = read(client, "/").links(data_node=CLEAN)
    assert "aria-expanded" not in card
    page = read(client, card["href"])
    assert page.links(data_node=CLEAN)[0]["aria-current"] == "true"
    assert {name for node, name in page.columns if node == CLEAN} == {"ticket_id", "text"}
    for word, address in (("Versions", "/versions/clean/tickets"), ("Impact", "/impact/clean/tickets")):
        assert {address} == {given["href"] for given in page.links(aria_label=f"{word}: clean/tickets @3")}, word


def test_a_card_opens_and_closes_in_place(client: TestClient) -> None:
    closed = read(client, "/pipeline")
    opened = read(client, closed.links(data_node=CLEAN)[0]["href"])
    assert closed.places[CLEAN] == opened.places[CLEAN]
    assert not closed.columns
    assert opened.columns
    assert not read(client, opened.links(data_node=CLEAN)[0]["href"]).columns


def test_lines_between_columns_are_those_of_the_chosen_one(client: TestClient) -> None:
    page = read(client, "/pipeline?open=clean/tickets&open=features/ticket")
    between = [(source, target) for source, target, _ in page.lines]
    assert between.count((CLEAN, FEATURE)) == 1, "the tables"
    assert page.columns[FEATURE, "ticket_id"]["aria-label"].endswith("unknown where it comes from")
    chosen = read(client, page.columns[CLEAN, "text"]["href"])
    lines = [(source, target, "dashed" in classes) for source, target, classes in chosen.lines if "way" in classes]
    assert lines.count((RAW, CLEAN, False)) == 2, "the tables, and raw text to text"
    assert lines.count((RAW, CLEAN, True)) == 1, "the raw id to text"
    assert lines.count((CLEAN, FEATURE, False)) == 2
    assert "The way of clean/tickets.text" in chosen.text
    assert "comes from raw/tickets: text, ticket_id leads to features/ticket: length" in chosen.text
    assert "The way of" not in read(client, chosen.columns[CLEAN, "text"]["href"]).text
    assert "No table here has a column nothing" in read(client, "/pipeline?table=clean/tickets&column=nothing").text


def test_around_a_table_is_what_it_is_made_from_and_leads_to(lake: Lake, store: Any) -> None:
    def write(name: str, *reads: str, looked_up: tuple[str, ...] = ()) -> None:
        with transaction(lake, NullRecorder(), Work(name, code_version="1", owner="the owner")) as tx:
            for table in reads:
                tx.read(table)
            for table in looked_up:
                tx.read(table, lookup=True)
            tx.write(name, pl.DataFrame({"a": [1]}))

    write("raw/a")
    write("raw/b")
    write("clean/b", "raw/b")
    write("clean/a", "raw/a", looked_up=("clean/b",))
    write("profiles/a", "raw/a")
    write("features/a", "clean/a")
    write("features/b", "clean/b")
    client = TestClient(Starlette(routes=[Mount("/", create_router(store, lake))]))
    page = read(client, "/pipeline?table=clean/a")
    assert {name.rpartition(":")[2] for name in page.cards} == {"raw/a", "clean/a", "features/a", "clean/b"}
    assert [classes for *ends, classes in page.lines if ends[0].endswith("clean/b")] == [{"dashed"}]
    assert "owner the owner" in page.cards["dataset:assay:clean/a"]
    assert "of profiles, partials and decisions" not in page.text
    whole = read(client, "/pipeline")
    assert len(whole.cards) == 6
    assert "+1 of profiles, partials and decisions" in whole.text
    assert "dataset:assay:profiles/a" in read(client, "/pipeline?table=raw/a&every=1").cards


WIDE = 3_000 if SOAK else 200


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Two tables of many columns with long names, and one column that is made from all of them."""
    folder = tmp_path_factory.mktemp("wide")
    lake, store = open_lake(folder / "lake"), open_lineage_store(folder / "lineage.db")
    recorder = EventRecorder(store)
    columns = [f"a_column_with_a_long_name_{number:04d}" for number in range(WIDE)]
    with transaction(lake, recorder, Work("raw/wide", code_version="1")) as tx:
        tx.write("raw/wide", pl.DataFrame({name: [1] for name in columns}))
    with transaction(lake, recorder, Work("clean/wide", code_version="1")) as tx:
        said = {name: {"direct": [("raw/wide", name)], "indirect": [("raw/wide", columns[0])]} for name in columns}
        tx.write("clean/wide", tx.read("raw/wide").collect(), column_lineage=said)
    with transaction(lake, recorder, Work("features/sum", code_version="1")) as tx:
        made = tx.read("clean/wide").select(pl.sum_horizontal(pl.all()).alias("sum")).collect()
        tx.write("features/sum", made, column_lineage={"sum": {"direct": [("clean/wide", name) for name in columns]}})
    recorder.close()
    yield TestClient(Starlette(routes=[Mount("/", create_router(store, lake))]))
    store.close()


def test_many_columns_are_listed_in_part_wherever_they_are(wide: TestClient) -> None:
    clean = "dataset:assay:clean/wide"
    for address in (
        "/pipeline?open=clean/wide&column=sum&of=features/sum",
        f"/graph?focus={clean}@1&then=open:{clean}@1&column=sum&of=dataset:assay:features/sum@1",
    ):
        started = time.process_time()
        page = read(wide, address)
        assert time.process_time() - started < 1, address
        listed = [name for node, name in page.columns if node.startswith(clean)]
        assert len(listed) == LISTED
        assert f"{WIDE - LISTED:,} more" in page.text
        assert f"a_column_with_a_long_name_0039, {WIDE - LISTED:,} more" in page.text, "in words"
        assert len(page.text) < 40_000
    last = f"a_column_with_a_long_name_{WIDE - 1:04d}"
    page = read(wide, f"/pipeline?open=clean/wide&column={last}&of=clean/wide")
    assert len([name for node, name in page.columns if node == clean]) == LISTED + 1, "the chosen one, too"


def test_what_does_not_fit_is_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "DRAWN", 4)
    for address in ("/", "/pipeline"):
        page = read(client, address)
        assert len(page.cards) == 4
        assert "truncated The 4 tables written last are drawn, 2 are not." in page.text, address
    near = read(client, "/pipeline?table=raw/tickets")
    assert "The 4 tables nearest are drawn, 2 are not." in near.text
    assert FEATURE in near.cards


def test_a_table_that_was_never_made_or_cannot_be_read_is_drawn(own_desk: Any) -> None:
    refuse(own_desk.lake, "raw/tickets", NEXT)
    (log,) = sorted((Path(own_desk.lake.storage.root) / "models/router/_delta_log").glob("*0.json"))
    log.write_text("{")
    page = read(TestClient(own_desk.app), "/pipeline")
    assert "1 day refused" in page.cards[RAW]
    assert "dataset:assay:models/router" in page.cards


def test_what_is_not_there_is_said(client: TestClient) -> None:
    answer = client.get("/pipeline?table=clean/tickts")
    assert answer.status_code == 404
    assert "Did you mean" in answer.text
    many = "&".join(f"open=t{number}" for number in range(21))
    assert client.get(f"/pipeline?{many}").status_code == 400
