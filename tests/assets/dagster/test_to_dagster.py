"""What Dagster has of a domain: assets, checks, partitions, data versions and what a person sees in the UI."""

import re
from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster.dagster_metadata import check_name
from assay.assets.dagster.definitions import defs, partitions_by_table
from assay.assets.dagster.to_dagster import build_asset

ORDERS = dg.AssetKey(["clean", "orders"])
RULES = {
    "order_id__unique",
    "order_id__not_null",
    "order_id__dtype",
    "shopper__not_null",
    "at__not_null",
    "at__dtype",
    "amount__ge",
    "amount__dtype",
    "volume",
}


def assets(shop: Any) -> list[dg.AssetsDefinition]:
    known = partitions_by_table(shop.steps)
    return [build_asset(step, known) for step in shop.steps]


def materialise(shop: Any, number: int) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets(shop), partition_key=shop.day(number), instance=shop.instance, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult, *key: str) -> dict[str, Any]:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(list(key))]
    return {name: item.value for name, item in event.materialization.metadata.items()}


def test_declarations_become_assets_with_partitions_dependencies_owners_and_freshness(new_shop: Any) -> None:
    graph = dg.Definitions(assets=assets(new_shop)).resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        "raw/orders",
        "clean/orders",
        "quarantine/orders",
        "profiles/orders",
        "features/spending",
    }
    clean = graph.get(ORDERS)
    assert isinstance(clean.partitions_def, dg.DailyPartitionsDefinition)
    assert clean.partitions_def.start.date().isoformat() == new_shop.day(1)
    assert {key.to_user_string() for key in clean.parent_keys} == {"raw/orders"}
    assert clean.owners == ["team:shop"]
    assert {
        table: graph.get(dg.AssetKey([table, "orders"])).group_name for table in ("raw", "clean", "quarantine")
    } == {
        "raw": "raw",
        "clean": "clean",
        "quarantine": "quarantine",
    }
    assert set(clean.kinds) == {"clean", "pandera", "polars"}
    for key in graph.get_all_asset_keys():
        assert key.path[0] in graph.get(key).kinds, "what tells nodes of one name apart"
    assert clean.freshness_policy is None, "that is about runs: data_freshness is about data"
    view = graph.get(dg.AssetKey(["features", "spending"]))
    (mapping,) = view.partition_mappings.values()
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert mapping.start_offset == -1, "two days of window: the day itself and the one before"


def test_every_rule_is_an_asset_check(new_shop: Any) -> None:
    keys = dg.Definitions(assets=assets(new_shop)).resolve_asset_graph().asset_check_keys
    names = {key.name for key in keys if key.asset_key == ORDERS}
    assert names >= RULES
    assert {key.name for key in keys if key.asset_key.path == ["raw", "orders"]} == {"delivery", "resent", "unread"}


def test_a_materialisation_shows_rows_version_schema_and_masked_previews(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 10.0, 20.0, -5.0, 30.0))
    result = materialise(new_shop, 1)
    assert result.success
    shown = metadata(result, "clean", "orders")
    snapshot = new_shop.env.lake.table("clean/orders").at().snapshot
    assert (shown["dagster/row_count"], shown["dagster/partition_row_count"]) == (3, 3)
    assert (shown["share_quarantined"], shown["console"]) == (
        0.25,
        "/console/graph?focus=dataset%3Aassay%3Aclean/orders%401",
    )
    assert (shown["rows_in"], shown["rows_quarantined"]) == (4, 1)
    assert shown["delta_version"] == snapshot.version
    assert shown["commit_sha256"] == snapshot.commit_sha256
    assert shown["dagster/uri"] == snapshot.uri
    assert [column.name for column in shown["dagster/column_schema"].columns][:4] == [
        "order_id",
        "shopper",
        "at",
        "amount",
    ]
    lineage = shown["dagster/column_lineage"].deps_by_column["amount"]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage] == [("raw/orders", "amount")]
    assert "amount.ge" in shown["broken_rules"]
    assert "1-1" in shown["preview"], "the preview shows rows"
    kept = metadata(result, "quarantine", "orders")
    assert "1-3" in kept["preview"]
    for name, held in ((("clean", "orders"), True), (("quarantine", "orders"), False), (("raw", "orders"), False)):
        (amount,) = [one for one in metadata(result, *name)["dagster/column_schema"].columns if one.name == "amount"]
        assert bool(amount.constraints.other) is held, "of what broke a rule, or may, none is shown to hold"
    profiles = metadata(result, "profiles", "orders")
    assert "preview" not in profiles
    assert all(
        column.description for column in profiles["dagster/column_schema"].columns if column.name != "partition_key"
    )
    spending = metadata(result, "features", "spending")
    assert "2026-03-02 00:00:00" in spending["preview"]
    (spent,) = [column for column in spending["dagster/column_schema"].columns if column.name == "spent_2d"]
    assert spent.description == "What was paid. Over clean/orders in the 2d before the row's time."
    assert (spent.tags["unit"], spent.tags["window"]) == ("EUR", "2d")
    everything = str([event.materialization.metadata for event in result.get_asset_materialization_events()])
    assert "Ada" not in everything
    assert "Bob" not in everything


