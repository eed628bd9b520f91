"""Validation against pandera, dataframely and Great Expectations: CPU, memory and rows found. Prints a Markdown table.

    python -m benchmarks.contracts --peers /tmp/peers                # 2 M rows, every engine, each three times
    python -m benchmarks.contracts --large 16000000                  # and our own on many rows

One batch of orders: 12 columns, 16 rules, every kind of defect planted in 0.1 % of the rows; or besides one kind in 20 % of the
rows; or nearly every kind at once in 20 % of the rows, as when an upstream sends shifted columns. Each measurement is a
process of its own. CPU and seconds are those of the validation (with reading, where the engine is given a scan; with writing,
where rows go to files), the peak is that of the whole process. Of 100 partitions in turn the mean of each is given. dataframely
and Great Expectations have virtual environments of their own in the --peers folder, made there if they are missing.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context

from assay.checks import Contract, Field, Timestamp, rule, validate, validate_spilled
from benchmarks.contracts_by_hand import judged, moved

FILE_ROWS = 2_000_000
CHANNELS = ["web", "shop", "phone", "partner"]
STATES = ["open", "paid", "sent", "closed"]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Orders(Contract):
    order_id: str = Field(unique=True, str_matches=r"O[0-9]{9}$")
    customer: int = Field(ge=1)
    ordered_at: Timestamp = Field()
    shipped_at: Timestamp = Field(nullable=True)
    channel: str = Field(isin=CHANNELS)
    state: str = Field(isin=STATES)
    country: str = Field(nullable=True, str_length={"min_value": 2, "max_value": 2})
    email: str = Field(nullable=True, str_matches=r"[^@ ]+@[^@ ]+\.[a-z]+$")
    quantity: int = Field(nullable=True, in_range={"min_value": 1, "max_value": 99})
    price: float = Field(nullable=True, in_range={"min_value": 0, "max_value": 10_000, "include_min": False})
    discount: float = Field(nullable=True, le=0.9)
    note: str = Field(nullable=True)

    @rule(name="shipped_at.after_order")
    def after_order(cls) -> pl.Expr:
        return pl.col("shipped_at") >= pl.col("ordered_at")


class Shipped(Contract):
    """The rule across columns alone."""

    ordered_at: Timestamp = Field(nullable=True)
    shipped_at: Timestamp = Field(nullable=True)

    @rule(name="shipped_at.after_order")
    def after_order(cls) -> pl.Expr:
        return pl.col("shipped_at") >= pl.col("ordered_at")


CONTRACTS: dict[str, type[Contract]] = {"all": Orders, "one": Shipped}


# -- the batch ---------------------------------------------------------------------------------------------------------


def orders(first: int, count: int, bad: float = 0.001, late: float = 0.0, broken: float = 0.0) -> pl.DataFrame:
    """Orders number `first` and following. bad: the share of rows whose quantity is too large, late: of those that were
    shipped before they were ordered, broken: of those that have every kind of defect."""
    number = pl.int_range(first, first + count)
    garbage = number.hash(seed=3) % 1000 < round(broken * 1000)
    early = number.hash(seed=4) % 1000 < round(late * 1000)

    def spoilt(kind: int, value: pl.Expr, by: pl.Expr) -> pl.Expr:
        return pl.when((number % 1000 == 10 * kind) | garbage).then(by).otherwise(value)

    def text(*parts: Any) -> pl.Expr:
        return pl.concat_str([pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts])

    def chosen(values: list[str]) -> pl.Expr:
        names = pl.lit(pl.Series(values))
        return names.gather(number.hash(seed=len(values)) % len(values))

    ordered = pl.lit(BEGIN).cast(pl.Datetime("us", "UTC")) + pl.duration(seconds=number % 20_000_000)
    null = pl.lit(None)
    return pl.select(
        order_id=text("O", spoilt(1, number, number - 1).cast(pl.String).str.zfill(9)),
        customer=spoilt(2, number.hash(seed=1) % 100_000 + 1, null).cast(pl.Int64) * spoilt(3, pl.lit(1), pl.lit(-1)),
        ordered_at=spoilt(4, ordered, null),
        shipped_at=spoilt(
            5, ordered + pl.duration(hours=pl.when(early).then(-1).otherwise(30)), ordered - pl.duration(hours=1)
        ),
        channel=spoilt(6, chosen(CHANNELS), pl.lit("fax")),
        state=spoilt(7, chosen(STATES), null),
        country=spoilt(8, chosen(["DE", "FR", "PT"]), pl.lit("Germany")),
        email=spoilt(9, text("someone", number % 50_000, "@example.com"), pl.lit("nobody")),
        quantity=pl.when((number.hash(seed=2) % 1000 < round(bad * 1000)) | garbage)
        .then(1000)
        .otherwise(number % 99 + 1),
        price=spoilt(10, (number % 100_000) / 11 + 0.01, pl.lit(-1.0)),
        discount=spoilt(11, (number % 90) / 100, pl.lit(1.5)),
        note=text("order ", number, " of the usual kind"),
    )


def make(folder: Path, rows: int, files: int, **shares: float) -> Path:
    """A folder of Parquet files with so many rows in all. Another process makes it: one that is started from a large process
    has its peak."""
    folder.mkdir()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for index in range(files):
            pool.submit(
                _make_file, folder / f"{index:03d}.parquet", 1 + index * (rows // files), rows // files, shares
            ).result()
    return folder


def _make_file(file: Path, first: int, rows: int, shares: Mapping[str, float]) -> None:
    orders(first, rows, **shares).write_parquet(file)


# -- the engines, each run in a process of its own ---------------------------------------------------------------------


def _scan(path: str) -> pl.LazyFrame:
    return pl.scan_parquet(f"{path}/*.parquet" if Path(path).is_dir() else path)


Batch = pl.DataFrame | pl.LazyFrame


def _assay(batch: Batch, contract: type[Contract]) -> int:
    return validate(batch, contract).quarantined.height


def _assay_with_counts(batch: Batch, contract: type[Contract]) -> int:
    outcome = validate(batch, contract)
    assert outcome.profile
    return outcome.quarantined.height


def _assay_with_clean(batch: Batch, contract: type[Contract]) -> int:
    outcome = validate(batch, contract)
    return outcome.report.rows_in - outcome.clean.height


def _assay_spilled(batch: Batch, contract: type[Contract]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        outcome = validate_spilled(batch, contract, folder)
        outcome.clean.sink_parquet(f"{folder}/clean.parquet")
        outcome.quarantined.sink_parquet(f"{folder}/quarantined.parquet")
        return outcome.report.rows_quarantined


def _pandera(batch: Batch, contract: type[Contract]) -> int:
    with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            contract.to_schema().validate(batch, lazy=True)
        except pa.errors.SchemaErrors as error:
            return error.failure_cases["index"].drop_nulls().n_unique()
    return 0


def _frame(path: str) -> pl.DataFrame:
    return _scan(path).collect()


#: name -> (how it is given the batch, what it does with it)
ENGINES: dict[str, tuple[Callable[[str], Any], Callable[[Any, type[Contract]], int]]] = {
    "assay, in memory": (_frame, _assay),
    "assay, in memory, counts too": (_frame, _assay_with_counts),
    "assay, in memory, clean rows too": (_frame, _assay_with_clean),
    "assay, scan": (_scan, _assay),
    "assay, spilled": (_scan, _assay_spilled),
    "Polars by hand, in memory": (_frame, lambda batch, contract: judged(batch, CHANNELS, STATES)),
    "Polars by hand, on disk, unjudged": (_scan, lambda batch, contract: moved(batch)),
    "pandera, in memory": (_frame, _pandera),
    "pandera, scan": (_scan, _pandera),
}


@dataclass(frozen=True)
class Peer:
    """An engine with an environment of its own. arguments: what its script is called with before the batches."""

    environment: str
    packages: Sequence[str]
    script: str
    arguments: Sequence[str] = ()


_DATAFRAMELY = ["dataframely", f"polars=={pl.__version__}"]
FRAMES = {
    f"dataframely, {name}": Peer("dataframely", _DATAFRAMELY, "contracts_dataframely.py", [argument])
    for name, argument in {"in memory": "in-memory", "scan": "scan"}.items()
}
# pandas 3 keeps texts as Arrow does, pandas 2 as Python objects.
EXPECTATIONS = {
    "Great Expectations, pandas 3": Peer("gx", ["great_expectations", "pandas>=3", "pyarrow"], "contracts_gx.py"),
    "Great Expectations, pandas 2": Peer("gx2", ["great_expectations", "pandas<3", "pyarrow"], "contracts_gx.py"),
}
PEERS = FRAMES | EXPECTATIONS


def report(batches: list[Any], run: Callable[[Any], int]) -> None:
    """Run it on each and print what one took as JSON."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = sum(map(run, batches))
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    each = {"cpu": cpu / len(batches), "s": seconds / len(batches), "rows": found / len(batches)}
    print(json.dumps({**each, "mb": after.ru_maxrss / 1024}))


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A batch, or a folder of batches that are validated in turn, and who validates it."""

    name: str
    path: Path
    engines: Sequence[str]
    in_turn: bool = False
    contract: str = "all"


def measured(case: Case, engine: str, times: int, peers: Path | None) -> dict[str, float] | None:
    """The medians of several runs; None if the engine failed."""
    if engine in PEERS and peers is not None:
        peer = PEERS[engine]
        batches = sorted(case.path.iterdir()) if case.in_turn else [case.path]
        contract = [case.contract] if peer.arguments else []
        command = [
            str(interpreter(peers, peer)),
            str(Path(__file__).with_name(peer.script)),
            *contract,
            *peer.arguments,
        ]
        command += map(str, batches)
    else:
        command = [sys.executable, "-m", "benchmarks.contracts", "--engine", engine, "--batch", str(case.path)]
        command += ["--contract", case.contract, *(["--in-turn"] if case.in_turn else [])]
    runs = []
    for _ in range(times):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{engine} failed on {case.name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def interpreter(peers: Path, peer: Peer) -> Path:
    """The interpreter of a peer's own environment."""
    python = peers / peer.environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(peers / peer.environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *peer.packages], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--large", type=int, default=0, metavar="ROWS", help="also our own engines on so many rows")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="folder for the environments of dataframely and Great Expectations")
    parser.add_argument("--folder", type=Path, help="where the batches are made (default: a temporary folder)")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--batch", help=argparse.SUPPRESS)
    parser.add_argument("--in-turn", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--contract", choices=CONTRACTS, default="all", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        read, run = ENGINES[given.engine]
        paths = sorted(Path(given.batch).iterdir()) if given.in_turn else [given.batch]
        report([read(str(path)) for path in paths], lambda batch: run(batch, CONTRACTS[given.contract]))
        return
    ours = [*ENGINES, *(FRAMES if given.peers else ())]
    everybody = [*ours, *(EXPECTATIONS if given.peers else ())]
    one_rule = [engine for engine in ours if "by hand" not in engine]  # that is the whole contract
    cores = f"{platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f})"
    print(
        f"{given.rows:,} rows × 12 columns, 16 rules; {cores}, Python {platform.python_version()}, medians of {given.times}\n"
    )
    print("| batch | engine | CPU s | s | peak MB | rows found |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        plain = make(folder / "plain", given.rows, 100)
        late = make(folder / "late", given.rows, 8, late=0.2)
        cases = [
            Case("0.1 % of each defect", plain, everybody),
            Case("one of 100 partitions, alone", plain / "050.parquet", ours),
            Case("100 partitions in turn, each", plain, ours, in_turn=True),
            Case("20 % fail a rule of one column", make(folder / "bad", given.rows, 8, bad=0.2), everybody),
            Case("20 % fail the rule across columns", late, everybody),
            Case("20 % fail it, and it is the only rule", late, one_rule, contract="one"),
            Case("20 % fail nearly every rule", make(folder / "broken", given.rows, 8, broken=0.2), everybody),
        ]
        if given.large:
            large = make(folder / "large", given.large, max(1, given.large // FILE_ROWS))
            cases.append(Case(f"{given.large:,} rows", large, ["assay, spilled"]))
        for case in cases:
            for engine in case.engines:
                if result := measured(case, engine, given.times, given.peers):
                    numbers = f"{result['cpu']:.3f} | {result['s']:.3f} | {result['mb']:,.0f} | {result['rows']:,.0f}"
                    print(f"| {case.name} | {engine} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
