"""The sensor, `assay status` and `assay doctor` say when the declarations that run are not those on disk."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster import loaded
from assay.assets.dagster.attention import backlog, outdated_now, sensor
from assay.assets.dagster.definitions import partitions_by_table
from assay.assets.dagster.loaded import LoadedDeclarations, loaded_by
from assay.assets.dagster.materialize import open_instance
from assay.assets.dagster.run_recovery import process_tag
from assay.assets.dagster.sensors import arrivals
from assay.assets.dagster.to_dagster import build_asset
from assay.assets.project import active_project
from assay.errors import AssayError
from tests.assets.dagster.test_attention import Daemon
from tests.forked import run_forked


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def reason(shop: Any, declared: LoadedDeclarations) -> str:
    sensor = arrivals(shop.steps, declared=declared)
    assets = [build_asset(step, partitions_by_table(shop.steps)) for step in shop.steps]
    repository = dg.Definitions(assets=assets, sensors=[sensor]).get_repository_def()
    context = dg.build_sensor_context(instance=shop.instance, repository_def=repository)
    return sensor.evaluate_tick(context).skip_message or ""


def test_what_has_changed_since_is_named_by_all_of_them_until_it_is_loaded(
    shop: Any,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from assay.cli import main

    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))
    shop.instance = stack.enter_context(open_instance(shop.home / "dagster"))
    project = active_project()
    declared = LoadedDeclarations.now(project)
    assert "declarations" not in reason(shop, declared)
    file = Path(str(shop.package.__file__)).with_name("orders.py")
    before = file.read_text()
    file.write_text(f"{before}\n# changed\n")
    said = reason(shop, declared)
    assert said.startswith("The declarations of 20")
    assert "orders.py changed since." in said and "reload the code location" in said
    assert said.endswith("Of what runs: everything is up to date.")

    assert outdated_now(shop.instance, project) == "", "no daemon runs"
    daemon = Daemon(shop.instance)
    daemon.on()
    daemon.beats(datetime.now(UTC))  # the suite may have been loaded long ago
    assert "orders.py changed since" in outdated_now(shop.instance, project)
    with pytest.raises(SystemExit):
        main(["status", "--json"])
    assert "orders.py changed since" in json.loads(capsys.readouterr().out)["outdated"]
    shop.drop(1, shop.csv(1, 9.0), "late.csv")
    with pytest.raises(AssayError, match=r"1 run to be made .*of which the sensor may not know\. The declarations of"):
        backlog(shop.instance, shop.steps, shop.env, project.name, outdated=outdated_now(shop.instance, project))
    file.write_text(before)
    assert outdated_now(shop.instance, project) == ""


def test_declarations_of_a_code_location_that_has_ended_do_not_run(shop: Any, stack: ExitStack) -> None:
    """Its daemon's last heartbeat is still young then."""
    instance = stack.enter_context(open_instance(shop.home / "dagster"))
    shop.drop(1, shop.csv(1, 9.0), "late.csv")
    project, daemon = active_project(), Daemon(instance)
    daemon.on()
    daemon.beats(datetime.now(UTC))
    answers = list[tuple[str, str]]()
    for process in (ended_process(), process_tag()):
        declared = LoadedDeclarations.now(project)
        declared.loaded = replace(declared.loaded, process=process, contents={})
        declared.note(instance)
        answers.append((outdated_now(instance, project), sensor(instance, project.name)))
    assert answers[0] == ("", "no daemon runs now (`assay up` starts it)")
    assert answers[1][0].startswith("The declarations of 20") and answers[1][1] == "has not looked yet"


def ended_process() -> str:
    """One that has ended."""
    command = "from assay.assets.dagster.run_recovery import process_tag; print(process_tag())"
    return run_forked("-c", command).out.strip()


def test_modules_that_could_not_be_loaded_are_noted(new_shop: Any) -> None:
    project = active_project()
    declared = LoadedDeclarations.now(project)
    declared.without(["shop.broken"])
    declared.note(new_shop.instance)
    loaded = loaded_by(new_shop.instance, project.name)
    assert loaded is not None and loaded.broken == ("shop.broken",)
    assert loaded_by(new_shop.instance, "another") is None


def test_no_run_is_requested_that_would_load_what_cannot_be_loaded(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = LoadedDeclarations.now(active_project())
    file = Path(str(shop.package.__file__)).with_name("orders.py")
    before = file.read_text()
    shop.drop(1, shop.csv(1, 9.0), "late.csv")
    file.write_text(f"{before}\nx = not_defined_anywhere\n")
    tried: list[None] = []
    real = loaded.broken_modules
    monkeypatch.setattr(loaded, "broken_modules", lambda: tried.append(None) or real())
    for _ in range(2):
        message = reason(shop, declared)
        assert "not_defined_anywhere" in message
        assert message.endswith("A run would load that, so none is requested until it is corrected: 1 run waits.")
    assert len(tried) == 1, "the same files are tried once"
    file.write_text(f"{before}\n# corrected\n")
    assert reason(shop, declared) == "", "and then it is requested, with all of its attempts"