def test_the_data_version_is_the_snapshot_and_stays_while_the_content_does(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 10.0))
    seen = []
    for _ in range(2):
        assert materialise(new_shop, 1).success
        record = new_shop.instance.get_latest_data_version_record(ORDERS, partition_key=new_shop.day(1))
        tags = record.event_log_entry.dagster_event.step_materialization_data.materialization.tags
        seen.append((tags["dagster/data_version"], tags["assay/delta_version"]))
    snapshot = new_shop.env.lake.table("clean/orders").at().snapshot
    assert seen == [(snapshot.digest, str(snapshot.version))] * 2


def test_verdicts_carry_counts_and_only_what_blocks_is_an_error(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 10.0, 20.0, -5.0, 30.0))
    verdicts = {item.check_name: item for item in materialise(new_shop, 1).get_asset_check_evaluations()}
    broken = verdicts["amount__ge"]
    assert broken.passed, "its rows went to quarantine, as agreed"
    assert {name: broken.metadata[name].value for name in ("rows_evaluated", "rows_invalid", "severity")} == {
        "rows_evaluated": 4,
        "rows_invalid": 1,
        "severity": "quarantine",
    }
    assert (
        broken.description
        == "1 of 4 rows broke amount.ge, set aside in quarantine/orders (allowed: 10% by all rules, from 10 rows on)."
    )
    assert {name for name, item in verdicts.items() if not item.passed} == {"data_freshness"}, "which is of today"


def test_a_blocking_rule_stops_the_batch_before_anything_is_published(new_shop: Any) -> None:
    severity = 'freshness = "1d"\n        severity = {"amount.ge": Block(share=0.2)}'
    new_shop.redeclare(
        lambda text: text.replace('freshness = "1d"', severity).replace("import Contract,", "import Block, Contract,")
    )
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -3.0))
    result = materialise(new_shop, 1)
    (broken,) = [item for item in result.get_asset_check_evaluations() if not item.passed]
    assert (broken.check_name, broken.severity) == ("amount__ge", dg.AssetCheckSeverity.ERROR)
    assert broken.description == "1 of 3 rows broke amount.ge. Nothing was published."
    assert new_shop.env.lake.tables() == ["raw/orders"], "only what came before the contract is out"


def test_a_partition_without_delivery_waits_with_a_clear_word_and_is_not_red(
    new_shop: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    result = materialise(new_shop, 1)
    assert result.success
    assert "WARNING" in (log := capfd.readouterr().err)
    assert "orders has delivered nothing for 2026-03-01" in log
    assert result.get_asset_materialization_events() == []
    assert result.get_asset_check_evaluations() == []
    assert (
        new_shop.instance.get_run_by_id(result.run_id)
        .tags["assay/waited"]
        .startswith("raw/orders: orders has delivered nothing")
    )


def test_a_click_gives_what_the_command_gives(shop: Any, new_home: Any) -> None:
    """The shop's own lake was made by `materialize`; here by runs like the UI's, and in another order."""
    by_command = shop.contents()
    with new_home(shop):
        for number in (3, 1, 2, 3):  # whoever clicks too early clicks again
            assert materialise(shop, number).success
        assert shop.contents() == by_command


def test_the_shipped_definitions_load_and_are_sound() -> None:
    definitions = defs()
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {
        "raw/tickets",
        "clean/customers",
        "quarantine/card_events",
        "training/router",
        "predictions/router",
    } <= names
    assert {name for name in names if not graph.get(dg.AssetKey(name.split("/"))).parent_keys} == {
        "raw/tickets",
        "raw/customers",
        "raw/card_events",
    }
    assert {"no_email" in key.name for key in graph.asset_check_keys} == {True, False}
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or ()}
    assert sensors == dict.fromkeys(("support_arrivals", "support_freshness"), dg.DefaultSensorStatus.RUNNING)


def test_columns_with_letters_that_dagster_does_not_have_give_checks_that_differ() -> None:
    columns = ["Größe", "Grüße", "Grosse", "a b", "a_b", "a__b", "a.b", "a_", "_b", "a", "数", "量"]
    rules = [f"{name}.{rule}" for name in columns for rule in ("ge", "not_null", "_odd", "b__ge")]
    rules += ["a+b.unique", "a_b.unique", "a__b__ge", "volume"]
    names = [check_name(rule) for rule in rules]
    assert len(set(names)) == len(rules)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in names)
    assert [check_name(name) for name in ("volume", "a_b.not_null", "a.ge")] == ["volume", "a_b__not_null", "a__ge"]
    assert check_name("Größe.ge").startswith("Grosse__ge_")


def test_an_upstream_whose_columns_have_umlauts_is_loaded_by_dagster(new_shop: Any) -> None:
    new_shop.redeclare(
        lambda text: text.replace(
            "    amount:", "    Größe: float = Field(ge=0)\n    Grüße: float = Field(ge=0)\n    amount:"
        )
    )
    header, *lines = new_shop.csv(1, 1.0, 2.0).decode().splitlines()
    content = "\n".join([f"{header},Größe,Grüße", *(f"{line},{number},-1" for number, line in enumerate(lines))])
    new_shop.drop(1, content.encode())
    found = {item.check_name: item for item in materialise(new_shop, 1).get_asset_check_evaluations()}
    counts = {rule: found[check_name(rule)].metadata["rows_invalid"].value for rule in ("Größe.ge", "Grüße.ge")}
    assert counts == {"Größe.ge": 0, "Grüße.ge": 2}
    assert found[check_name("Grüße.ge")].metadata["rule"].value == "Grüße.ge"
