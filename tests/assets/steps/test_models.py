"""Declared models: fitted, measured on rows that they have not seen, stored without pickle, and predicting day by day."""

import importlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from assay.assets.declarations import declared_in, ordered, steps_of
from assay.assets.steps import models
from assay.assets.steps.models import Model, model_step, prediction_step
from assay.assets.steps.step import NotReady, execute
from assay.assets.steps.training import Spine, TrainingSet, Upstream
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.run_record import new_run
from assay.lineage.verification.verify import verify
from assay.store_methods.predicted_again import predicted_again

DELAYS = TrainingSet(
    "delays",
    Spine(source="clean/flights", keys=["flight", "carrier"], event_time="departs", where=pl.col("miles") > 0),
    features=["flight:distance", "flight:gusts", "carrier:flights_1d"],
    label=(pl.col("minutes") > 15).alias("late"),
    until="2026-03-05",
)
UPSTREAM = Upstream(partitions={"clean/flights": Partitioning.daily("2026-03-01")})
SAVE = {"save": lambda fitted: json.dumps(fitted).encode(), "load": json.loads}


def guess(name: str = "guess", **changes: Any) -> Model:
    """A model that always says the same."""
    given: dict[str, Any] = {
        "fit": lambda frame: {"late": True},
        "predict": lambda fitted, frame: pl.DataFrame({"late": [fitted["late"]] * frame.height}),
        "outputs": ["late"],
        **SAVE,
    }
    return Model(name, DELAYS, **(given | changes))


def test_a_fitted_model_is_stored_by_skops_and_measured_on_the_latest_rows(airline: Any) -> None:
    made = airline.store.model("late")
    assert (made.version, made.format, made.training_set, made.outputs) == ("1", "skops", "delays@1", ("late",))
    assert made.params == {"strength": 100.0}
    rows = airline.store.load_training_set(made.training_set).frame().sort("event_time")
    assert made.metrics["training_rows"] == rows.height
    later = rows.filter(pl.col("event_time") >= pl.lit(made.metrics["held_back_from"]).str.to_datetime(time_zone="UTC"))
    assert made.metrics["held_back_rows"] == later.height
    assert later.height == pytest.approx(0.2 * rows.height, abs=2)
    assert made.metrics["accuracy"] > 0.8
    fitted = airline.store.load_model("late")
    assert (fitted.predict(airline.module("flights").inputs(rows)) == rows["late"].to_numpy()).mean() > 0.9


def test_each_day_from_the_cut_off_on_is_predicted_and_leads_back_to_the_files(airline: Any) -> None:
    rows = airline.frame("predictions/late")
    assert sorted(rows["partition_key"].unique()) == ["2026-03-05", "2026-03-06"]
    flights = airline.frame("clean/flights").filter(pl.col("partition_key") >= "2026-03-05")
    assert sorted(rows["flight"]) == sorted(flights["flight"])
    assert {"gusts", "vector"}.isdisjoint(rows.columns)
    commit = airline.store.table("predictions/late").at().commits[-1]
    assert commit.predictions.outputs == ("late",)
    one = rows.filter(flight="F6-3").row(0, named=True)
    trace = airline.store.trace(one["prediction_id"])
    assert {node.kind for node in trace.nodes} == {"prediction", "model", "training", "features", "clean", "raw"}
    assert trace.root.details["outputs"] == ["late"]
    assert any(file.path == "flights/2026-03-06/a.csv" for file in trace.files())
    found = airline.store.verify(trace, embed=False)
    assert found.outcome == "verified", str(found)
    assert [check.what for check in found.checks if check.ok and check.what == "feature row"]


def test_a_stored_model_is_run_again_for_a_prediction(airline: Any) -> None:
    declared = list(declared_in(airline.module("flights")))
    predict = predicted_again(
        airline.store.lake, [item for item in declared if isinstance(item, Model)], steps_of(declared)
    )
    for id_ in airline.frame("predictions/late")["prediction_id"].gather_every(20):
        trace = airline.store.trace(id_)
        found = verify(airline.store.lake, trace, predict=predict)
        assert (found.outcome, found.answer) == ("verified", "checked"), str(found)
    other = trace.prediction.frame.with_columns(~pl.col("late"))
    forged = replace(trace, prediction=replace(trace.prediction, frame=other))
    found = verify(airline.store.lake, forged, predict=predict)
    assert (found.outcome, found.answer) == ("broken", "differs")
    assert "another late for the same features" in str(found)
    changed = predicted_again(airline.store.lake, [item for item in declared if isinstance(item, Model)], [])
    found = verify(airline.store.lake, forged, predict=changed)
    assert (found.outcome, found.answer) == ("verified", "not checked")
    assert "its code is another one now" in str(found)
    found = verify(airline.store.lake, trace, predict=predicted_again(airline.store.lake, [], []))
    assert (found.outcome, found.answer) == ("verified", "not checked")
    assert "declares no model 'late'" in str(found)
    assert str(found).startswith("verified · answer: not checked")


