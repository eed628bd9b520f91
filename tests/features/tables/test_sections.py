import pytest

from assay.errors import AssayError
from assay.features.tables.sections import Code, Decision, Embedding, Model, Predictions, Report, from_extra, section


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
    with pytest.raises(AssayError, match="Section 'view' of a commit must be a mapping, not int"):
        section("view", 1)


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
