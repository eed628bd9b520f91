"""What came of a file that was refused, set aside, corrected or never delivered: `impact` of a file, in the life of a shop."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.errors import AssayError
from assay.features.tables.refusals import refusals
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.origin import Origin


@pytest.fixture
def bad(new_shop: Any) -> Iterator[Any]:
    """A good day, one that is no table, one of which every row breaks a rule, and one of which all few rows do."""
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0))
    new_shop.drop(2, b"nonsense\n1\n")
    new_shop.drop(3, new_shop.csv(3, *[-1.0] * 12))
    new_shop.drop(4, new_shop.csv(4, -1.0, -2.0))
    new_shop.run()
    yield new_shop


def path(number: int) -> str:
    return f"orders/2026-03-{number:02d}/a.csv"


def asked(shop: Any, file: str, **chosen: Any) -> dict[str, Any]:
    shop.env.recorder.close()
    return assay.open(home=shop.home).affected_predictions(file=file, **chosen).to_dict()


def rows(answer: dict[str, Any]) -> dict[str, int]:
    return {item["table"]: item["rows"] for item in answer["tables"]}


def test_a_file_that_the_door_refused_entered_no_table(bad: Any) -> None:
    answer = asked(bad, path(2))
    (file,), (kept, _) = answer["files"], refusals(bad.env.lake)[::-1]
    (failed,) = file["failed"]
    assert (failed["table"], failed["refused"], failed["rules"]) == ("raw/orders", True, ["delivery"])
    assert (failed["run_id"], failed["partition"]) == (kept.run_id, "2026-03-02")
    assert kept.files == ((path(2), file["sha256"]),)
    assert file["versions"] == [] and "Nothing of it entered a table" in file["outcome"]
    assert (rows(answer), answer["complete"], answer["predictions"]["direct"]) == ({}, True, 0)
    assert [item["path"] for item in asked(bad, file["sha256"][:12])["files"]] == [path(2)]


def test_a_file_that_the_contract_refused_is_in_its_raw_table_alone(bad: Any) -> None:
    answer = asked(bad, path(3))
    (file,) = answer["files"]
    (failed,) = file["failed"]
    assert (failed["table"], failed["rules"]) == ("clean/orders", ["amount.ge", "quarantined"])
    assert (file["versions"], file["entered"], rows(answer)) == ([2], False, {"raw/orders": 12})
    assert "it was refused" in file["outcome"] and answer["complete"]


def test_where_all_rows_are_in_quarantine_the_answer_says_so(bad: Any) -> None:
    answer = asked(bad, path(4))
    assert rows(answer) == {"quarantine/orders": 2, "raw/orders": 2}
    assert answer["set_aside"] == ["All of them are in quarantine/orders: no row entered clean/orders."]
    good = asked(bad, path(1))
    assert good["set_aside"] == [] and good["files"][0]["outcome"] == ""
    assert rows(good) == {"clean/orders": 2, "features/spending": 2, "raw/orders": 2}


def test_a_name_of_several_files_means_all_and_says_how_to_choose(bad: Any) -> None:
    answer = asked(bad, "a.csv")
    assert [(item["path"], item["partition"]) for item in answer["files"]] == [
        (path(n), bad.day(n)) for n in range(1, 5)
    ]
    text = str(assay.open(home=bad.home).affected_predictions(file="a.csv"))
    assert "a.csv names 4 files" in text and "--partition" in text
    assert [item["path"] for item in asked(bad, "a.csv", partition="2026-03-02")["files"]] == [path(2)]


def test_old_and_new_bytes_of_a_corrected_file_are_both_known(bad: Any) -> None:
    old = {number: asked(bad, path(number))["files"][0]["sha256"] for number in (2, 3)}
    for number in old:
        bad.drop(number, bad.csv(number, 5.0, 6.0))
    assert not bad.run().failed and refusals(bad.env.lake) == []
    for number, sha256 in old.items():
        both = asked(bad, path(number))
        (before,), after = asked(bad, sha256)["files"], both["files"][-1]
        assert len(both["files"]) == 2 and after["sha256"] != sha256 and after["entered"]
        assert before["failed"] and not before["entered"], "the refusal is forgotten in the lake, not in the runs"
        assert before["replaced_by"] == after["versions"][0]
        assert rows(both)["clean/orders"] == 2


def test_without_an_index_of_runs_the_lake_knows_what_is_refused_now(bad: Any) -> None:
    lake = bad.env.lake
    for number, table in ((2, "raw/orders"), (3, "clean/orders")):
        (file,) = affected_predictions(lake, Origin(path(number))).files
        assert [run.table for run in file.failed] == [table]
    by_table = {kept.table: kept for kept in refusals(lake)}
    assert by_table["clean/orders"].read == {"raw/orders": 2}
    for kept in Path(lake.storage.root, "_refused").rglob("*.json"):  # as an earlier release wrote them
        data = json.loads(kept.read_text())
        kept.write_text(json.dumps({name: data[name] for name in data if name not in ("files", "read")}))
    assert len(refusals(lake)) == 2
    with pytest.raises(AssayError, match="none is known to have refused it"):
        affected_predictions(lake, Origin(path(2)))
    assert asked(bad, path(2))["files"][0]["failed"], "the runs say it"


@pytest.mark.parametrize(
    ("file", "chosen", "says"),
    [
        ("orders/2026-03-01/b.csv", {}, "Did you mean 'orders/2026-03-01/a.csv'"),
        ("2026-03-09/a.csv", {}, "Did you mean 'orders/2026-03-0"),
        (path(1), {"partition": "2026-03-03"}, "It was delivered in: 2026-03-01."),
    ],
)
def test_a_file_that_was_never_delivered_is_an_error_with_names_that_are_near(
    shop: Any, file: str, chosen: dict[str, str], says: str
) -> None:
    with pytest.raises(AssayError, match="No raw table has rows of") as problem:
        asked(shop, file, **chosen)
    assert says in str(problem.value)
