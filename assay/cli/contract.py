"""`assay contract`: draft a contract from data, compare two versions, exchange contracts as ODCS, check a delivery."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import click
import polars as pl

from assay.checks import Contract, contract_info
from assay.checks.compare import compare
from assay.checks.draft import source_of
from assay.checks.facts import facts
from assay.checks.odcs import document, from_odcs, to_odcs
from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import AssayError
from assay.store import open_store

DOCUMENTS = (".yaml", ".yml", ".json")
EXIT_BREAKING = 1

out_option = click.option(
    "--out", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write to this new file instead."
)


@click.group()
def contract() -> None:
    """Contracts: drafted from data, compared with each other, exchanged as ODCS.

    A CONTRACT is written package.module:Class, path/to/file.py:Class, or file.odcs.yaml (file.odcs.yaml:TABLE).
    """


@contract.command()
@click.argument("source", metavar="FILE|TABLE")
@click.option("--name", help="What the contract is called (default: like the file or table).")
@out_option
@json_option
def draft(source: str, name: str | None, target: Path | None, as_json: bool) -> None:
    """Draft a contract from a file (.csv, .jsonl, .parquet) or a table: Python source with the evidence in comments.

    \b
    Examples:
      assay contract draft landing/tickets/2026-09-01/tickets-am.csv --out tickets.py
      assay contract draft raw/tickets
    """
    found = facts(frame_at(source))
    text = source_of(found, name or Path(source).name)
    if as_json:
        key, rows = list(found.key), {"rows": found.rows, "defective": found.defective}
        print_json({**rows, "key": key, "columns": [column.name for column in found.columns], "source": text})
    else:
        _give(text, target)


@contract.command()
@click.argument("old")
@click.argument("new")
@click.option("--for", "side", type=click.Choice(["readers", "suppliers"]), help="Only what breaks this side breaks.")
@json_option
def diff(old: str, new: str, side: str | None, as_json: bool) -> int:
    """Compare two contracts: what changed, whom it breaks (readers, suppliers) and why. Exit code 1: it breaks someone.

    \b
    Examples:
      assay contract diff old/tickets.py:Tickets assay.assets.support.tickets:Tickets
      assay contract diff tickets-1.odcs.yaml tickets-2.odcs.yaml --for readers
    """
    changes = compare(contract_at(old), contract_at(new))
    breaking = any(change.breaking if side is None else side in change.breaks for change in changes)
    verdict = "breaking" if breaking else "compatible"
    if as_json:
        rows = [
            {"kind": change.kind, "where": change.where, "breaks": list(change.breaks), "reason": change.reason}
            for change in changes
        ]
        print_json({"verdict": verdict, "changes": rows})
    else:
        if changes:
            rows = [(c.kind, c.where, " and ".join(c.breaks) or "nobody", c.reason) for c in changes]
            print_table(("change", "where", "breaks", "why"), rows)
        out.print(verdict if changes else "compatible: nothing changed")
    return EXIT_BREAKING if breaking else 0


@contract.command()
@click.argument("contract_", metavar="CONTRACT")
@out_option
@json_option
def export(contract_: str, target: Path | None, as_json: bool) -> None:
    """Write CONTRACT as an ODCS 3.1 document (YAML; with --json the same as JSON).

    \b
    Example:
      assay contract export assay.assets.support.tickets:Tickets --out tickets.odcs.yaml
    """
    chosen = contract_at(contract_)
    if as_json:
        print_json(document(chosen))
    else:
        _give(to_odcs(chosen), target)


def contract_at(place: str) -> type[Contract]:
    """The contract at package.module:Class, file.py:Class or file.odcs.yaml[:TABLE]. Raises AssayError if it is not there."""
    where, _, name = place.partition(":")
    if Path(where).suffix in DOCUMENTS:
        return from_odcs(_read(Path(where)), name or None)
    if not name:
        raise AssayError(f"{place!r} names no contract; write package.module:Class, file.py:Class or file.odcs.yaml")
    found = getattr(_module(where), name, None)
    if found is None:
        raise AssayError(f"{where} has no {name!r}; write {where}:Class with the name of its contract")
    contract_info(found)
    return found


def _module(where: str) -> Any:
    if where.endswith(".py"):
        _read(Path(where))
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None:
            raise AssayError(f"{where} is not a Python file; give one that declares a contract")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise AssayError(
            f"there is no module {error.name!r}; install its package, or give the path of its file"
        ) from None


def frame_at(place: str) -> pl.DataFrame:
    """The rows of a file, as its reader gives them, or of a table. Raises AssayError for a file that cannot be read."""
    from assay.assets.readers.dispatch import READERS

    file = Path(place)
    if file.suffix not in READERS:
        return open_store().table(place).scan().collect()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AssayError(f"{place} cannot be read ({error.strerror}); give a file or a table") from None
    return READERS[file.suffix](place, content)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise AssayError(f"{file} cannot be read ({reason}); give another file") from None


def _give(text: str, target: Path | None) -> None:
    """Print a text, or write it to a file that is not there yet."""
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise AssayError(f"{target} cannot be written ({error.strerror}); choose another file") from None
    out.print(f"Written: {target}", soft_wrap=True)
