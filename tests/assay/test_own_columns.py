"""No upstream's column is taken for one of ours, whatever its name, reader or case."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay.assets.databases.sql import read_changes
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.dispatch import delivery_blocks
from assay.checks import draft_contract, validate
from assay.own_columns import OWN_COLUMNS, delivered_name, delivered_names, is_link, upstream_name

NAMES = st.one_of(
    st.text(max_size=12),
    st.builds(
        lambda dashes, name, change: "_" * dashes + change(name.lstrip("_")),
        st.integers(0, 4),
        st.sampled_from(sorted(OWN_COLUMNS)),
        st.sampled_from([str, str.upper, str.title]),
    ),
)
READERS = ("_row_number", "_defect", "_line")


@given(st.lists(NAMES, unique=True))
def test_names_stay_apart_from_ours_and_from_each_other(names: list[str]) -> None:
    kept = delivered_names(names)
    assert len(set(kept)) == len(names)
    assert not {name.lower() for name in kept} & OWN_COLUMNS
    for name, new in zip(names, kept, strict=True):
        assert new in (name, f"_{name}")
        assert not is_link(new)
        assert upstream_name(new) == name


def test_other_names_stay_as_they_are() -> None:
    for name in ("_id", "_email", "status", "row_number", "_statuses", "rules", "Line", "_partition", "self"):
        assert delivered_name(name) == name
    assert delivered_name("Partition_Key") == "_Partition_Key"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_reader_keeps_an_upstreams_columns_apart(suffix: str, tmp_path: Path) -> None:
    names = [*sorted(OWN_COLUMNS), "_id", "__status", "_Rules2"]
    frame = pl.DataFrame({name: [f"upstream {name}"] for name in names})
    file = tmp_path / f"a{suffix}"
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[suffix](file)
    read = pl.concat(delivery_blocks(Delivery.of_bytes(file.name, file.read_bytes(), "d")))
    ours = [name for name in read.columns if is_link(name)]
    assert {*ours} - {"_json"} == {*READERS}
    assert {name: read[delivered_name(name)].item() for name in names} == {name: f"upstream {name}" for name in names}


def test_a_database_and_a_frame_too(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id TEXT, at TIMESTAMP, _status TEXT, _row_number TEXT)"))
        connection.execute(sa.text("INSERT INTO t VALUES ('a', '2026-09-01T00:00:00Z', 'released', 'seven')"))
    engine.dispose()
    read = read_changes(f"sqlite:///{tmp_path / 'a.db'}", "t", "at", "id")
    assert read.select("__status", "__row_number", "_row_number").rows() == [("released", "seven", 1)]


def test_an_upstreams_status_decides_nothing(tmp_path: Path) -> None:
    class Amounts(assay.Contract):
        id: str = assay.Field(key=True)
        at: assay.Timestamp = assay.Field()
        amount: float = assay.Field()

        class Config(assay.Contract.Config):
            version, owner = "1.0.0", "shop"

    source = assay.Source(
        "amounts",
        assay.Files("amounts/{day}/*", (".csv",)),
        Amounts,
        ("id",),
        "at",
        partitioning=assay.Partitioning.daily("2026-09-01"),
    )
    from assay.assets.ingestion import ingest

    env = assay.open(lake=str(tmp_path / "lake"), home=str(tmp_path)).env()
    file = tmp_path / "x.csv"
    file.write_text(
        "id,at,amount,_status,_contract,_rules,_decision_id,_email\n"
        "a,2026-09-24T09:00:00Z,1,released,c1,r1,d1,jo@example.com\n"
        "b,2026-09-24T09:00:00Z,oops,released,c1,r1,d1,al@example.com\n"
    )
    done = ingest(source, env, file, "2026-09-24")
    assert (done.rows_in, done.rows_clean, done.rows_quarantined) == (2, 1, 1)
    clean = env.lake.table("clean/amounts").scan().collect()
    assert set(clean.columns) - OWN_COLUMNS == {"id", "at", "amount"}
    assert clean["at"].to_list() == [datetime(2026, 9, 24, 9, tzinfo=UTC)]
    (row,) = env.lake.table("quarantine/amounts").scan().collect().to_dicts()
    assert (row["_status"], row["_contract"], row["_rules"], row["_decision_id"]) == (
        "held",
        "1.0.0",
        ["amount.dtype"],
        None,
    )
    assert (row["__status"], row["__contract"], row["__rules"], row["__decision_id"]) == ("released", "c1", "r1", "d1")


def test_a_draft_declares_what_it_has_seen_under_its_own_name() -> None:
    frame = pl.DataFrame(
        {"_id": [f"K{n}" for n in range(60)], "__status": ["open", "done"] * 30, "plain": list(range(60))}
    )
    module: dict[str, Any] = {}
    exec(draft_contract(frame, "things"), module)
    outcome = validate(frame, module["Things"])
    assert outcome.clean.columns == ["_id", "__status", "plain"]
    assert validate(frame[:1].vstack(frame[:1]), module["Things"]).quarantined["_rules"].to_list() == [["_id.unique"]]
