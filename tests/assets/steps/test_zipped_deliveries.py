"""Each file in a zip is judged like a file of its own in the folder: by its own columns, dialect and types."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay import Contract, Csv, Field, Files, Partitioning, Source
from assay.assets import Delivery, Part, SourceReader
from assay.assets.sources import dispatch
from assay.assets.steps.clean import clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute
from assay.features import AuditFailed

DAY = "2026-03-01"
HEAD = "alarm_id,turbine,raised_at"


class Alarms(Contract):
    alarm_id: str = Field(key=True)
    turbine: str
    raised_at: assay.Timestamp
    code: int = Field(ge=0, nullable=True)


ALARMS = Source(
    name="alarms",
    reader=Files("alarms/{day}/*", (".csv", ".parquet", ".zip")),
    partitioning=Partitioning.daily(DAY),
    contract=Alarms,
    key=("alarm_id",),
    event_time="raised_at",
)


@pytest.fixture(params=["memory", "disk"])
def env(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resources]:
    store = assay.open(home=tmp_path, actor="kim")
    made = store.env()
    if request.param == "disk":  # read in blocks, and where it lies
        made = replace(made, settings=made.settings.model_copy(update={"in_memory_mb": 0}))
        monkeypatch.setattr(dispatch, "SMALL", 0)
        monkeypatch.setattr(dispatch, "SMALL_CONTENT", 0)
    yield made
    store.recorder.close()


def in_zip(files: dict[str, bytes]) -> dict[str, bytes]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return {"o.zip": content.getvalue()}


def in_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    return files


def deliver(env: Resources, files: dict[str, bytes]) -> None:
    folder = env.settings.landing_path / "alarms" / DAY
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def rows(*ids: str, more: str = "code", value: str = "7", separator: str = ",") -> bytes:
    lines = [f"{HEAD},{more}", *(f"{one},T1,2026-03-01T08:00:00Z,{value}" for one in ids)]
    return "".join(f"{line}\n" for line in lines).replace(",", separator).encode()


def typed(**columns: Any) -> bytes:
    content = io.BytesIO()
    frame = {"alarm_id": ["P1"], "turbine": ["T1"], "raised_at": ["2026-03-01T08:00:00Z"], "code": ["7"]} | columns
    pl.DataFrame(frame).write_parquet(content)
    return content.getvalue()


REFUSED = [
    ({"sued.csv": rows("S1", more="kode")}, "column code: .*there is a new column 'kode': renamed?"),
    ({"sued.csv": rows("S1", separator=";")}, "a semicolon stands between the names of the header"),
    ({"sued.parquet": typed(code=[7.5])}, "column 'code' is Float64, and the contract cannot read all"),
    ({"sued.parquet": typed(code=[7])}, "is Int64 here and String in"),
    ({"sued.csv": rows("S1").replace(b"turbine,", b"turbine,Turbine,")}, "differ only in case"),
]


@pytest.mark.parametrize(("odd", "says"), REFUSED, ids=[says for _, says in REFUSED])
@pytest.mark.parametrize("packed", [in_folder, in_zip])
def test_what_refuses_a_file_in_the_folder_refuses_it_in_a_zip_by_its_name(
    env: Resources, packed: Callable[..., dict[str, bytes]], odd: dict[str, bytes], says: str
) -> None:
    deliver(env, packed({"nord.csv": rows("N1"), **odd}))
    (name,) = odd
    with pytest.raises(AuditFailed, match=f"{'o.zip!/' if packed is in_zip else ''}{name}.*{says}"):
        execute(raw_step(ALARMS), env, DAY)


def test_every_odd_file_in_a_zip_is_named(env: Resources) -> None:
    deliver(env, in_zip({"a.csv": rows("A", more="kode"), "b.csv": rows("B"), "c.csv": rows("C", separator=";")}))
    with pytest.raises(AuditFailed, match=r"o\.zip!/a\.csv.* \| alarms/2026-03-01/o\.zip!/c\.csv"):
        execute(raw_step(ALARMS), env, DAY)


def test_files_in_a_zip_become_the_rows_that_they_are_in_a_folder_and_are_named(env: Resources) -> None:
    files = {
        "nord.csv": rows("N1", "N2"),
        "sued.csv": rows("S1", "S2", value="-7"),
        "b.csv": rows("B1", more="code,x", value="7,8"),
    }
    deliver(env, in_zip(files))
    execute(raw_step(ALARMS), env, DAY)
    execute(clean_step(ALARMS), env, DAY)
    raw = env.lake.table("raw/alarms").at().scan([DAY]).sort("_row_number").collect()
    assert raw.select("alarm_id", "code", "x", "_row_number").rows() == [
        ("B1", "7", "8", 1),
        ("N1", "7", None, 2),
        ("N2", "7", None, 3),
        ("S1", "-7", None, 4),
        ("S2", "-7", None, 5),
    ]
    assert raw["_source_sha256"].n_unique() == 1
    (source,) = env.lake.table("raw/alarms").at().last_commit.sources
    assert (source.path, source.rows) == ("alarms/2026-03-01/o.zip", 5)
    kept = env.lake.table("quarantine/alarms").at().scan([DAY]).collect()
    assert kept["_source_file"].to_list() == ["alarms/2026-03-01/o.zip!/sued.csv"] * 2


def checks_of(env: Resources) -> dict[str, Any]:
    return {check["name"]: check for check in env.lake.table("raw/alarms").at().last_commit.checks}


def test_a_file_in_a_zip_of_no_suffix_of_the_source_is_named_and_not_read(env: Resources) -> None:
    deliver(env, in_zip({"README.txt": b"Dear reader,\nhello\n", "nord.csv": rows("N1")}))
    execute(raw_step(ALARMS), env, DAY)
    assert env.lake.table("raw/alarms").scan().collect()["alarm_id"].to_list() == ["N1"]
    unread = checks_of(env)["unread"]
    assert not unread["passed"]
    assert "o.zip!/README.txt (its suffix is not among the source's: .csv, .parquet, .zip)" in unread["message"]


@dataclass(frozen=True)
class Box(SourceReader):
    """Without partitions, so that there is no check `unread`; one part is read, and one is not."""

    def deliveries(self, reading: Any) -> list[Delivery]:
        return [Delivery.of_bytes("box", b"box", reading.partition)]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        raise AssertionError("parts are asked for")

    def parts(self, delivery: Delivery) -> Iterator[Part]:
        frame = pl.read_csv(rows("N1", "N2"), infer_schema=False)
        yield Part("box/a", iter([frame[:1], frame[1:]]))
        yield Part("box/b", None, "it is empty")


def test_what_a_reader_of_ones_own_leaves_out_of_a_delivery_is_named(env: Resources) -> None:
    execute(raw_step(replace(ALARMS, reader=Box(), partitioning=Partitioning.none())), env, None)
    raw = env.lake.table("raw/alarms").scan().collect()
    assert raw.select("alarm_id", "_source_file", "_row_number").rows() == [("N1", "box/a", 1), ("N2", "box/a", 2)]
    assert "box/b (it is empty)" in checks_of(env)["delivery"]["message"]


@pytest.mark.parametrize("packed", [in_folder, in_zip])
def test_the_dialect_that_is_seen_is_named_where_another_one_is_declared(
    env: Resources, packed: Callable[..., dict[str, bytes]]
) -> None:
    reader = Files("alarms/{day}/*", (".csv", ".zip"), csv=Csv(";"))
    deliver(env, packed({"nord.csv": rows("N1", separator=";"), "sued.csv": rows("S1")}))
    seen = r"sued\.csv.* a comma stands between the names of the header; declare Files\(…\) without csv=, or ask"
    with pytest.raises(AuditFailed, match=seen):
        execute(raw_step(replace(ALARMS, reader=reader)), env, DAY)
