"""A list of affected predictions as a file: CSV, Parquet or JSON, written as it is found, so that its length costs no memory."""

import json
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from assay.errors import AssayError
from assay.lineage.affected.answer import SCHEMA, AffectedPredictions, Tick
from assay.lineage.predictions.outputs import EVENT_TIME

Batches = Iterator[pl.DataFrame]


def write_list(
    found: AffectedPredictions, path: Path, *, through_models: bool = False, tick: Tick | None = None
) -> int:
    """Write the list to a file whose suffix says how: `.csv`, `.parquet`, or `.json` (which also has the answer as a whole). A
    file that is there is replaced once the new one is complete.

    Returns:
        How many predictions it holds.

    Raises:
        AssayError: The suffix is another one, or the file cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise AssayError(f"{path.name!r} must end in {', '.join(_WRITERS)}: that says how the list is written.")
    batches = found.batches(through_models=through_models, tick=tick)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            part = Path(folder, "list")
            rows = writer(found, batches, part)
            part.replace(path)
    except OSError as problem:
        raise AssayError(f"{path} cannot be written: {problem.strerror or type(problem).__name__}.") from None
    return rows


def csv_chunks(batches: Batches) -> Iterator[bytes]:
    """The list as CSV, in pieces: a header, then a line for each prediction."""
    yield (",".join(SCHEMA) + "\n").encode()
    for rows in batches:
        buffer = BytesIO()
        rows.with_columns(_written_out()).write_csv(buffer, include_header=False)
        yield buffer.getvalue()


def json_chunks(found: AffectedPredictions, batches: Batches) -> Iterator[str]:
    """One JSON object, in pieces: `predictions`, a list of objects, and `impact`, the answer as a whole."""
    yield '{"predictions": ['
    first = True
    for rows in batches:
        yield "".join(("\n" if first and not place else ",\n") + line for place, line in enumerate(_objects(rows)))
        first = False
    yield f'\n], "impact": {json.dumps(found.to_dict())}}}\n'


def _objects(rows: pl.DataFrame) -> list[str]:
    """Each row as a JSON object; keys and answer, which are JSON already, go in as they are."""
    plain = [name for name in rows.columns if name not in ("keys", "answer")]
    texts = rows.with_columns(_written_out()).select(
        pl.concat_str(
            pl.struct(plain).struct.json_encode().str.strip_suffix("}"),
            pl.lit(', "keys": '),
            pl.col("keys"),
            pl.lit(', "answer": '),
            pl.col("answer"),
            pl.lit("}"),
        )
    )
    return texts.to_series().to_list()


def as_object(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the list with its keys and answer as objects instead of their text, and its time as text."""
    at = row[EVENT_TIME]
    return row | {
        EVENT_TIME: at if isinstance(at, str) or at is None else at.isoformat(),
        "keys": json.loads(row["keys"]),
        "answer": json.loads(row["answer"]),
    }


def _written_out() -> pl.Expr:
    return pl.col(EVENT_TIME).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _csv(_found: AffectedPredictions, batches: Batches, part: Path) -> int:
    with part.open("wb") as file:
        return _counted(batches, lambda given: _write(file, csv_chunks(given)))


def _json(found: AffectedPredictions, batches: Batches, part: Path) -> int:
    with part.open("wb") as file:
        return _counted(batches, lambda given: _write(file, (text.encode() for text in json_chunks(found, given))))


def _write(file: BinaryIO, chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        file.write(chunk)


def _counted(batches: Batches, write: Callable[[Batches], None]) -> int:
    count = 0

    def counting() -> Batches:
        nonlocal count
        for rows in batches:
            count += rows.height
            yield rows

    write(counting())
    return count


def _parquet(_found: AffectedPredictions, batches: Batches, part: Path) -> int:
    """Each batch on disk first: a Parquet file is not written row by row."""
    count, pieces = 0, []
    for number, rows in enumerate(batches):
        count += rows.height
        pieces.append(part.with_name(f"{number}.parquet"))
        rows.write_parquet(pieces[-1], compression="zstd")
    if pieces:
        pl.scan_parquet(pieces, glob=False).sink_parquet(part, compression="zstd")
    else:
        pl.DataFrame(schema=SCHEMA).write_parquet(part)
    return count


_WRITERS: dict[str, Callable[[AffectedPredictions, Batches, Path], int]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
}
