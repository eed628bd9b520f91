"""What was delivered, and what became of it: every planted defect is found, and nothing else is."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

DAILY = ("tickets", "card_events")
KEYS = {"tickets": "ticket_id", "card_events": "event_id", "customers": "customer_id"}


def test_only_the_broken_batches_stop_and_only_until_they_are_corrected(full_run: Any) -> None:
    def refused(number: int) -> dict[str, str]:
        runs = full_run.phases[number]["runs"]
        return {run["partition"]: " ".join(run["problems"]) for run in runs if not run["success"]}

    assert refused(0).keys() == {"2026-09-09"}
    assert (
        "tickets/2026-09-09/tickets-pm.csv: has no rows (0 bytes); ask the upstream to re-send it as "
        in refused(0)["2026-09-09"]
    )
    assert refused(1).keys() == {"2026-09-12", "2026-09-13"}
    for day, problem in refused(1).items():
        assert f"card_events/{day}/events.parquet, column amount: the contract's column 'amount' is missing" in problem
        assert "new column 'amount_eur': renamed?" in problem
        assert "re-send it as events.r1.parquet in the same folder" in problem
    assert refused(2) == {}


def test_a_correction_computes_only_what_depends_on_it(full_run: Any) -> None:
    """The corrected tickets of day 9 come on day 11: what reads day 9 is computed again, nothing before it."""
    again: dict[str, set[str]] = {}
    for run in full_run.phases[1]["runs"]:
        if run["partition"] and run["partition"] <= "2026-09-10":
            again.setdefault(run["partition"], set()).update(
                version.partition("@")[0] for version in run["new_versions"]
            )
    assert again.keys() == {"2026-09-09", "2026-09-10"}
    assert {"raw/tickets", "clean/tickets", "quarantine/tickets", "features/ticket"} <= again["2026-09-09"]
    windows = {f"features/customer_{name}" for name in ("activity", "contact", "habits")}
    assert again["2026-09-10"] - {"partials/customer_habits"} == windows, "they reach back into day 9"


@pytest.mark.parametrize("source", KEYS)
def test_every_raw_row_is_clean_or_quarantined(full_run: Any, source: str) -> None:
    def count(table: str) -> dict[str, int]:
        frame = full_run.frame(table)
        return dict(frame.group_by("partition_key").len().iter_rows())

    raw, clean, quarantined = (count(f"{kind}/{source}") for kind in ("raw", "clean", "quarantine"))
    assert raw == {key: clean.get(key, 0) + quarantined.get(key, 0) for key in raw}
    if source in DAILY:
        told = [item for item in full_run.truth["counts"] if item["source"] == source]
        assert raw == {item["partition"]: item["raw"] for item in told}
        assert clean == {item["partition"]: item["clean"] for item in told}


@pytest.mark.parametrize("source", KEYS)
def test_quarantine_holds_exactly_what_was_planted(full_run: Any, source: str) -> None:
    """By rule, file and row number; by key where the row still shows it. None missed, none invented."""
    planted = [item for item in full_run.truth["rows"] if item["source"] == source]
    found = full_run.frame(f"quarantine/{source}")
    assert (found["_rules"].list.len() == 1).all(), "each defect breaks one rule"
    rules = found["_rules"].list.first()
    if source == "customers":
        assert sorted(zip(found["customer_id"], rules, strict=True)) == sorted((p["key"], p["rule"]) for p in planted)
        return
    places = list(zip(found["partition_key"], found["_source_file"], found["_row_number"], rules, strict=True))
    assert sorted(places) == sorted((p["partition"], p["file"], p["row_number"], p["rule"]) for p in planted)
    keys = dict(zip(places, found[KEYS[source]], strict=True))
    for item in planted:
        if item["key"] is not None:
            assert keys[item["partition"], item["file"], item["row_number"], item["rule"]] == item["key"]


def test_every_broken_file_is_kept_and_none_of_its_rows_counts(full_run: Any) -> None:
    taken = {row for source in DAILY for row in full_run.frame(f"raw/{source}")["_source_file"].unique()}
    for item in full_run.truth["files"]:
        kept = Path(full_run.store.lake.storage.root) / "_landing" / item["sha256"][:2] / item["sha256"]
        assert sha256(kept.read_bytes()).hexdigest() == item["sha256"]
        assert item["file"] not in taken
        instead = item["healed_by"] or item["copy_of"]
        assert instead in taken


def failed_checks(full_run: Any, table: str, name: str) -> dict[str, str]:
    """Partition → message, for the partitions of a table whose live version failed a check."""
    commits = full_run.store.table(table).at().writers(None)
    found = ((commit.partition, check) for commit in commits for check in commit.checks if check["name"] == name)
    return {partition: check["message"] for partition, check in found if not check["passed"]}


def test_the_re_sent_file_is_recognised(full_run: Any) -> None:
    (item,) = [item for item in full_run.truth["files"] if item["defect"] == "resent_file"]
    assert failed_checks(full_run, "raw/tickets", "resent") == {
        item["partition"]: f"{item['file']} has the same bytes as {item['copy_of']}: taken once."
    }


def test_the_flood_is_marked_and_nothing_else(full_run: Any) -> None:
    (flood,) = full_run.truth["volume"]
    marked = failed_checks(full_run, "clean/tickets", "volume")
    assert marked.keys() == {flood["partition"]}
    assert marked[flood["partition"]].startswith(f"{flood['rows']} rows; ")
    assert failed_checks(full_run, "clean/card_events", "volume") == {}
