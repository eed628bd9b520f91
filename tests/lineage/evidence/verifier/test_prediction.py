"""The prediction's own row in a bundle, with the lake's own digests."""

from datetime import UTC

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.features.tables.digest import row_digests
from assay.lineage.evidence.verifier.prediction import row_digest

PLAIN = {
    "int": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "float": (pl.Float64, st.floats()),
    "bool": (pl.Boolean, st.booleans()),
    "string": (pl.String, st.text(max_size=8)),
    "date": (pl.Date, st.dates()),
    "timestamp": (pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "binary": (pl.Binary, st.binary(max_size=8)),
}


@given(st.data())
def test_row_digests_are_those_of_the_lake(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(PLAIN)), min_size=1, max_size=5))
    columns = {f"c{n}": (kind, data.draw(st.none() | PLAIN[kind][1])) for n, kind in enumerate(kinds)}
    frame = pl.DataFrame({name: pl.Series([value], dtype=PLAIN[kind][0]) for name, (kind, value) in columns.items()})
    plain = {
        name: (kind, frame[name].to_physical()[0] if kind in ("date", "timestamp") else value)
        for name, (kind, value) in columns.items()
    }
    plain |= {name: (kind, value.hex()) for name, (kind, value) in plain.items() if isinstance(value, bytes)}
    assert row_digest(plain).hex() == row_digests(frame)[0]
