import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.storage.snapshot import Slice
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.reader import Reader
from assay.features.tables.table_log import read_log


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


def test_all_but_some_partitions_is_one_read_whatever_the_table_holds(lake: Lake, write) -> None:
    for day in ("d1", "d2", "d3"):
        write(lake, "clean/t", pl.DataFrame({"a": [int(day[1])]}), day)
    reader = Reader(lake)
    assert sorted(reader.read("clean/t", excluded=["d2"], lookup=True).collect()["a"]) == [1, 3]
    assert sorted(reader.read("clean/t", excluded=["d2", "d2"]).collect()["a"]) == [1, 3]
    looked_up, read = reader.reads
    assert (looked_up.partitions, looked_up.excluded, looked_up.digest) == (None, ("d2",), "")
    state = lake.table("clean/t").at()
    assert read.digest == state.slice(["d1", "d3"]).digest and Slice.from_dict(read.to_dict()) == read
    assert looked_up.to_dict()["except"] == ["d2"] and "except" not in state.slice(["d1"]).to_dict()
    assert [(read.holds("d1"), read.holds("d2")), (looked_up.holds(None), state.slice(["d1"]).holds(None))] == [
        (True, False),
        (True, False),
    ]
    assert [commit.partition for commit in state.writers(None, ["d2"])] == ["d1", "d3"]
    log = read_log(lake, "clean/t")
    assert log is not None and log.digest(read) == read.digest
    assert [commit.partition for commit in log.writers(state.version, None, ["d2"])] == ["d1", "d3"]
    with pytest.raises(AssayError, match="not both"):
        reader.read("clean/t", ["d1"], excluded=["d2"])
