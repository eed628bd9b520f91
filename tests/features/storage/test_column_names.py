"""Names that no table can hold are refused where they come in: a row of JSON lines, a file of others."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.sources.csv import read_csv
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.jsonl import read_jsonl
from assay.features.storage.column_names import RecordNames, first_unusable, unusable

UNUSABLE = ["a\0b", "\0", "*", "^.*$", "^order_id$"]
OTHERS = ["a,b;c", "a/b=c%.`{}", "..", "%00", "a\nb", "\x1b[31m", "\x7f", "^a", "a$", "a*", "$1", "\u202ex", "'\"#?:"]


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_csv_is_refused_by_the_position(name: str) -> None:
    with pytest.raises(DeliveryError, match=r"^x\.csv, line 1, column #2: this column has a ") as refused:
        read_csv("x.csv", f'id,"{name}",more\n1,2,3\n'.encode())
    assert "\0" not in str(refused.value)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_record_of_json_lines_is_a_defect(name: str) -> None:
    lines = [json.dumps(record) for record in ({"id": "1"}, {"id": "2", name: 1}, {"id": "3"})]
    frame = read_jsonl("x.jsonl", "\n".join(lines).encode())
    assert frame["id"].to_list() == ["1", None, "3"]
    assert frame["_defect"].to_list() == [None, "unparsable", None]


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_name_is_one(name: str) -> None:
    assert unusable(name) == ""
    assert read_jsonl("x.jsonl", json.dumps({name: "1"}).encode())[name].to_list() == ["1"]


def test_a_nested_field_may_have_a_nul() -> None:
    nested = pl.List(pl.Struct({"a\0b": pl.Int64}))
    assert first_unusable([("x", pl.Int64()), ("s", nested)]) == (2, "has a NUL in the name of a nested field")
    assert first_unusable([("x", pl.Int64()), ("s", pl.Struct({"*": pl.Int64}))]) is None


RECORDS = st.lists(st.dictionaries(st.sampled_from("aAbBcCdDe"), st.none() | st.just(1), max_size=4), max_size=12)


@given(RECORDS, st.integers(0, 6), st.sets(st.sampled_from("aBcX")))
def test_records_fit_as_far_as_their_names_do(records: list[dict[str, int | None]], most: int, there: set[str]) -> None:
    names = RecordNames(most, there, [("a", "e")])
    for record in records:
        names.take(record)
    together = [*names.names]

    def can_be(all_names: list[str]) -> bool:
        known = {name.lower(): name for name in there}
        alike = len({name.lower() for name in all_names}) < len(all_names)
        return not alike and len(all_names) <= most and all(known.get(n.lower(), n) == n for n in all_names)

    assert can_be(together)
    for record in records:
        twofold = record.get("a") is not None and record.get("e") is not None
        wanted = can_be([*dict.fromkeys([*together, *record])]) and not twofold
        assert names.fit(record) == wanted, "none is left out that fits beside those that were taken"
