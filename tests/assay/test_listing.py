"""What a store lists, and that misspelt settings and options are refused with the nearest name."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.features import Serving
from assay.features.tables.guard import Action, Denied
from assay.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = assay.open(home=tmp_path)
    with store.transaction("features/countries") as tx:
        tx.describe(serving=Serving.lookup(["country_code"]).to_dict())
        tx.write("features/countries", pl.DataFrame({"country_code": ["DE"], "region": ["Central"], "_note": ["x"]}))
    with store.transaction("features/activity") as tx:
        tx.describe(serving=Serving.as_of(["customer_id"], "at", entity="customer").to_dict())
        rows = pl.DataFrame({"customer_id": [1], "at": [NOON], "n": [3]}, schema_overrides={"at": INSTANT})
        tx.write("features/activity", rows)
    with store.transaction("models/router") as tx:
        model = {"model_version": ["1"], "sha256": ["a" * 64], "artifact": [b"x"], "training_set": ["router@0"]}
        tx.write(
            "models/router", pl.DataFrame(model | {"created_at": [NOON]}, schema_overrides={"created_at": INSTANT})
        )
    return store


def test_views_and_what_they_serve(store: Store) -> None:
    assert [str(view) for view in store.views()] == [
        "activity (as of a time, by customer_id): n",
        "countries (looked up, by country_code): region",
    ]
    view = store.view("activity")
    assert view.snapshot == store.snapshot("features/activity")
    assert (view.to_dict()["kind"], view.to_dict()["features"]) == ("as_of", ["n"])
    with pytest.raises(AssayError, match="Did you mean 'activity'"):
        store.view("activty")


def test_what_may_not_be_read_is_left_out_of_the_lists(store: Store) -> None:
    spine = pl.DataFrame({"customer_id": [1], "event_time": [NOON]}, schema_overrides={"event_time": INSTANT})
    store.training_set("mine", spine=spine, features=["activity:n"])

    class Some:
        def check(self, actor: str, action: Action, table: str) -> None:
            if table not in ("features/countries", "training/other"):
                raise Denied(f"{actor} may not {action} {table}.")

    guarded = assay.open(home=store.settings.home, guard=Some())
    assert [table.name for table in guarded.tables()] == ["features/countries"]
    assert [view.name for view in guarded.views()] == ["countries"]
    assert (guarded.models(), guarded.training_sets()) == ([], [])
    for refused in (lambda: guarded.view("activity"), lambda: guarded.training_sets("mine")):
        with pytest.raises(Denied):
            refused()


def test_training_sets_models_and_pins(store: Store) -> None:
    assert store.training_sets() == []
    spine = pl.DataFrame({"customer_id": [1], "event_time": [NOON]}, schema_overrides={"event_time": INSTANT})
    first = store.training_set("router", spine=spine, features=["activity:n"])
    second = store.training_set("router", spine=spine, features=["activity:n as m"], skip_nulls=True)
    assert [made.id for made in store.training_sets("router")] == [first.id, second.id]
    assert str(first) == f"{first.id}: 1 rows, activity:n"
    assert second.to_dict()["skip_nulls"] is True
    with pytest.raises(AssayError, match="Did you mean 'router'"):
        store.training_sets("roter")
    (model,) = store.models()
    assert (model.name, model.version, model.training_set) == ("router", "1", "router@0")
    assert model.to_dict()["created_at"] == NOON.isoformat()
    assert str(model) == "router 1, fitted on router@0 (SHA-256 aaaaaaaaaaaa…)"
    assert [pin.name.split("-")[1] for pin in store.pins()] == [first.id, second.id]
    assert "until it is removed" in str(store.pins()[0])


def test_declared_sources_are_those_of_the_project(store: Store) -> None:
    names = [source.name for source in store.sources()]
    assert names == sorted(names)
    assert "tickets" in names
    described = {source.name: source.to_dict() for source in store.sources()}["tickets"]
    assert described["tables"] == ["raw/tickets", "clean/tickets", "quarantine/tickets"]
    assert str(store.sources()[names.index("tickets")]).startswith("tickets: ")


def test_misspelt_settings_and_options_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"no setting 'lkae'\. Did you mean 'lake'"):
        assay.open(lkae=tmp_path)
    with pytest.raises(AssayError, match=r"'device' cannot be used: .*'cuda'"):
        assay.open(home=tmp_path, device="gpu")
    with pytest.raises(TypeError, match="code_versoin"):
        store.transaction("x", code_versoin="7")  # type: ignore[call-arg] # on purpose
    with pytest.raises(TypeError, match="colunm"):
        store.impact("features/activity", colunm="n")  # type: ignore[call-arg] # on purpose


def test_settings_that_are_no_json_are_refused_without_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORAGE_OPTIONS", '{"AWS_SECRET_ACCESS_KEY": "hunter2"')
    with pytest.raises(AssayError, match='field "storage_options"; is it JSON') as refused:
        assay.open(home=tmp_path)
    assert "hunter2" not in str(refused.value)


def test_parameters_decide_whether_a_result_is_current(store: Store) -> None:
    for cut, current in ((1, False), (1, True), (2, False)):
        with store.transaction("reports/x", params={"cut": cut}) as tx:
            assert tx.current("reports/x") is current
            if not current:
                tx.write("reports/x", pl.DataFrame({"cut": [cut]}))
