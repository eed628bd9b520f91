"""One rule is one asset check: its counts, examples and quarantine snapshot, what blocks, and each day's own verdict."""

import io
import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.event_api import PartitionKeyFilter

from assay.assets.dagster.definitions import partitions_by_table
from assay.assets.dagster.to_dagster import build_asset
from assay.cli import main

ORDERS = dg.AssetKey(["clean", "orders"])
AMOUNT = dg.AssetCheckKey(ORDERS, "amount__ge")
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def assets(shop: Any) -> list[dg.AssetsDefinition]:
    known = partitions_by_table(shop.steps)
    return [build_asset(step, known) for step in shop.steps]


def materialise(shop: Any, number: int) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets(shop), partition_key=shop.day(number), instance=shop.instance, raise_on_error=False)


def verdict(result: dg.ExecuteInProcessResult, name: str) -> Any:
    return next(item for item in result.get_asset_check_evaluations() if item.check_name == name)


def test_rows_of_a_year_that_python_does_not_have_are_shown_and_the_run_succeeds(
    new_shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """They can be stored and counted. Only whoever looks at them in Python must not fail, after the commit least of all."""
    new_shop.redeclare(lambda text: text.replace('(".csv",)', '(".parquet",)'))
    at = pl.Series("at", [1_772_300_000_000_000, 500_000_000_000_000_000], pl.Int64).cast(pl.Datetime("us", "UTC"))
    orders = pl.DataFrame({"order_id": ["1", "2"], "shopper": ["Ada", "Bob"], "amount": [1.0, 2.0]}).with_columns(at)
    content = io.BytesIO()
    orders.write_parquet(content)
    new_shop.drop(1, content.getvalue(), "a.parquet")
    result = materialise(new_shop, 1)
    assert result.success
    shown = {name: item.value for name, item in verdict(result, "at__dtype").metadata.items()}
    assert (shown["rows_evaluated"], shown["rows_invalid"]) == (2, 1)
    assert "‹outside of the years 1 to 9999›" in shown["examples"]
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["quarantine", "show", "orders", *options])
        assert ended.value.code == 0
        assert "‹outside of" in capsys.readouterr().out


def test_what_arrives_late_and_changes_no_row_changes_the_verdict_for_good(new_shop: Any) -> None:
    """Of the clean table nothing changes, so that only its commit can say what is true of the batch now."""

    def said(table: str, name: str) -> tuple[int, int]:
        commit = new_shop.env.lake.table(table).at().writer_of(new_shop.day(1))
        (check,) = [check for check in commit.checks if check["name"] == name]
        return check["evaluated"], check["invalid"]

    def made(result: dg.ExecuteInProcessResult) -> Any:
        (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == ORDERS]
        return event.materialization.tags["dagster/data_version"]

    new_shop.drop(1, new_shop.csv(1, 1.0))
    first = materialise(new_shop, 1)
    new_shop.drop(1, new_shop.csv(1, -1.0, first=2), "late.csv")
    late = materialise(new_shop, 1)
    assert said("clean/orders", "amount.ge") == (2, 1)
    new_shop.drop(1, new_shop.csv(1, 1.0), "again.csv")
    again = materialise(new_shop, 1)
    assert said("raw/orders", "resent")[1] == 1
    assert "same bytes as" in verdict(again, "resent").description
    for result in (again, materialise(new_shop, 1)):
        shown = {name: item.value for name, item in verdict(result, "amount__ge").metadata.items()}
        assert (shown["rows_evaluated"], shown["rows_invalid"]) == (2, 1)
    assert made(first) == made(late) == made(again), "the rows are the same: nothing downstream is stale"
    assert new_shop.due() == []


def blocking(shop: Any, share: float) -> None:
    severity = f'freshness = "1d"\n        severity = {{"amount.ge": Block(share={share})}}'
    shop.redeclare(
        lambda text: text.replace('freshness = "1d"', severity).replace("import Contract,", "import Block, Contract,")
    )


def test_a_broken_rule_shows_masked_examples_and_the_version_that_keeps_its_rows(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 10.0, *range(-5, 0)))
    result = materialise(new_shop, 1)
    shown = {name: item.value for name, item in verdict(result, "amount__ge").metadata.items()}
    assert (shown["rows_evaluated"], shown["rows_invalid"], shown["share_invalid"]) == (6, 5, pytest.approx(5 / 6))
    assert shown["quarantine_snapshot"] == str(new_shop.env.lake.table("quarantine/orders").at().snapshot)
    assert shown["quarantine"] == dg.AssetKey(["quarantine", "orders"])
    examples = shown["examples"].splitlines()[2:]
    assert [line.split(" | ")[0] for line in examples] == ["| 1-2", "| 1-3", "| 1-4"], "a few of them"
    everything = str([item.metadata for item in result.get_asset_check_evaluations()])
    assert "Ada" not in everything
    assert "Bob" not in everything
    assert "examples" not in verdict(result, "amount__not_nan").metadata


