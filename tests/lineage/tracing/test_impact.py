"""Impact finds exactly what was made from some rows: against an oracle over random lakes, and on a small desk."""

from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.tracing.impact import Impact, impact


def versions(found: Any) -> set[tuple[str, int]]:
    return {(item.table, version) for item in found for version in item.versions}


def test_every_version_of_a_random_lake_leads_to_exactly_what_came_from_it(wild: Any) -> None:
    for origin in wild.made:
        expected = {made for made, came in wild.made.items() if origin in came and made != origin}
        found = impact(wild.lake, *origin)
        assert found.complete and not found.notes
        assert versions(found.affected) == expected
        assert found.predictions == sum(table == "predictions/router" for table, _ in expected)
        assert set(found.models) == {
            f"router@{name}" for name, at in wild.models.items() if ("models/router", at) in expected
        }
        looked_up = {made for made, came in wild.looked_up.items() if came & (expected | {origin})}
        assert versions(found.lookups) == looked_up - expected - {origin}


def test_a_partition_is_all_that_it_ever_held_or_held_at_a_version(wild: Any) -> None:
    for table in ("raw/a", "clean/b"):
        last = max(wild.contents[table])
        for partition in wild.contents[table][last]:
            wrote = {c.version for c in wild.lake.table(table).history() if c.partition == partition}
            reached = {made for made, came in wild.made.items() if any((table, v) in came for v in wrote)}
            found = versions(impact(wild.lake, table, partition=partition).affected)
            assert found == {made for made in reached if made[0] != table}
            (at_last,) = [v for v in wrote if (table, v) in wild.contents[table][last][partition]]
            now = versions(impact(wild.lake, table, last, partition=partition).affected)
            assert now == versions(impact(wild.lake, table, at_last).affected)


def test_only_the_newest_versions_are_followed_if_that_is_asked(wild: Any) -> None:
    for table in ("raw/a", "clean/b"):
        wrote = [
            commit.version for commit in wild.lake.table(table).history() if commit.run_id and commit.rows is not None
        ]
        several = [impact(wild.lake, table, version) for version in wrote[-2:]]
        found = impact(wild.lake, table, newest=2)
        own = {(table, version) for version in wrote}
        assert versions(found.affected) - own == {one for each in several for one in versions(each.affected)} - own
        assert found.left_out == len(wrote) - 2
        every = impact(wild.lake, table, newest=len(wrote) + 5)
        assert (every.left_out, every.affected) == (0, impact(wild.lake, table).affected)


def desk_with_a_model(desk: Any) -> Any:
    desk.until(4)
    desk.train("1", range(2))
    desk.train("2", range(4))
    desk.predict(3, "1")
    desk.predict(4, "2")
    return desk


def tables(found: Impact) -> dict[str, Any]:
    return {item.table: item for item in found.affected}


def test_a_bad_day_leads_to_its_features_models_and_predictions(desk: Any) -> None:
    desk_with_a_model(desk)
    found = impact(desk.lake, "raw/tickets", partition="2026-09-03")
    affected = tables(found)
    assert affected["features/customer_activity"].partitions == ("2026-09-03", "2026-09-04", "2026-09-05")
    assert affected["features/ticket"].partitions == ("2026-09-03",)
    assert found.models == ("router@2",)
    assert found.training_sets == ("router@2",)
    assert found.predictions == 8  # both days: model 1 did not learn from that day, but the windows hold it
    assert [item.table for item in found.lookups] == ["clean/tickets", "embeddings/ticket_text"]
    assert affected["predictions/router"].columns is None
    text = str(found)
    assert "impact of raw/tickets 2026-09-03 (complete)" in text
    assert "8 predictions" in text
    assert found.to_dict()["predictions"] == 8


def test_what_was_replaced_since_is_not_live(desk: Any) -> None:
    desk_with_a_model(desk)
    desk.deliver(2, note="corrected")
    desk.clean(2)
    before = tables(impact(desk.lake, "raw/tickets", 4))  # version 0 made the table, 4 … wrote the days after the first
    assert before["clean/tickets"].live == 1
    old = next(c.version for c in desk.lake.table("raw/tickets").history() if c.partition == "2026-09-03")
    replaced = tables(impact(desk.lake, "raw/tickets", old))
    assert (replaced["clean/tickets"].versions, replaced["clean/tickets"].live) == ((3,), 0)
    assert replaced["features/ticket"].live == 1, "still computed from the old rows"
    new = max(c.version for c in desk.lake.table("raw/tickets").history())
    assert set(tables(impact(desk.lake, "raw/tickets", new))) == {"clean/tickets"}


def test_a_column_leads_to_the_columns_made_from_it(desk: Any) -> None:
    desk.until(2)
    text = tables(impact(desk.lake, "raw/tickets", column="text"))
    assert (text["clean/tickets"].columns, text["clean/tickets"].indirect) == (("text",), ())
    assert text["features/ticket"].columns == ("length",)
    assert "features/customer_activity" not in text
    customer = tables(impact(desk.lake, "raw/tickets", column="customer_id"))["features/customer_activity"]
    assert customer.columns == ("customer_id", "event_time", "tickets_1d", "tickets_3d")
    assert customer.indirect == ("event_time", "tickets_1d", "tickets_3d"), "it only says whose tickets are counted"
    assert customer.unknown == ()


