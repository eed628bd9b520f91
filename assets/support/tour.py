"""`assay tour`: what there is to look at after the demo has run, with the addresses and commands to do it."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.text import Text

from assay.cli.output import bold, json_option, out, print_json, print_table
from assay.errors import AssayError
from assay.features.tables.kinds import Kind, own_name
from assay.store import Store, open_store

RULES_SHOWN = 5
TICKETS, PREDICTIONS = "raw/tickets", "predictions/router"
PAGES = (
    (
        "the pipeline, from files to predictions",
        "/assets/predictions/router?view=lineage&lineageScope=upstream&lineageDepth=9",
    ),
    ("rules of a contract, and what broke them", "/assets/clean/tickets?view=checks"),
    ("versions, counts and masked rows of a table", "/assets/clean/tickets?view=events"),
    ("every run, refused ones too", "/runs"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """A source in rows. `batches` are the days (or extracts) that are published."""

    source: str
    clean: int
    quarantined: int
    batches: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that was stopped. `healed_by` are the files whose rows are there now; none: it still waits."""

    table: str
    partition: str
    reason: str
    dagster_run: str | None
    healed_by: tuple[str, ...]


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI, for the addresses.")
@click.option("--console-port", default=3001, show_default=True, help="Port of the console, for the addresses.")
@json_option
def tour(port: int, console_port: int, as_json: bool) -> None:
    """Show what the demo has made, and where to look at it.

    \b
    Example:
      assay tour --port 3000
    """
    store = open_store()
    counted = list(_counted(store))
    if not counted:
        raise AssayError(
            f"There is nothing to show in {store.settings.lake_uri} yet: run `assay demo`, then `assay materialize`."
        )
    rules, refused, prediction = _rules(store), list(_refused(store)), _prediction(store)
    base = f"http://127.0.0.1:{port}"
    commands = _commands(store, prediction)
    if as_json:
        answer = {
            "sources": [asdict(item) for item in counted],
            "rules": dict(rules.most_common()),
            "refused": [asdict(item) for item in refused],
            "prediction": prediction,
            "pages": {what: base + path for what, path in PAGES},
            "commands": [command for _, command in commands],
        }
        print_json(answer)
        return
    rows = [(item.source, f"{item.clean:,}", f"{item.quarantined:,}", item.batches) for item in counted]
    print_table(("source", "clean", "quarantined", "batches"), rows, right=("clean", "quarantined", "batches"))
    broken = ", ".join(f"{rule} {count}" for rule, count in rules.most_common(RULES_SHOWN))
    _say(bold("\nRules that were broken most:"), broken or "none")
    _tell_refused(refused, base)
    _say(bold("\nIn the UI"), f"({base})")
    for what, path in PAGES:
        _say(f"  {what:<45}{base}{path}")
    if prediction is not None:
        _say(bold("\nIn the console"))
        path = f"http://127.0.0.1:{console_port}/trace/{prediction['prediction_id']}"
        _say(f"  {'that prediction, proved with a click':<45}{path}")
    _say(bold("\nFrom the shell"))
    for what, command in commands:
        _say(f"  {what:<45}{command}")


def _say(*texts: str | Text) -> None:
    # An address or a command must stay one line, or it cannot be copied.
    out.print(*texts, highlight=False, soft_wrap=True)


def _tell_refused(refused: list[Refused], base: str) -> None:
    if not refused:
        return
    _say(bold("\nBatches that were refused:"), "nothing of them was published, the rest went on")
    for item in refused:
        out.print(f"  {item.table} {item.partition}: {item.reason}", highlight=False, markup=False, soft_wrap=True)
        if item.dagster_run:
            _say(f"    the refused run: {base}/runs/{item.dagster_run}")
        _say(f"    healed by {', '.join(item.healed_by)}" if item.healed_by else "    waits for the corrected file")


def _counted(store: Store) -> Iterator[Counted]:
    names = store.lake.tables()
    for name in names:
        if Kind.CLEAN.holds(name):
            source, clean = own_name(name), store.table(name).at()
            aside = Kind.QUARANTINE.table(source)
            quarantined = store.table(aside).at().rows() if aside in names else 0
            yield Counted(source, clean.rows(), quarantined, len(clean.partitions()))


def _rules(store: Store) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in store.lake.tables():
        if Kind.QUARANTINE.holds(name):
            rows = store.table(name).at().scan().explode("_rules").group_by("_rules").len().collect()
            counts.update(dict(rows.drop_nulls("_rules").iter_rows()))
    return counts


def _refused(store: Store) -> Iterator[Refused]:
    """Each batch once, as it was refused last, in the order of the batches."""
    latest: dict[tuple[str, str], tuple[str, str | None]] = {}
    for run in store.lineage_store.runs():
        if run.state != "FAIL":
            continue
        facets: dict[str, Any] = store.lineage_store.events(run.id)[-1].data["run"]["facets"]
        error, _, reason = facets.get("errorMessage", {}).get("message", "").partition(": ")
        partition = next((tag["value"] for tag in facets["tags"]["tags"] if tag["key"] == "partition"), None)
        if error == "AuditFailed" and partition:
            latest[run.job, partition] = (reason, run.parent_id)
    names = set(store.lake.tables())
    for (table, partition), (reason, parent) in sorted(latest.items()):
        writers = store.table(table).at().writers([partition]) if table in names else []
        healed_by = tuple(item.path for commit in writers for item in commit.sources)
        yield Refused(table, partition, reason, parent, healed_by)


def _prediction(store: Store) -> dict[str, Any] | None:
    """The first prediction of the latest day."""
    if not store.table(PREDICTIONS).exists():
        return None
    state = store.table(PREDICTIONS).at()
    rows = state.scan(state.partitions()[-1:]).select("prediction_id", "intent", pl.col("confidence").round(3))
    return rows.sort("prediction_id").head(1).collect().row(0, named=True)


def _commands(store: Store, prediction: dict[str, Any] | None) -> list[tuple[str, str]]:
    # `make run` calls the command by its path; what is printed must work in the reader's shell.
    assay = "assay" if shutil.which("assay") else str(Path(sys.argv[0]))
    first = store.table(TICKETS).at().partitions()[0] if store.table(TICKETS).exists() else None
    commands = [("the tables and their versions", f"{assay} tables"), ("rows set aside", f"{assay} quarantine list")]
    if first is not None:
        commands.append(("what was made from one day's files", f"{assay} impact {TICKETS} --partition {first}"))
    if prediction is not None:
        traced = f"{assay} trace {prediction['prediction_id']}"
        commands += [
            ("from a prediction to its files", traced),
            ("the same, everything recomputed", f"{traced} --verify"),
            ("the delivered rows behind it", f"{traced} --rows"),
        ]
    return commands
