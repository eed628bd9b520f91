"""The delivered records behind a prediction, as an evidence bundle shows them: where each lies, and salted digests."""

import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from assay.errors import AssayError
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake
from assay.lineage.evidence.missing import Missing, why
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.row_provenance import LINKS, SourceRow, not_followed, source_rows
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.commits import Logs


def rows_behind(lake: Lake, trace: Trace) -> tuple[list[SourceRow], list[Missing]]:
    """The rows, and why they are not all of them: a bundle that cannot say from which rows an answer was made is incomplete."""
    try:
        unknown = not_followed(lake, trace)
        return list(source_rows(lake, trace)), [Missing("rows.json", unknown)] if unknown else []
    except (AssayError, *UNREADABLE) as problem:
        return [], [Missing("rows.json", why(problem))]


def salt_of(
    lake: Lake, trace: Trace, data_file: bytes, rows: Iterable[SourceRow]
) -> tuple[bytes | None, list[Missing]]:
    kept = {item.sha256: item.kept for item in trace.files(lookups=True) if item.kept}
    state = hmac.new(b"assay.evidence/1", data_file, hashlib.sha256)
    for sha256 in sorted({row.sha256 for row in rows}):
        try:
            state.update(lake.storage.get(kept[sha256]))
        except (KeyError, AssayError):
            text = (
                f"the lake does not keep the delivered file {sha256[:12]}…, without which there are no salted digests"
            )
            return None, [Missing("rows.json", text, required=False)]
    return state.digest(), []


def salted(salt: bytes, digest: str) -> str:
    return hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest()


def digests_of_rows(
    lake: Lake, trace: Trace, logs: Logs, rows: Sequence[SourceRow], salt: bytes | None
) -> tuple[dict[SourceRow, dict[str, str]], list[Missing]]:
    """Per row the data files that hold it, of those read on the way to the prediction, with its salted digest."""
    by_row: dict[SourceRow, dict[str, str]] = {row: {} for row in rows}
    missing: list[Missing] = []
    for path in sorted(set(_data_files_behind(trace, logs, {row.table for row in rows}))) if salt else ():
        wanted = [row for row in rows if path.startswith(f"{row.table}/")]
        links = pl.DataFrame([(row.file, row.sha256, row.row_number) for row in wanted], schema=LINKS, orient="row")
        try:
            frame = pl.read_parquet(io.BytesIO(lake.storage.get(path)))
            frame = frame.join(links.cast({name: frame.schema[name] for name in LINKS}), on=LINKS, how="semi")
        except (AssayError, *UNREADABLE) as problem:
            missing.append(Missing(path, why(problem), required=False))
            continue
        digests = dict(zip(frame.select(LINKS).rows(), row_digests(frame), strict=True))
        for row in wanted:
            if (digest := digests.get((row.file, row.sha256, row.row_number))) is not None and salt:
                by_row[row][path] = salted(salt, digest)
    return by_row, missing


def _data_files_behind(trace: Trace, logs: Logs, tables: set[str]) -> Iterator[str]:
    """Data files of the tables, as they were read for the prediction itself, not for its model."""
    waiting, seen = [trace.root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or node.kind == "model":
            continue
        seen.add(id(node))
        waiting += node.inputs
        log = logs[node.table]
        if node.table in tables and log is not None:
            for item in (item for item in node.slices if item.snapshot.table_id == log.table_id):
                yield from (
                    f"{node.table}/{f.path}" for f in log.files(item.snapshot.version, item.partitions, item.excluded)
                )
