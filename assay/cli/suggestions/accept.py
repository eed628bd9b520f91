"""A suggestion that is accepted: a correction of a row in quarantine, else a rule in the contract's source."""

import difflib
import io
import sys
import tokenize
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click
import polars as pl

from assay.checks.exchange.edit_source import one_line, with_argument, with_method
from assay.checks.suggesting.rule_proposal import RuleProposal, rule_proposal
from assay.checks.suggesting.suggest import Suggestion, personal_classes
from assay.cli.output import out, print_json
from assay.cli.places import DOCUMENTS
from assay.errors import AssayError, plural
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.store import open_store

if TYPE_CHECKING:
    from assay.checks import Contract


def correct(place: str, cell: Suggestion, value: str | None, reason: str, by: str, yes: bool, as_json: bool) -> int:
    """Release the row from quarantine with another value in the cell, by the same decision as `assay quarantine release`."""
    from assay.assets.decisions.review import Decision
    from assay.cli.quarantine import decide_and_tell

    chosen = cell.expected if value is None else value
    if chosen is None:
        raise AssayError(f"{cell.column}: which value belongs there is not known; give it with --set.")
    decision = Decision("release", reason, by, {cell.column: chosen or None})
    return decide_and_tell(own_name(place), None, None, (str(cell.source),), decision, yes, as_json)


def is_in_quarantine(place: str, cell: Suggestion) -> bool:
    """Whether the row of a suggestion waits in quarantine for a decision."""
    from assay.assets.decisions.review import with_status

    table = Kind.QUARANTINE.table(own_name(place))
    if kind_of(place) not in (Kind.RAW, Kind.QUARANTINE) or cell.source is None:
        return False
    store = open_store()
    if table not in store.lake.tables(Kind.QUARANTINE.folder):
        return False
    sha, _, number = cell.source.rpartition(":")
    rows = with_status(store.table(table).at().scan()).filter(
        pl.col("_source_sha256").str.starts_with(sha),
        pl.col("_row_number") == int(number),
        ~pl.col("_status").is_in(["released", "rejected"]),
    )
    return bool(rows.select(pl.len()).collect().item())


def add_rule(
    rows: pl.DataFrame,
    contract: "type[Contract] | None",
    written: str | None,
    cell: Suggestion,
    reason: str,
    by: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Print the change of the contract's file, and with `yes` make it. Without a contract print the line to add.
    `written`: where the contract is, as people wrote it."""
    proposal = rule_proposal(rows, contract, cell, personal_classes(rows, contract))
    comment = one_line(f"{proposal.name}: {reason} ({by}, suggestion {cell.id})")
    file = None if contract is None else contract_file(contract, written)
    before, after = "", ""
    if contract is not None and file is not None:
        before, encoding = _read(file)
        try:
            after = _edited(before, contract, proposal, comment)
        except AssayError:
            # The rule is part of the answer. It may quote values, so it is never part of the error.
            if not as_json:
                click.echo("\n".join([f"    # {comment}", *_line(proposal)]))
            raise
        if yes:
            _write(file, after, encoding, contract)
    old, new = (list(io.StringIO(source, newline="")) for source in (before, after))
    difference = "".join(difflib.unified_diff(old, new, str(file), str(file), n=1))
    if as_json:
        print_json(
            {
                "rule": proposal.name,
                "argument": proposal.argument,
                "method": list(proposal.method),
                "breaks": proposal.breaks,
                "file": None if file is None else str(file),
                "written": file is not None and yes,
                "difference": difference,
            }
        )
        return 0
    if file is None:
        click.echo("\n".join([f"    # {comment}", *_line(proposal)]))
    else:
        click.echo(difference, nl=False)
    out.print(f"{plural(proposal.breaks, 'row')} of {rows.height:,} would break {proposal.name}.", markup=False)
    if file is None:
        out.print("Add it to the contract; with --contract FILE.py:CLASS it is put there.")
    else:
        out.print(f"Written: {file}" if yes else "Nothing was changed: add --yes to write it.", soft_wrap=True)
        if yes:
            out.print(
                "Next: raise the contract's version; `assay materialize` then judges the batches by it, old ones too.",
                soft_wrap=True,
                highlight=False,
            )
    return 0


def _line(proposal: RuleProposal) -> tuple[str, ...]:
    return proposal.method or (f"    {one_line(proposal.column)}: … = Field(…, {proposal.argument})",)


def _edited(source: str, contract: "type[Contract]", proposal: RuleProposal, comment: str) -> str:
    name = contract.__name__
    if proposal.argument is not None:
        return with_argument(source, name, proposal.column, proposal.argument, comment)
    return with_method(source, name, proposal.method, comment)


def _read(file: Path) -> tuple[str, str]:
    """The source and its encoding, with the line ends that it has."""
    data = file.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except (SyntaxError, UnicodeDecodeError):
        raise AssayError(f"{file} is not in the encoding of a Python file. Save it as UTF-8.") from None


def _write(file: Path, source: str, encoding: str, contract: "type[Contract]") -> None:
    try:
        data = source.encode(encoding)
    except UnicodeEncodeError:
        raise AssayError(
            f"{file} is written in {encoding}, which lacks a letter of the rule. Save it as UTF-8."
        ) from None
    _require_valid(data, file, contract)
    file.write_bytes(data)


def _require_valid(data: bytes, file: Path, contract: "type[Contract]") -> None:
    """What is written is a contract still: the rule may contradict another one. The file is run as whoever imports it runs it,
    so never for a preview."""
    from assay.checks import contract_info

    module = ModuleType(f"{file.stem}_with_rule")
    imported = sys.modules.get(contract.__module__)
    module.__file__, module.__package__ = str(file), None if imported is None else imported.__package__
    # Annotations that are texts are looked up in the module by its name.
    sys.modules[module.__name__] = module
    try:
        exec(compile(data, str(file), "exec"), module.__dict__)
        contract_info(getattr(module, contract.__name__))
    except AssayError:
        raise
    except Exception as error:
        # The message may quote values of the rule, so it is not repeated.
        raise AssayError(
            f"{file} could not be imported with the rule ({type(error).__name__}), so it was not written. Add it by hand."
        ) from None
    finally:
        del sys.modules[module.__name__]


def contract_file(contract: "type[Contract]", written: str | None) -> Path:
    """The Python file of a contract: the one that was named, else that of its module."""
    named = (written or "").partition(":")[0]
    module = sys.modules.get(contract.__module__)
    file = named if named.endswith(".py") else getattr(module, "__file__", None)
    if file is None or named.endswith(DOCUMENTS):
        raise AssayError(
            f"The contract {contract.__name__} was not read from a Python file: `assay contract import` writes one."
        )
    return Path(file)
