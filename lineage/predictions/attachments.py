"""Attachments of a prediction besides its outputs: an explanation, the version of the prompt, and the hits of a search.

They are columns of the frame that is logged: `explanation` and `prompt_version` are texts, `retrieval` is what a search
found for the row and in which snapshot. Rows without one, and rows logged before there were any, have null there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.snapshot import Slice, Snapshot

EXPLANATION, PROMPT, RETRIEVAL = "explanation", "prompt_version", "retrieval"
IDENTITY = pl.Struct({"table": pl.String, "table_id": pl.String, "version": pl.Int64, "commit_sha256": pl.String})
HITS = pl.List(pl.Struct({"key": pl.String, "rank": pl.Int64, "score": pl.Float64}))
_TYPES: dict[str, pl.DataType] = {
    EXPLANATION: pl.String(),
    PROMPT: pl.String(),
    RETRIEVAL: pl.Struct({"snapshot": IDENTITY, "hits": HITS}),
}
COLUMNS = tuple(_TYPES)
_FORMS = {
    EXPLANATION: "text",
    PROMPT: "text",
    RETRIEVAL: "a `snapshot` and its `hits`; make the column by assay.lineage.predictions.attachments.retrieval(snapshot, hits)",
}
_LISTED = 8  # hits named in words; `to_dict` has them all


def identity(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as a row records it: all but its address, which may change."""
    return {name: value for name, value in snapshot.to_dict().items() if name != "uri"}


def retrieval(searched: Snapshot | Slice, hits: Sequence[Sequence[tuple[str, float | None]] | None]) -> pl.Series:
    """A column `retrieval` for `log_predictions`: what a search found for each prediction.

    >>> frame.with_columns(retrieval(store.snapshot("search/answers"), [[("a-17", 0.91), ("a-3", 0.4)]]))  # doctest: +SKIP

    Args:
        searched: The snapshot that was searched.
        hits: Per row the (key, score), the best first; an empty list where nothing was found, None where nothing was
            searched.
    """
    snapshot = identity(searched.snapshot if isinstance(searched, Slice) else searched)
    rows = [
        None
        if hit is None
        else {
            "snapshot": snapshot,
            "hits": [{"key": key, "rank": rank, "score": score} for rank, (key, score) in enumerate(hit, 1)],
        }
        for hit in hits
    ]
    return pl.Series(RETRIEVAL, rows, dtype=_TYPES[RETRIEVAL])


def checked(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The frame with its attachments typed as they are stored. Raises AssayError, naming column and rows in counts."""
    for name, dtype in _TYPES.items():
        if name in frame.columns and frame.schema[name] != dtype:
            frame = frame.with_columns(_cast(frame[name], dtype, where))
    if RETRIEVAL in frame.columns:
        _check_retrieval(frame[RETRIEVAL].drop_nulls(), where)
    return frame


def _cast(column: pl.Series, dtype: pl.DataType, where: str) -> pl.Series:
    """Other widths of numbers are as good, and so is a column of nulls; other fields are not."""
    try:
        if dtype != pl.String or column.dtype in (pl.Null, pl.Categorical, pl.Enum):
            return column.cast(dtype)
    except pl.exceptions.PolarsError:
        pass  # its text may quote cells
    raise AssayError(f"{where}: column {column.name!r} is not {_FORMS[column.name]}.") from None


def _check_retrieval(rows: pl.Series, where: str) -> None:
    snapshots, hits = rows.struct.field("snapshot"), rows.struct.field("hits")
    sources = pl.DataFrame({name: snapshots.struct.field(name) for name in snapshots.struct.fields})
    entries = hits.filter(hits.list.len() > 0).explode()
    keys, scores = entries.struct.field("key"), entries.struct.field("score")
    ranks = hits.list.eval(pl.element().struct.field("rank"))
    inorder = ranks.list.eval(pl.element().eq_missing(pl.int_range(1, pl.len() + 1))).list.all()
    problems = {
        "rows name no whole snapshot": sources.select(pl.any_horizontal(pl.all().is_null()).sum()).item(),
        "rows have no list of hits (an empty one where the search found nothing)": hits.null_count(),
        "hits have no key": keys.null_count(),
        "hits have a score that is no finite number": (~scores.is_finite()).sum(),
        "rows have hits that are not ranked 1, 2, 3 … in their order": (~inorder).sum(),
    }
    for problem, count in problems.items():
        if count:
            raise AssayError(f"{where}: column {RETRIEVAL!r}: {count} {problem}.")


def searched(frame: pl.DataFrame) -> list[Snapshot]:
    """The snapshots that the frame's retrievals searched, each once."""
    if frame.schema.get(RETRIEVAL) != _TYPES[RETRIEVAL]:
        return []
    named = frame[RETRIEVAL].drop_nulls().struct.field("snapshot").unique(maintain_order=True)
    return [Snapshot.from_dict(item) for item in named.to_list()]


def in_words(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The attachments of one row in words: name and text of those that are there."""
    lines: list[tuple[str, str]] = [
        (name.replace("_", " "), str(row[name])) for name in (PROMPT, EXPLANATION) if row.get(name) is not None
    ]
    item = row.get(RETRIEVAL)
    if isinstance(item, Mapping) and {"snapshot", "hits"} <= set(item):
        snapshot, hits = item["snapshot"], item["hits"]
        listed = ", ".join(_hit(hit) for hit in hits[:_LISTED]) + (
            f", … {len(hits) - _LISTED} more" * (len(hits) > _LISTED)
        )
        count = "1 hit" if len(hits) == 1 else f"{len(hits)} hits"
        lines.append((RETRIEVAL, f"{count} in {snapshot['table']}@{snapshot['version']}{': ' * bool(hits)}{listed}"))
    return lines


def _hit(hit: Mapping[str, Any]) -> str:
    return f"{hit['rank']}. {hit['key']}" + ("" if hit["score"] is None else f" ({hit['score']:.4g})")
