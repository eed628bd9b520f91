"""Lookups: columns of a table by its keys, whatever the time: vectors by a text's key, a country's region by its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from assay.errors import AssayError
from assay.features.serving.view_read import key_types
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.serving import Serving

_FOUND = "__found"


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Columns of a table, joined by the keys that its `serving` names. `outputs`: column → output name. `keys`: a key → the
    spine's column that is compared with it, where the two are called differently."""

    name: str
    serving: Serving
    frame: pl.LazyFrame
    outputs: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)


def look_up(rows: pl.DataFrame, lookup: Lookup, *, state: str | None = None) -> pl.DataFrame:
    """Add the columns of a lookup by its keys; null for a null or unknown key. Of several rows the first one serves.

    Args:
        rows: Rows with the key columns; text matches text, and integers match integers of any width.
        lookup: What to add.
        state: Also add a column of this name that holds `present` or `missing`.

    Raises:
        AssayError: If a key is missing or of another type, or a column of that name is there already.
    """
    outputs = [*lookup.outputs.values(), *([state] if state else [])]
    taken = [name for name in outputs if name in rows.columns]
    if taken:
        raise AssayError(
            f"{lookup.name} would give column {taken[0]!r}, which is there already: write '… as another_name'."
        )
    keys = lookup.serving.keys
    called = "what was asked for" if state else "the spine"
    types = key_types(lookup.name, lookup.serving, lookup.frame, rows.schema, lookup.keys, called=called)
    names = [f"__key{number}" for number in range(len(keys))]
    cast = [pl.col(key).cast(dtype).alias(name) for key, dtype, name in zip(keys, types, names, strict=True)]
    columns = [lookup.keys.get(key, key) for key in keys]
    asked = rows.select(
        pl.col(column).cast(dtype).alias(name) for column, dtype, name in zip(columns, types, names, strict=True)
    )
    ordered = [PARTITION] if PARTITION in lookup.frame.collect_schema() else []
    matches = (
        lookup.frame.select(*cast, *lookup.outputs, *ordered)
        .join(asked.drop_nulls().unique().lazy(), on=names, how="semi")
        .collect()
    )
    # A text computed twice (on two machines, say) has the same vector but for rounding; the first one serves always.
    matches = matches.sort(ordered, maintain_order=True) if ordered else matches
    matches = matches.unique(names, keep="first", maintain_order=True)
    renamed = matches.select(
        *names, *(pl.col(name).alias(output) for name, output in lookup.outputs.items()), pl.lit(True).alias(_FOUND)
    )
    values = asked.join(renamed, on=names, how="left", maintain_order="left")
    if state:
        present = pl.when(_FOUND).then(pl.lit("present")).otherwise(pl.lit("missing"))
        values = values.with_columns(present.alias(state))
    return pl.concat([rows, values.select(outputs)], how="horizontal")
