"""A project as Dagster definitions: merged with a team's own, beside another project, checked by Dagster's own command."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

import assay
from tests.forked import run_forked

ROOT = Path(__file__).resolve().parents[3]
DECLARED = """
from datetime import date
from assay import Contract, Field, Files, Partitioning, Source, Timestamp

class Rows(Contract):
    row_id: str = Field(key=True)
    at: Timestamp = Field()

days = Partitioning.daily(date(2026, 1, 1))
rows = Source("NAME", Files("NAME/{day}/*", (".csv",)), Rows, ("row_id",), "at", partitioning=days)
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A project with one source and one delivered row."""

    def made(name: str) -> Path:
        folder = tmp_path / f"the-{name}"
        (folder / name).mkdir(parents=True)
        (folder / "pyproject.toml").write_text(f'[tool.assay]\nname = "{name}"\ndomains = ["{name}"]\n')
        (folder / name / "__init__.py").touch()
        (folder / name / "rows.py").write_text(DECLARED.replace("NAME", f"{name}_rows"))
        (folder / name / "definitions.py").write_text(f'import assay\n\ndefs = assay.definitions("{name}.rows")\n')
        day = folder / "var" / "landing" / f"{name}_rows" / "2026-01-01"
        day.mkdir(parents=True)
        (day / "a.csv").write_text("row_id,at\n1,2026-01-01T00:00:00Z\n")
        return folder

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in ("depot", "kiosk")]:
        del sys.modules[name]


def test_two_projects_and_a_teams_own_assets_are_one_code_location(make: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("kiosk", "depot"):
        sys.path.append(str(make(name)))

    @dg.asset(deps=[dg.AssetKey(["clean", "kiosk_rows"])])
    def theirs() -> int:
        return assay.open(home=tmp_path / "the-kiosk" / "var").table("clean/kiosk_rows").at().rows()

    merged = dg.Definitions.merge(
        dg.Definitions(assets=[theirs]), assay.definitions("kiosk.rows"), assay.definitions("depot.rows")
    )
    dg.Definitions.validate_loadable(merged)
    assert {sensor.name for sensor in merged.sensors or ()} == {"kiosk_arrivals", "depot_arrivals"}
    jobs = {"kiosk_daily_from_2026_01_01", "depot_daily_from_2026_01_01"}
    assert {job.name for job in merged.jobs or ()} == {*jobs, "kiosk_maintain", "depot_maintain"}
    with dg.DagsterInstance.ephemeral() as instance:
        for job in sorted(jobs):
            done = merged.resolve_job_def(job).execute_in_process(partition_key="2026-01-01", instance=instance)
            assert done.success
        done = merged.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[theirs.key], instance=instance
        )
        assert done.output_for_node("theirs") == 1
        sensor = merged.resolve_sensor_def("kiosk_arrivals")
        context = dg.build_sensor_context(instance=instance, repository_def=merged.get_repository_def())
        assert not sensor.evaluate_tick(context).run_requests, "all is done"
    for name in ("kiosk", "depot"):
        tables = assay.open(home=tmp_path / f"the-{name}" / "var").tables()
        assert {info.name for info in tables if info.name.startswith("clean/")} == {f"clean/{name}_rows"}, (
            "each in its own lake, wherever Dagster was started"
        )


def test_a_store_says_where_the_tables_are(make: Callable[[str], Path], tmp_path: Path) -> None:
    folder = make("kiosk")
    sys.path.append(str(folder))
    store = assay.open(lake=tmp_path / "elsewhere", landing=folder / "var" / "landing", home=tmp_path / "home")
    definitions = assay.definitions("kiosk.rows", store=store)
    job = definitions.resolve_job_def("kiosk_daily_from_2026_01_01")
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(partition_key="2026-01-01", instance=instance).success
    assert "clean/kiosk_rows" in {info.name for info in store.tables()}
    assert not (folder / "var" / "lake").exists()


def test_two_projects_are_two_code_locations_of_one_workspace(make: Callable[[str], Path], tmp_path: Path) -> None:
    workspace = ["load_from:"]
    for name in ("kiosk", "depot"):
        folder = make(name)
        workspace.append(
            f"  - python_module: {{module_name: {name}.definitions, working_directory: {folder}, location_name: {name}}}"
        )
    (tmp_path / "workspace.yaml").write_text("\n".join(workspace) + "\n")
    run = "from dagster._cli import main; main()"
    done = run_forked("-c", run, "definitions", "validate", "-w", "workspace.yaml", folder=tmp_path, merged=True)
    assert done.code == 0, done.out[-4000:]
    for name in ("kiosk", "depot"):
        assert f"Validation successful for code location {name}" in done.out


def test_a_module_that_is_broken_is_logged_and_the_others_are_loaded(
    make: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make("kiosk")
    (folder / "kiosk" / "broken.py").write_text("import no_such_module\n")
    sys.path.append(str(folder))
    definitions = assay.definitions("kiosk")
    assert dg.AssetKey(["raw", "kiosk_rows"]) in definitions.resolve_asset_graph().get_all_asset_keys()
    assert "kiosk.broken cannot be loaded: line 1: ModuleNotFoundError: No module named 'no_such_module'" in caplog.text


def test_dagsters_own_command_lists_this_repository(tmp_path: Path) -> None:
    dg_main = "from dagster_dg_cli.cli import main; main()"
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    done = run_forked("-c", dg_main, "list", "defs", "--json", environment=environment, imports=["dagster_dg_cli.cli"])
    assert done.code == 0, done.out[-2000:] + done.err[-2000:]
    listed = json.loads(done.out)
    assert {"raw/tickets", "predictions/router"} <= {item["asset_key"] for item in listed["assets"]}
