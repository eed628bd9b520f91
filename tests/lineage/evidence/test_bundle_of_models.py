"""A bundle of a prediction by one of several models of a table."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

import assay
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify


def test_of_models_only_the_one_that_answered_is_followed(tmp_path: Path) -> None:
    """The second model was trained while the first one was there, which was looked up."""
    store = assay.open(home=str(tmp_path), actor="ada")
    moment = pl.lit(datetime(2026, 9, 2, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    people = pl.DataFrame({"person": ["Ada", "Bob"]}).with_columns(event_time=moment)
    made = None
    for number in (1, 2):
        with store.transaction("features/people") as tx:
            tx.write_view("people", people.with_columns(age=pl.lit(number)), keys=["person"], event_time="event_time")
        made = store.training_set("people", spine=people, features=["people:age"])
        store.log_model("people", b"%d" % number, training_set=made, save=bytes, load=bytes)
    assert made is not None
    rows = store.as_of_join(people, ["people:age"]).with_columns(answer=pl.lit("yes"))
    (first, _) = store.log_predictions(
        model="people",
        model_version="2",
        frame=rows,
        inputs=[store.snapshot("features/people"), store.snapshot("models/people")],
        features=["people:age"],
        feature_columns=["age"],
    )
    traced = store.trace(first)
    shown = {(node.table, node.lookup): [commit.version for commit in node.commits] for node in traced.nodes}
    assert shown["models/people", False] == [2] and shown["models/people", True] == [1]
    findings = verify(store.export_evidence(traced).files)
    assert [str(item) for item in findings if item.ok is False] == [] and outcome(findings) == "verified"