def test_what_no_one_said_counts_as_affected_and_is_noted(desk: Any) -> None:
    desk.until(0)
    desk.train("1", range(1))
    found = impact(desk.lake, "raw/tickets", column="text")
    embedded, trained = tables(found)["embeddings/ticket_text"], tables(found)["training/router"]
    assert (embedded.columns, embedded.unknown) == (("text_key", "vector"), ("text_key",))
    assert trained.columns == trained.unknown == ("created_at", "length", "ticket_id")
    assert found.complete
    assert found.notes == (
        "embeddings/ticket_text does not declare the sources of text_key: counted as affected",
        "models/router does not declare the sources of its columns: all count as affected",
        "training/router does not declare the sources of its columns: all count as affected",
    )
    assert found.models == ("router@1",)
    text = str(found)
    assert "columns vector, perhaps text_key" in text and "any column" in text


def test_columns_said_to_be_unknown_count_as_affected(desk: Any) -> None:
    desk.deliver(0)
    with transaction(desk.lake, NullRecorder(), Work("clean/tickets", "2026-09-01")) as tx:
        rows = tx.read("raw/tickets").select("text", "ticket_id", key="customer_id").collect()
        lineage = {"text": "unknown"} | {
            name: {"direct": [("raw/tickets", column)], "indirect": []}
            for name, column in (("ticket_id", "ticket_id"), ("key", "customer_id"))
        }
        tx.write("clean/tickets", rows, column_lineage=lineage)
    found = impact(desk.lake, "raw/tickets", column="customer_id")
    assert (tables(found)["clean/tickets"].columns, tables(found)["clean/tickets"].unknown) == (
        ("key", "text"),
        ("text",),
    )
    assert found.notes == ("clean/tickets does not declare the sources of text: counted as affected",)


def test_lookups_are_listed_and_followed_only_when_asked(desk: Any) -> None:
    desk.until(1)
    found = impact(desk.lake, "raw/customers")
    assert [item.table for item in found.affected] == ["clean/customers"]
    assert [item.table for item in found.lookups] == ["clean/tickets"]
    for column in (None, "customer_id"):
        followed = tables(impact(desk.lake, "raw/customers", column=column, lookups=True))
        assert {"clean/tickets", "features/ticket", "embeddings/ticket_text"} <= set(followed)


def test_a_lookup_that_a_column_is_said_to_come_from_is_followed(desk: Any) -> None:
    desk.until(0)
    with desk.work("clean/notes") as tx:
        rows = tx.read("raw/tickets").select("ticket_id").collect()
        tx.read("clean/customers", lookup=True)
        sources = {"ticket_id": ("raw/tickets", "ticket_id"), "of": ("clean/customers", "customer_id")}
        lineage = {name: {"direct": [source], "indirect": []} for name, source in sources.items()}
        tx.write("clean/notes", rows.with_columns(of=pl.lit("c0")), column_lineage=lineage)
    found = impact(desk.lake, "clean/customers", column="customer_id")
    assert {item.table: item.columns for item in found.affected} == {"clean/notes": ("of",)}
    assert [item.table for item in found.lookups] == ["clean/tickets"]


def test_what_cannot_be_followed_truncates(desk: Any, tmp_path: Any) -> None:
    desk_with_a_model(desk)
    (tmp_path / "lake" / "clean" / "tickets").rename(tmp_path / "old")
    found = impact(desk.lake, "raw/tickets")
    assert not found.complete
    assert any("clean/tickets was deleted or made anew" in reason for reason in found.reasons)
    assert "truncated" in str(found)


def test_a_damaged_log_truncates(desk: Any, tmp_path: Any) -> None:
    desk.until(1)
    log = tmp_path / "lake" / "features" / "ticket" / "_delta_log" / f"{2:020d}.json"
    log.write_bytes(b"\xff" + log.read_bytes()[1:])
    found = impact(desk.lake, "raw/tickets")
    assert [reason for reason in found.reasons if "features/ticket is damaged at version 2" in reason]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("raw/nothing", {}, "no table raw/nothing"),
        ("raw/tickets", {"version": 99}, "no version 99"),
        ("raw/tickets", {"partition": "2027-01-01"}, "no partition '2027-01-01'"),
        ("raw/tickets", {"column": "nothing"}, "no column 'nothing'. It has: ticket_id"),
    ],
)
def test_an_origin_that_is_not_there(desk: Any, table: str, options: Any, message: str) -> None:
    desk.deliver(0)
    with pytest.raises(AssayError, match=message):
        impact(desk.lake, table, **options)


def test_versions_that_wrote_no_rows_have_no_impact(desk: Any) -> None:
    desk.until(1)
    assert not impact(desk.lake, "raw/tickets", 0).affected
