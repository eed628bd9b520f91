"""The model: accurate on days it has not seen, and its training set readable without Assay."""

import csv
import json
import os
import subprocess
import sys
from typing import Any

import polars as pl

# Of all real queries; a third of them teaches less: 0.911 was measured.
ACCURATE = 0.92 if os.environ.get("SOAK") else 0.89


def test_predictions_of_the_test_days_are_accurate(full_run: Any) -> None:
    predicted = full_run.frame("predictions/router").select("ticket_id", predicted="intent")
    assert predicted["ticket_id"].is_unique().all()
    filed = full_run.frame("clean/tickets").filter(
        pl.col("partition_key") >= full_run.truth["calendar"]["test_first_day"]
    )
    joined = predicted.join(filed.select("ticket_id", "text", "intent"), on="ticket_id", validate="1:1")
    assert joined.height == filed.height == predicted.height
    assert (joined["predicted"] == joined["intent"]).mean() >= (ACCURATE if full_run.real else 0.9)
    if full_run.real:
        with (full_run.real / "test.csv").open(encoding="utf-8", newline="") as stream:
            known = pl.DataFrame(
                [(row["text"], row["category"]) for row in csv.DictReader(stream)], ["text", "real"], orient="row"
            )
        real = joined.join(known.unique("text"), on="text", how="inner")
        assert real.height == known.height == joined.height, "every real query of the test split was predicted"
        assert (real["predicted"] == real["real"]).mean() >= ACCURATE


def test_the_model_saw_no_ticket_of_the_test_days(full_run: Any) -> None:
    seen = full_run.frame("training/router")
    assert seen.height > 1000
    assert f"{seen['event_time'].max():%Y-%m-%d}" < full_run.truth["calendar"]["test_first_day"]
    assert set(seen["ticket_id"]).isdisjoint(full_run.frame("predictions/router")["ticket_id"])


MODELS_VIEW = """
import json, sys
import polars as pl
manifest = json.load(sys.stdin)
for item in manifest["inputs"]:
    rows = pl.scan_delta(item["uri"], version=item["version"])
    if item["partitions"] is not None:
        rows = rows.filter(pl.col("partition_key").is_in(item["partitions"]))
    assert rows.select(pl.len()).collect().item() == item["rows"], item["name"]
training = pl.scan_delta(manifest["table"]["uri"], version=manifest["table"]["version"]).collect()
assert training.height == manifest["rows"]
assert [name for name in sys.modules if name.partition(".")[0] == "assay"] == []
print(len(manifest["inputs"]), training.height)
"""


def test_a_plain_script_reads_the_training_sets_inputs_again(full_run: Any) -> None:
    (made,) = full_run.frame("models/router")["training_set"]
    manifest = full_run.place.json("features", "training-set", made)
    done = subprocess.run(
        [sys.executable, "-c", MODELS_VIEW], input=json.dumps(manifest), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(manifest["inputs"])), str(full_run.frame("training/router").height)]
    assert {item["name"] for item in manifest["inputs"]} == {
        "clean/tickets",
        "features/ticket",
        "features/customer_activity",
        "features/customer_contact",
        "features/customer_habits",
        "features/writing",
        "embeddings/ticket_text",
    }
