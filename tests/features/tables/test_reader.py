import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.reader import Reader


def test_every_table_is_one_version_and_what_was_read_is_noted(lake: Lake, write) -> None:
    write(lake, "clean/t", pl.DataFrame({"a": [1]}), "d1")
    reader = Reader(lake)
    assert reader.read("clean/t", ["d1"]).collect()["a"].to_list() == [1]
    write(lake, "clean/t", pl.DataFrame({"a": [2]}), "d1")
    assert reader.read("clean/t").collect()["a"].to_list() == [1]
    reader.read("clean/t", lookup=True)
    reader.read("clean/t", ["d1"])
    state = lake.table("clean/t").at(1)
    assert reader.reads == (state.slice(["d1"]), state.slice(), state.slice(lookup=True))
    assert reader.versions == {"clean/t": 1}
    with pytest.raises(AssayError, match="already read at version 1"):
        reader.read("clean/t", version=2)


def test_that_a_table_was_not_there_is_noted_too(lake: Lake) -> None:
    reader = Reader(lake)
    with pytest.raises(TableMissing):
        reader.read("clean/t")
    assert reader.absent == {"clean/t"} and reader.reads == ()
