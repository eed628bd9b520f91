"""Where contracts and data are, as people write it on the command line."""

import importlib
import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.assets.project import find_project, place_of
from assay.assets.sources.csv_dialect import USUAL, Csv, dialect_seen
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import SUFFIXES, read_delivery
from assay.assets.sources.excel.declared import USUAL_EXCEL, Excel
from assay.assets.sources.file_names import suffix_of, uncompressed
from assay.checks import Contract, contract_info
from assay.checks.exchange.odcs_read import from_odcs
from assay.errors import AssayError
from assay.own_columns import is_link
from assay.store import open_store

#: How commands are given what a source declares of its files, by the fields of `Csv` and `Excel`; and what is only guessed.
_FORM = {"separator": "CHAR", "encoding": "NAME", "skip_lines": "N", "sheet": "NAME", "header_row": "N"}
_GUESSED = frozenset(("encoding",))
DOCUMENTS = (".yaml", ".yml", ".json")


def contract_at(place: str) -> type[Contract]:
    """The contract at package.module:Class, file.py:Class or file.odcs.yaml[:TABLE]. Raises AssayError if it is not there."""
    where, _, name = place.partition(":")
    if Path(where).suffix in DOCUMENTS:
        return from_odcs(_read(Path(where)), name or None)
    if not name:
        raise AssayError(f"{place!r} names no contract; write package.module:Class, file.py:Class or file.odcs.yaml")
    contract = getattr(_module(where), name, None)
    if contract is None:
        raise AssayError(f"{where} has no {name!r}; write {where}:Class with the name of its contract")
    contract_info(contract)
    return contract


def _module(where: str) -> Any:
    if where.endswith(".py"):
        _read(Path(where))
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None:
            raise AssayError(f"{where} is not a Python file; give one that declares a contract")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    _make_importable(where)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise AssayError(
            f"there is no module {error.name!r}; install its package, or give the path of its file"
        ) from None


def _make_importable(module: str) -> None:
    """The project's own packages need not be installed."""
    project = find_project()
    top = module.partition(".")[0]
    if project is not None and top in {domain.partition(".")[0] for domain in project.domains}:
        place_of(top, project.root)


@dataclass(frozen=True, slots=True)
class FileForm:
    """How a file is written, if it is CSV, and where its rows stand, if it is an Excel workbook."""

    csv: Csv = USUAL
    excel: Excel = USUAL_EXCEL


def frame_at(place: str, form: FileForm = FileForm()) -> pl.DataFrame:
    """The rows of a file, as its reader gives them, or of a table. Raises AssayError for a file that cannot be read, or seems to
    be written in another way."""
    file = Path(place)
    if not is_file(place):
        return open_store().table(place).scan().collect()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AssayError(f"{place} cannot be read ({error.strerror}); give a file or a table") from None
    try:
        frame = read_delivery(Delivery.of_bytes(place, content, ""), content, form.csv, excel=form.excel)
    except DeliveryError as error:
        raise _by_options(error) from None
    names = [name for name in frame.columns if not is_link(name)]
    if len(names) == 1 and (seen := dialect_seen(names[0], form.csv)) is not None:
        raise _by_options(DeliveryError(place, seen.what, seen.declare, declares=seen.declares))
    return frame


def _by_options(error: DeliveryError) -> AssayError:
    """The same with the options that say how a file is written, where a source would declare it."""
    options = [
        f"--{name.replace('_', '-')} {_FORM[name]}{f' (e.g. {value})' if value else ''}"
        if name in _GUESSED or not value
        else f"--{name.replace('_', '-')} {shlex.quote(value)}"
        for name, value in error.declares.items()
        if name in _FORM
    ]
    if not options:
        return error
    line = f", line {error.line}" if error.line else ""
    column = f", column {error.column}" if error.column else ""
    return AssayError(f"{error.path}{line}{column}: {error.problem}. Give {' '.join(options)}.")


def is_file(place: str) -> bool:
    """Whether a place is a file that a reader takes, by its suffix; else it is a table."""
    return uncompressed(suffix_of(place)) in SUFFIXES


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise AssayError(f"{file} cannot be read ({reason}); give another file") from None