def test_a_blocking_check_is_known_as_one_and_stops_what_is_downstream(new_shop: Any) -> None:
    blocking(new_shop, 0.2)
    specs = {spec.name: spec.blocking for asset in assets(new_shop) for spec in asset.check_specs}
    assert {name for name, blocks in specs.items() if blocks} == {"delivery", "quarantined", "amount__ge"}
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -3.0))
    result = materialise(new_shop, 1)
    assert result.success, "it did what was agreed: the check is red, not the run"
    assert verdict(result, "amount__ge").severity == dg.AssetCheckSeverity.ERROR
    assert not verdict(result, "amount__ge").passed
    assert {
        event.materialization.asset_key.to_user_string() for event in result.get_asset_materialization_events()
    } == {"raw/orders"}


def test_a_blocking_rule_broken_within_its_threshold_warns_and_lets_the_batch_pass(new_shop: Any) -> None:
    blocking(new_shop, 0.5)
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -3.0))
    result = materialise(new_shop, 1)
    assert result.success
    broken = verdict(result, "amount__ge")
    assert (broken.passed, broken.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert new_shop.frame("clean/orders").height == 2


def test_a_run_over_several_days_keeps_each_days_verdict_and_version(new_shop: Any) -> None:
    for number, amounts in enumerate(([1.0, -1.0], [1.0], [-1.0, -1.0, 1.0]), start=1):
        new_shop.drop(number, new_shop.csv(number, *amounts))
    days: dict[str, str] = dict(zip(RANGE, (new_shop.day(1), new_shop.day(3)), strict=True))
    assert dg.materialize(assets(new_shop), tags=days, instance=new_shop.instance).success

    storage, state = new_shop.instance.event_log_storage, new_shop.env.lake.table("clean/orders").at()
    found = {}
    for number in (1, 2, 3):
        (record,) = storage.get_asset_check_execution_history(
            AMOUNT, limit=1, partition_filter=PartitionKeyFilter(key=new_shop.day(number))
        )
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        found[number] = (record.status.value, evaluation.metadata["rows_invalid"].value)
        materialized = new_shop.instance.get_latest_data_version_record(ORDERS, partition_key=new_shop.day(number))
        tags = materialized.event_log_entry.dagster_event.step_materialization_data.materialization.tags
        written = state.writer_of(new_shop.day(number))
        assert tags["dagster/data_version"] == state.table_snapshot(written.version).digest
        assert evaluation.target_materialization_data.storage_id == materialized.storage_id
    assert found == {1: ("SUCCEEDED", 1), 2: ("SUCCEEDED", 0), 3: ("SUCCEEDED", 2)}, "quarantined, as agreed"


def test_a_backfill_of_one_day_keeps_its_verdicts(new_shop: Any) -> None:
    """As the UI launches it: a range, of one day too."""
    new_shop.drop(1, new_shop.csv(1, 1.0, -1.0))
    day: dict[str, str] = dict.fromkeys(RANGE, new_shop.day(1))
    assert dg.materialize(assets(new_shop), tags=day, instance=new_shop.instance).success
    storage = new_shop.instance.event_log_storage
    names = {spec.name for asset in assets(new_shop) for spec in asset.check_specs if spec.asset_key == ORDERS}
    for name in names:
        (record,) = storage.get_asset_check_execution_history(dg.AssetCheckKey(ORDERS, name), limit=2)
        # What was planned and has no verdict, since five days are needed for one, is shown as skipped.
        status = "PLANNED" if name == "volume" else "SUCCEEDED"
        assert (record.partition, record.status.value) == (new_shop.day(1), status), name


def test_a_refused_file_paints_one_check_red_and_nothing_else(new_shop: Any) -> None:
    new_shop.drop(1, b"")
    result = materialise(new_shop, 1)
    assert result.success
    (evaluation,) = [item for item in result.get_asset_check_evaluations() if not item.passed]
    assert (evaluation.check_name, evaluation.passed, evaluation.severity) == (
        "delivery",
        False,
        dg.AssetCheckSeverity.ERROR,
    )
    assert evaluation.partition == new_shop.day(1)
    assert str(evaluation.description).endswith("Nothing was published.")
    assert evaluation.metadata["refused_in_console"].value == "/console/versions/raw/orders#refused", "with the reason"
    assert result.get_asset_materialization_events() == []
    assert not [event for event in result.all_events if event.is_step_failure]
    assert new_shop.instance.get_run_by_id(result.run_id).tags["assay/refused"] == "raw/orders"


def test_one_table_of_a_step_can_be_asked_for_and_all_of_it_are_told(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0, -1.0))
    chosen = [dg.AssetKey(["raw", "orders"]), ORDERS]
    result = dg.materialize(
        assets(new_shop), selection=chosen, partition_key=new_shop.day(1), instance=new_shop.instance
    )
    assert result.success
    for table in ("clean", "quarantine", "profiles"):
        key = dg.AssetKey([table, "orders"])
        record = new_shop.instance.get_latest_data_version_record(key, partition_key=new_shop.day(1))
        assert record is not None, table


