"""Suggestions that somebody has decided about: they are not suggested again."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from assay.checks.suggesting.suggest import Suggestion
from assay.cli.suggestions.accept import contract_file
from assay.errors import AssayError
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.store import open_store

if TYPE_CHECKING:
    from assay.checks import Contract

_COMMENT = re.compile(r"\bsuggestion ([0-9a-f]{10})\)")


def accepted(
    cells: Sequence[Suggestion], table: str | None, contract: "type[Contract] | None", written: str | None
) -> frozenset[str]:
    """The ids of these suggestions of which a rule was made, as the comments in the contract's source say, or about whose rows
    people decided, applied or not.

    Args:
        cells: What is suggested.
        table: Of which table; None: of a file.
        contract: What judges it, if anything does.
        written: Where the contract is, as people wrote it.
    """
    by_rule = _of_rules(contract, written)
    decided = _decided(table) if table is not None else set[str]()
    return frozenset(cell.id for cell in cells if cell.id in by_rule or cell.source in decided)


def _of_rules(contract: "type[Contract] | None", written: str | None) -> set[str]:
    if contract is None:
        return set()
    try:
        return set(_COMMENT.findall(contract_file(contract, written).read_text(encoding="utf-8", errors="replace")))
    except (AssayError, OSError):  # a document, or a source that is not there: nobody could add a rule to it
        return set()


def _decided(table: str) -> set[str]:
    """The delivered rows of a source about which people decided, as suggestions name them."""
    if kind_of(table) not in (Kind.RAW, Kind.QUARANTINE):
        return set()
    decisions = open_store().table(Kind.RELEASES.table(own_name(table)))
    if not decisions.exists():
        return set()
    rows = decisions.scan().select(pl.format("{}:{}", pl.col("_source_sha256").str.head(12), "_row_number"))
    return set(rows.collect().to_series().to_list())