def test_nothing_is_done_twice_and_a_retry_makes_no_second_version(
    airline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert airline.run() == []
    versions = airline.versions()
    step = airline.step("models/late")
    again = execute(step, airline.env, None, force=True)
    assert (again.changed, again.shown["model_version"]) == (False, "1")
    execute(airline.step("predictions/late"), airline.env, "2026-03-06", force=True)
    assert airline.versions() == versions
    # Killed after its commit, before anybody was told: the same run again finds what it wrote.
    other = model_step(guess())
    run = new_run()

    def killed(*args: Any, **kwargs: Any) -> Any:
        stage(*args, **kwargs)
        args[0].then(lambda done: (_ for _ in ()).throw(KeyboardInterrupt))

    stage = models.stage_model
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(models, "stage_model", lambda *a, **k: killed(*a, **k))
        execute(other, airline.env, None, run)
    execute(other, airline.env, None, run)
    assert airline.frame("models/guess")["model_version"].to_list() == ["1"]


def test_code_that_went_back_to_what_it_was_predicts_again(airline: Any) -> None:
    code = {
        said: guess(fit=fit)
        for said, fit in ((True, lambda frame: {"late": True}), (False, lambda frame: {"late": False}))
    }
    for count, said in enumerate((True, False, True, True), 1):
        execute(model_step(code[said]), airline.env, None, force=True)
        newest = airline.store.model("guess")
        assert newest.version == str(min(count, 3)), "the same again is the same version"
        assert airline.store.load_model("guess", load=json.loads) == {"late": said}
    execute(prediction_step(code[True], UPSTREAM), airline.env, "2026-03-06")
    assert airline.frame("predictions/guess")["model_version"].unique().to_list() == ["3"]


def test_a_model_of_its_own_bytes_with_numbers_and_a_spine_that_is_built(own_model: Any) -> None:
    made = own_model.store.model("wait")
    assert (made.format, made.outputs) == ("bytes", ("wait",))
    assert {"rmse", "mae"} < made.metrics.keys()
    assert 0 < made.metrics["mae"] <= made.metrics["rmse"] < 15
    with pytest.raises(AssayError, match=r"models/wait 1 is stored in a format of its own \(bytes\): pass load="):
        own_model.store.load_model("wait")
    means = own_model.store.load_model("wait", load=json.loads)
    assert set(own_model.frame("training/waits")["flight"].str.split("-").list.get(1).cast(pl.Int32) % 3) == {0, 1}
    rows = own_model.frame("predictions/wait").join(own_model.frame("clean/flights"), on="flight")
    assert set(rows["carrier"]) == {"C0", "C1"}, "the spine is built with the list of hubs"
    strong = pl.when(pl.col("wind") > 0.5).then(means["yes"]).otherwise(means["no"])
    assert rows.select((pl.col("wait") == strong).all()).item()
    trace = own_model.store.trace(rows["prediction_id"][0])
    assert "lists/hubs" in {node.name for node in trace.nodes}
    assert own_model.store.verify(trace, embed=False).outcome == "verified"


def test_other_code_of_fit_or_predict_is_another_version(own_model: Any) -> None:
    file = Path(str(own_model.package.__file__)).with_name("own.py")
    before = own_model.step("models/wait").code_version, own_model.step("predictions/wait").code_version

    def changed(old: str, new: str) -> tuple[bool, bool]:
        file.write_text(file.read_text().replace(old, new))
        importlib.invalidate_caches()
        exec(compile(file.read_text(), str(file), "exec"), vars(own_model.module("own")))
        importlib.import_module("linecache").checkcache()
        after = own_model.step("models/wait").code_version, own_model.step("predictions/wait").code_version
        return after[0] != before[0], after[1] != before[1]

    assert changed("def save_json", "# A comment.\ndef save_json") == (False, False)
    assert changed("LIMIT = 0.5", "LIMIT = 0.7") == (True, True)
    own_model.run()
    assert own_model.frame("models/wait").sort("created_at")["model_version"].to_list() == ["1", "2"]
    newest = own_model.frame("predictions/wait").group_by("model_version").len().sort("model_version")
    assert newest["model_version"].to_list() == ["1", "2"]


def test_metrics_of_ones_own_see_held_back_rows_and_their_predictions(airline: Any) -> None:
    def metrics(rows: pl.DataFrame, predicted: pl.DataFrame) -> dict[str, float]:
        assert predicted.columns == ["late"]
        assert rows["event_time"].min().isoformat() >= "2026-03-04"
        return {"share_late": rows["late"].mean(), "said": predicted["late"].mean()}

    result = execute(model_step(guess(metrics=metrics, held_back=date(2026, 3, 4))), airline.env, None)
    assert result.shown["said"] == 1.0
    assert result.shown["held_back_from"] == "2026-03-04T00:00:00+00:00"
    assert airline.store.model("guess").metrics["share_late"] == result.shown["share_late"]


def test_without_held_back_rows_nothing_is_measured_and_it_is_fitted_once(airline: Any) -> None:
    fits: list[int] = []
    made = guess(fit=lambda frame: fits.append(frame.height) or {"late": True}, held_back=0)
    shown = execute(model_step(made), airline.env, None).shown
    assert fits == [shown["training_rows"]]
    assert "accuracy" not in shown


def test_a_pickle_is_never_stored(airline: Any) -> None:
    import pickle

    made = guess(save=pickle.dumps, load=pickle.loads)
    with pytest.raises(AssayError, match="models/guess: these bytes are a pickle"):
        execute(model_step(made), airline.env, None)
    assert not airline.store.table("models/guess").exists()


def test_what_cannot_be_read_again_is_never_stored(airline: Any) -> None:
    from sklearn.ensemble import RandomForestClassifier

    def fit(frame: pl.DataFrame) -> Any:
        forest = RandomForestClassifier(n_estimators=3, random_state=1)
        return forest.fit(frame.select("distance", "gusts").to_numpy(), frame["late"].to_numpy())

    def predict(fitted: Any, frame: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"late": fitted.predict(frame.select("distance", "gusts").to_numpy())})

    made = guess(fit=fit, predict=predict, save=None, load=None)
    with pytest.raises(AssayError, match=r"sklearn.tree._tree.Tree, which skops does not trust.*trusted="):
        execute(model_step(made), airline.env, None)
    assert not airline.store.table("models/guess").exists()
    shown = execute(model_step(replace(made, trusted=["sklearn.tree._tree.Tree"])), airline.env, None).shown
    assert shown["accuracy"] > 0.8
    assert airline.store.load_model("guess", trusted=["sklearn.tree._tree.Tree"]).n_estimators == 3
    with pytest.raises(AssayError, match="does not trust"):
        airline.store.load_model("guess")


