"""A prediction whose feature was not there, of a model whose rows a function makes; and what the same question got later."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from assay.assets.steps.step import execute
from assay.features.tables.lake import open_lake
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify
from assay.lineage.predictions.latest import LoggedPrediction, latest_predictions
from assay.lineage.tracing.row_provenance import source_rows
from assay.lineage.tracing.rows_summary import rows_summary
from assay.lineage.tracing.trace import trace
from assay.why import explain
from assay.why.explanation import Why
from assay.why.letter import letter
from tests.assay.why.bank import Bank, day, opened
from tests.assay.why.depots import DEPOTS, deliver, depots, until_the_refusal, what_healed_it

QUESTION = "4a1"  # a parcel of depot HAM


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with pytest.MonkeyPatch.context() as patch, depots(tmp_path_factory.mktemp("depots"), patch) as made:
        until_the_refusal(made)
        yield made


@pytest.fixture(scope="module")
def before(made: Bank) -> Why:
    """As it was explained before anything was corrected."""
    return explained(made, answers(made)[0])


@pytest.fixture(scope="module")
def after(made: Bank, before: Why) -> tuple[Why, Why]:
    """The latest answer, and the first one, after that was made."""
    what_healed_it(made)
    latest, first = answers(made)
    assert first.id == before.prediction_id
    return explained(made, latest), explained(made, first)


def answers(made: Bank) -> list[LoggedPrediction]:
    """To the one question, in the order of the list."""
    return [item for item in latest_predictions(made.store.lake) if dict(item.about)["parcel_id"] == QUESTION]


def explained(made: Bank, item: LoggedPrediction) -> Why:
    return made.store.why(made.store.trace(item.id))


def test_the_feature_that_was_not_there_is_the_first_unusual_thing(before: Why, after: tuple[Why, Why]) -> None:
    for why in (before, after[1]):
        first = why.unusual[0]
        assert (first.kind, first.table) == ("incomplete", "features/load")
        assert first.sentence.startswith(
            "The model was given nothing for parcels_1d, heaviest_1d: features/load had no row younger than 1 day with this "
            "depot. 2026-03-03 was refused by raw/parcels on 20"
        )
        assert "the contract's column 'depot' is missing" in first.sentence
        assert {step.table: step.owner for step in why.steps}["features/load"] == "routing"
    assert before.unusual[0].sentence.endswith("It is still not there.")
    assert "It has come since: 2026-03-03 was written on 20" in after[1].unusual[0].sentence
    assert not [item for item in after[0].unusual if item.kind == "incomplete"]


def test_a_trace_says_that_nothing_was_taken_of_a_table_that_held_something(made: Bank, before: Why) -> None:
    text = str(made.store.trace(before.prediction_id))
    assert "held nothing yet" not in text
    assert "nothing was taken of it, though it held 3 partitions by 3 commits" in text


def test_what_the_model_was_given_is_shown_with_its_age(before: Why, after: tuple[Why, Why]) -> None:
    (given,) = after[0].features
    assert (given.view, dict(given.values)) == ("load", {"parcels_1d": "1", "heaviest_1d": "13"})
    assert (given.event_time, given.age) == (datetime(2026, 3, 4, tzinfo=UTC), "2 hours old")
    assert "load: as of 2026-03-04 00:00 UTC, 2 hours old: parcels_1d 1, heaviest_1d 13" in str(after[0])
    (absent,) = before.features
    assert absent.absent and set(absent.values.values()) == {None}
    assert "load: no row was there: parcels_1d –, heaviest_1d –" in str(before)
    assert after[0].to_dict()["features"][0]["event_time"] == "2026-03-04T00:00:00+00:00"
    row = "| heaviest_1d | 13 | load: as of 2026-03-04 00:00 UTC, 2 hours old |"
    assert row in letter(after[0], date(2026, 3, 9)).replace("\\", "")


def test_of_two_answers_the_latest_is_named_everywhere(made: Bank, after: tuple[Why, Why]) -> None:
    latest, first = after
    assert (latest.answer, first.answer) == ({"will_be_late": "yes"}, {"will_be_late": "no"})
    assert latest.answers_text.startswith("This is the latest answer. Before it: will_be_late no (version 1, made 20")
    assert first.answers_text.startswith(
        "This is not the latest answer. It was replaced by will_be_late yes (version 2"
    )
    assert latest.prediction_id in first.answers_text
    for why in after:
        assert why.answers_text in str(why)
        assert why.prediction_id in [item["prediction_id"] for item in why.to_dict()["answers"]]
        assert "latest answer" in letter(why, date(2026, 3, 9))
    assert [(item.id, item.replaced) for item in answers(made)] == [
        (latest.prediction_id, False),
        (first.prediction_id, True),
    ]
    times = [(item.event_time, item.made_at) for item in latest_predictions(made.store.lake)]
    assert times == sorted(times, reverse=True)


def test_the_rows_of_a_function_that_gave_them_another_time_are_found(
    made: Bank, before: Why, after: tuple[Why, Why]
) -> None:
    def found(why: Why) -> list[tuple[str, int]]:
        rows = source_rows(made.store.lake, made.store.trace(why.prediction_id))
        return [(row.file, row.row_number) for row in rows]

    own = (f"parcels/{day(4)}/a.csv", 2)
    assert found(before) == [own]
    clean = made.store.table("clean/parcels").scan().filter(partition_key=day(3), depot="HAM").collect()
    assert found(after[0]) == [*clean.select("_source_file", "_row_number").rows(), own]
    assert after[0].rows[0].because[0] == "has the prediction's parcel_id, depot", (
        "the row that it is about comes first"
    )


def test_warnings_of_whole_days_come_last_and_are_of_days_that_were_read(after: tuple[Why, Why]) -> None:
    own = [item for item in after[0].unusual if not item.of_training]
    assert [item.kind for item in own] == ["warning"]
    assert "did not hold on 2 of 2 days" in own[0].sentence, "of neither the first day, nor the second"


def test_what_came_before_the_prediction_has_not_changed_since(made: Bank, after: tuple[Why, Why]) -> None:
    deliver(made, 3, ["HAM", "LEJ"], name="late")
    made.redeclare(("LIMIT = 1", "LIMIT = 3"))
    for step in made.steps:
        if step.outputs[0] in ("raw/parcels", "clean/parcels"):  # but not the features
            execute(step, made.store.env(), day(3))
        if step.outputs[0] == "models/delivery":
            execute(step, made.store.env(), None, force=True)
        if step.outputs[0] == "predictions/delivery":
            execute(step, made.store.env(), day(4), force=True)
    third, second, _ = answers(made)
    kinds = {item.kind: item.sentence for item in explained(made, third).unusual}
    assert "changed_since" not in kinds
    assert kinds["stale"] == (
        "features/load had been computed before 1 row of clean/parcels came that would count in it: the prediction was given "
        "the values without."
    )
    old = {item.kind: item.sentence for item in explained(made, second).unusual}
    assert old["changed_since"].endswith("now there is 1 row more behind it.")
    assert "stale" not in old


@pytest.mark.parametrize("how", ["update", "append"])
def test_an_answer_that_is_not_the_recorded_one_is_named_at_once(
    made: Bank, before: Why, tmp_path: Path, how: str
) -> None:
    shutil.copytree(made.store.settings.home, tmp_path / "var")
    lake = open_lake(str(tmp_path / "var" / "lake"))
    table = DeltaTable(tmp_path / "var" / "lake" / "predictions" / "delivery")
    table.optimize.compact()
    assert explain.why(lake, trace(lake, before.prediction_id)).unusual[0].kind == "incomplete", "moved, and the same"
    wanted = before.prediction_id
    if how == "update":
        table.update(predicate=f"prediction_id = '{wanted}'", updates={"will_be_late": "true"})
    else:
        wanted = f"{wanted[:-1]}{'0' if wanted[-1] != '0' else '1'}"
        row = pl.scan_delta(table).filter(pl.col("prediction_id") == before.prediction_id).collect()
        row.with_columns(pl.lit(wanted).alias("prediction_id")).write_delta(
            tmp_path / "var" / "lake" / "predictions" / "delivery", mode="append"
        )
    first = explain.why(lake, trace(lake, wanted)).unusual[0]
    assert first.kind == "not_as_recorded"
    assert "the answer shown may not be the one that was given" in first.sentence


def test_where_no_row_has_the_keys_of_what_a_function_made_it_is_named_and_no_proof_is_complete(tmp_path: Path) -> None:
    renamed = DEPOTS.replace('keys=["parcel_id", "depot"]', 'keys=["label", "depot"]').replace(
        'select("parcel_id", "depot", "weight",',
        'select("weight", label="parcel_id", depot=pl.col("depot").str.to_lowercase(),',
    )
    assert renamed.count("label=") == 2
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path, patch, "labels_of_tests", renamed) as made:
        until_the_refusal(made)
        lake = made.store.lake
        traced = made.store.trace(latest_predictions(lake)[0].id)
        why = made.store.why(traced)
        assert why.row_count == 0
        assert why.rows_text.startswith(
            "A function of the project (build=) made the prediction's own row of clean/parcels"
        )
        assert str(rows_summary(lake, traced)) == why.rows_text
        bundle = export(lake, traced, made.store.lineage_store)
        assert [item.what for item in bundle.missing if item.required] == ["rows.json"]
        assert outcome(verify(dict(bundle.files))) == "incomplete"


def test_an_age_is_counted_from_the_event(after: tuple[Why, Why]) -> None:
    given: Any = after[0].features[0]
    assert after[0].event_time - given.event_time == timedelta(hours=2)
