"""Rows that were written again count once: of two deliveries of a day that share a file, and of versions of a table."""

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.table_index import Write
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.origin import Origin
from assay.lineage.tracing.impact import impact, replaced


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans()), max_size=12), st.data())
def test_of_some_versions_those_are_replaced_whose_rows_a_later_one_of_them_wrote(
    made: list[tuple[str, bool]], data: Any
) -> None:
    """`made`: a partition, and whether it is appended to."""
    live: dict[str, list[int]] = {}
    until: dict[int, int] = {}
    for version, (partition, appends) in enumerate(made, start=1):
        for gone in () if appends else live.pop(partition, []):
            until[gone] = version
        live.setdefault(partition, []).append(version)
    some = data.draw(st.sets(st.sampled_from(range(1, len(made) + 1)))) if made else set()
    writes = {v: Write(made[v - 1][0], None, 1, until.get(v)) for v in some}
    later = {v: {w for w in some if w > v and made[w - 1][0] == made[v - 1][0]} for v in some}
    assert replaced(writes) == {v for v in some if v in until and any(w >= until[v] for w in later[v])}


def test_a_file_of_two_deliveries_of_a_day_counts_once(tmp_path: Any) -> None:
    lake = open_lake(tmp_path)
    files = [SourceFile(f"t/{name}.csv", sha * 64, 1, 2) for name, sha in (("a", "a"), ("b", "b"))]
    for count in (1, 2):
        with transaction(lake, NullRecorder(), Work("raw/t", "2026-03-01", params={"n": count})) as tx:
            tx.sources += files[:count]
            links = [(file.sha256, number) for file in files[:count] for number in (1, 2)]
            schema = {"_source_sha256": pl.String, "_row_number": pl.Int64}
            tx.write("raw/t", pl.DataFrame(links, schema=schema, orient="row"))
        with transaction(lake, NullRecorder(), Work("clean/t", "2026-03-01", params={"n": count})) as tx:
            tx.write("clean/t", tx.read("raw/t").collect().drop("partition_key"))
    found = affected_predictions(lake, Origin("t/a.csv"))
    counts = {
        item["table"]: (item["rows"], item["written"], item["versions"], item["in_use"]) for item in found.tables()
    }
    assert counts == {"raw/t": (2, 4, 2, 1), "clean/t": (2, 4, 2, 1)}
    assert [file.versions for file in found.files] == [(1, 2)]
    (clean,) = impact(lake, "raw/t").affected
    assert (clean.rows, clean.rewritten, clean.live) == (6, 2, 1)
    assert "4 rows in 2 versions, which wrote 6" in str(impact(lake, "raw/t"))