def test_a_day_refused_in_a_run_over_several_fails_alone(new_shop: Any) -> None:
    blocking(new_shop, 0.5)
    for number, amounts in enumerate(([1.0], [-1.0, -1.0, 1.0], [1.0]), start=1):
        new_shop.drop(number, new_shop.csv(number, *amounts))
    days: dict[str, str] = dict(zip(RANGE, (new_shop.day(1), new_shop.day(3)), strict=True))
    assert dg.materialize(assets(new_shop), tags=days, instance=new_shop.instance).success
    history = new_shop.instance.event_log_storage.get_asset_check_execution_history
    last = {
        number: [
            r.status.value for r in history(AMOUNT, 1, partition_filter=PartitionKeyFilter(key=new_shop.day(number)))
        ]
        for number in (1, 2, 3)
    }
    assert (last[1], last[2]) == (["SUCCEEDED"], ["FAILED"])
    assert last[3] == ["SUCCEEDED"], "the others go on"
    assert new_shop.instance.get_materialized_partitions(ORDERS) == {new_shop.day(1), new_shop.day(3)}


def test_backfills_make_one_run_per_day(new_shop: Any) -> None:
    graph = dg.Definitions(assets=assets(new_shop)).resolve_asset_graph()
    assert graph.get(ORDERS).backfill_policy == dg.BackfillPolicy.multi_run(1)


def test_what_cannot_be_judged_yet_is_neither_passed_nor_failed(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the number of rows of the first five days nobody can say whether it is usual: Dagster is given no verdict."""
    for number in range(1, 7):
        new_shop.drop(number, new_shop.csv(number, 1.0))
    verdicts = {
        number: [item.check_name for item in materialise(new_shop, number).get_asset_check_evaluations()]
        for number in (1, 6)
    }
    assert all("amount__ge" in names for names in verdicts.values())
    assert [number for number, names in verdicts.items() if "volume" in names] == []
    assert not new_shop.run().failed  # days 2 to 5
    new_shop.drop(6, new_shop.csv(6, 2.0))
    assert verdict(materialise(new_shop, 6), "volume").passed
    commit = new_shop.env.lake.table("clean/orders").at().writer_of(new_shop.day(1))
    (check,) = [check for check in commit.checks if check["name"] == "volume"]
    assert (check["passed"], check["evaluated"], check["unknown"]) == (True, 0, 1)
    assert check["message"] == "1 rows; not judged yet: 0 earlier batches, 5 are needed."
    with pytest.raises(SystemExit):
        main(["report", "orders", "--partition", new_shop.day(1)])
    rules = len(commit.checks)
    assert f"{rules - 1} of {rules} rules hold for every row, 1 not judged (status unknown)." in capsys.readouterr().out


def test_a_record_that_could_not_be_read_is_shown_by_its_defect_and_masked(
    new_shop: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of its columns is known: a row of empty cells would say nothing."""
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -1.0) + b"9,Ada Byron,too,many,fields,in here\n")
    shown = "‹text: 35 characters, 3 words›"
    examples = verdict(materialise(new_shop, 1), "row__unparsable").metadata["examples"].value
    assert "unparsable" in examples and shown in examples

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert ended.value.code == 0
        return capsys.readouterr().out

    table = said("quarantine", "show", "orders")
    assert "unparsable" in table and shown in table
    assert "Ada" not in table + said("quarantine", "show", "orders", "--json")
    assert "_line" not in said("quarantine", "show", "orders", "--rule", "amount.ge"), "only where there is one"
    assert "9,Ada Byron,too,many,fields,in here" in said("quarantine", "show", "orders", "--unmask", "--json")
    page = tmp_path / "report.html"
    said("report", "orders", "--html", str(page))
    assert shown in page.read_text(encoding="utf-8")
    assert "Ada" not in page.read_text(encoding="utf-8")


def test_rows_of_a_source_that_is_not_declared_any_more_are_masked(
    new_shop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -1.0))
    materialise(new_shop, 1)
    monkeypatch.setenv("ASSAY_PROJECT", "assay.assets.support")
    with pytest.raises(SystemExit):
        main(["quarantine", "show", "orders", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row["_rules"] == ["amount.ge"]
    assert row["shopper"] == "‹text: 9 characters, 2 words›"
