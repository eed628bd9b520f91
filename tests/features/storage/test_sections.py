import json
from pathlib import Path

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.storage.delta_log import commit_path
from assay.features.storage.sections import Code, Decision, Embedding, Model, Predictions, Report, from_extra, section
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.table_log import read_log
from assay.features.tables.transaction import transaction


@pytest.mark.parametrize(
    "value",
    [
        Embedding(model="m", digest="ab", revision="r", dimensions=3, engine={"device": "cpu"}),
        Model(version="2", sha256="ab", training_set="t@1", outputs=("label",)),
        Predictions(
            model="m", version="1", keys=("id",), features=("v:f",), feature_columns=("f",), outputs=("label",)
        ),
        Code(assay="1", git="ab", changed="no"),
        Decision(id="d", action="release", rows=(("ab", 1),), row_count=1, columns=("a",), exceptions=("r",)),
        Report(rows_in=3, rows_clean=2, rows_quarantined=1),
    ],
)
def test_a_section_is_what_its_json_says_and_keeps_keys_that_it_does_not_know(value) -> None:
    assert section(value.name, value.to_dict()) == value
    later = value.to_dict() | {"from_a_later_release": [1]}
    read = section(value.name, later)
    assert read.more == {"from_a_later_release": [1]} and read.to_dict() == later


def test_what_is_no_section_is_refused() -> None:
    with pytest.raises(AssayError, match=r"no section 'modle'\. Sections are: view"):
        section("modle", {})
    with pytest.raises(AssayError, match="Section 'view' of a commit is damaged: it must be a mapping, not int"):
        section("view", 1)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("serving", "{", "it is no JSON"),
        ("serving", "[1]", "it must be a mapping, not list"),
        ("serving", '{"keys": 5}', "in 'keys', it must be a list, not int"),
        ("serving", '{"entity": "e"}', "'keys' is missing"),
        ("manifest", "{}", "'rows' is missing"),
        ("manifest", '{"rows": 1, "inputs": [{"table": "a"}]}', "in 'inputs', 'version' is missing"),
        ("view", '{"features": {}}', "in 'features', it must be a list, not dict"),
        ("predictions", '{"keys": "id", "outputs": 3}', "in 'keys', it must be a list, not str"),
        ("embedding", '{"dimensions": "3"}', "in 'dimensions', it must be int, not str"),
    ],
)
def test_a_damaged_section_is_named_with_its_table_and_version(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    lake = open_lake(tmp_path)
    with transaction(lake, NullRecorder(), Work("features/x")) as tx:
        tx.write("features/x", pl.DataFrame({"id": [1]}))
    path = tmp_path / commit_path("features/x", 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "commitInfo" in line:
            line["commitInfo"][f"assay.{name}"] = value
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(AssayError, match=f"features/x@1: section '{name}' of its commit is damaged: {says}"):
        lake.table("features/x").history()
    log = read_log(lake, "features/x")
    assert log is not None and log.damaged == (1,)


def test_model_meant_two_things_before_sections_had_names() -> None:
    described = {"name": "m", "version": "1", "keys": ["id"], "feature_columns": ["f"]}
    found, rest = from_extra({"model": described, "features": ["v:f"], "own": 1})
    assert found == {
        "predictions": Predictions(model="m", version="1", keys=("id",), feature_columns=("f",), features=("v:f",))
    }
    assert rest == {"own": 1}
    found, rest = from_extra({"model": {"name": "e", "digest": "ab", "revision": None}, "engine": {}, "dimensions": 3})
    assert found == {"embedding": Embedding(model="e", digest="ab", dimensions=3)} and rest == {}
    assert from_extra({"model": "mine", "features": [1]}) == ({}, {"model": "mine", "features": [1]})
