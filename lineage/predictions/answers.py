"""What a model answered, as a digest that a commit carries: the answer of one row can be proved without the others.

The Merkle tree of a commit (see `assay.lineage.predictions.merkle`) has a leaf per row that it wrote, sorted by id. Its entry is
the digest of the row's id, outputs and confidence, 32 bytes, in the form of `assay.features.tables.digest`.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from assay.errors import AssayError
from assay.features.storage.parquet_files import in_stored_form, stored_type
from assay.features.tables.digest import row_digests
from assay.lineage.predictions import merkle
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.predictions.outputs import CONFIDENCE


def answer_columns(schema: Mapping[str, pl.DataType], outputs: Sequence[str]) -> list[str]:
    """The columns that the digest of an answer covers, sorted: id, outputs and confidence, but for types without a canonical
    form."""
    return sorted(name for name in {ID, *outputs, CONFIDENCE} if name in schema and _has_form(schema[name]))


def answer_leaves(rows: pl.DataFrame, columns: Sequence[str]) -> list[bytes]:
    """The leaf of each row, sorted by id.

    Args:
        rows: What a commit wrote.
        columns: As `answer_columns` gives them, the id among them.
    """
    stored = rows.sort(ID).with_columns(in_stored_form(rows.schema))
    return [merkle.leaf(bytes.fromhex(digest)) for digest in row_digests(stored, columns)]


def _has_form(dtype: pl.DataType) -> bool:
    try:
        row_digests(pl.DataFrame(schema={"value": stored_type(dtype) or dtype}))
    except AssayError:
        return False
    return True