@pytest.mark.parametrize(
    ("predict", "problem"),
    [
        (lambda fitted, frame: np.ones(frame.height), "must give a polars DataFrame of .'late'., not ndarray"),
        (lambda fitted, frame: pl.DataFrame({"late": [True]}), "gave 1 rows for"),
        (lambda fitted, frame: frame.select(later="gusts"), "did not give the outputs .'late'."),
        (lambda fitted, frame: frame.select("gusts", late="distance"), "gave .'gusts'., which is not declared"),
    ],
)
def test_predictions_of_the_wrong_form_are_refused(airline: Any, predict: Any, problem: str) -> None:
    with pytest.raises(AssayError, match=problem):
        execute(model_step(guess(predict=predict)), airline.env, None)


def test_an_output_that_is_also_read_is_refused(airline: Any) -> None:
    made = guess(outputs=["gusts"], predict=lambda fitted, frame: frame.select("gusts"), held_back=0)
    execute(model_step(made), airline.env, None)
    with pytest.raises(AssayError, match=r"outputs \['gusts'\] are also columns that it reads"):
        execute(prediction_step(made, UPSTREAM), airline.env, "2026-03-05")


def test_predictions_wait_for_the_model_and_for_the_features_of_their_day(airline: Any) -> None:
    step = prediction_step(guess(), Upstream({"flight": airline.module("flights").flight}, UPSTREAM.partitions))
    with pytest.raises(NotReady, match="models/guess does not exist yet"):
        execute(step, airline.env, "2026-03-05")
    execute(model_step(guess()), airline.env, None)
    airline.deliver(7)
    for table in ("raw/flights", "clean/flights"):
        execute(airline.step(table), airline.env, "2026-03-07")
    with pytest.raises(NotReady, match="features/flight has no partition 2026-03-07"):
        execute(step, airline.env, "2026-03-07")
    execute(airline.step("features/flight"), airline.env, "2026-03-07")
    assert execute(step, airline.env, "2026-03-07").changed


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"outputs": []}, "needs outputs"),
        ({"outputs": "late"}, "needs outputs"),
        ({"outputs": ["late", "confidence"]}, "output 'confidence' has another role: it says how sure the model is"),
        ({"load": None}, "save and load belong together"),
        ({"format": "pickle"}, "no format 'pickle'.*Never pickle"),
        ({"held_back": 1.5}, "held_back is a share"),
        ({"name": "my model"}, "names tables"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_at_once(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(AssayError, match=problem):
        guess(**changes)


def test_a_training_set_may_stand_inside_the_declarations_of_models() -> None:
    module = ModuleType("declared_inside")
    module.one, module.several = guess("one"), [guess("two"), guess("three")]  # type: ignore[attr-defined]
    outputs = [step.outputs[0] for step in ordered(steps_of(list(declared_in(module))))]
    assert outputs[0] == "training/delays"
    assert sorted(outputs[1:]) == sorted(
        f"{kind}/{name}" for kind in ("models", "predictions") for name in ("one", "two", "three")
    )
