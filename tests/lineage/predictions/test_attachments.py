"""Explanation, prompt version and retrieval: stored typed with a prediction, shown in its trace, proven where they can be."""

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.errors import AssayError
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.run_record import NullRecorder
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify as verify_bundle
from assay.lineage.predictions.attachments import RETRIEVAL, checked, retrieval
from assay.lineage.predictions.find_prediction import find_prediction
from assay.lineage.predictions.prediction_log import log_predictions
from assay.lineage.store.lineage_store import open_lineage_store
from assay.lineage.tracing.trace import trace
from assay.lineage.verification.verify import verify
from assay.web import create_router

EXPLANATION = "Asked before by <Ada Lovelace>"
HITS = [[("answer-17", 0.91), ("answer-3", None)], []]


def answers(desk: Any, note: str) -> Snapshot:
    """A new version of what is searched, computed from clean tickets."""
    with desk.work("search/answers") as tx:
        texts = tx.read("clean/tickets").select("text").collect()
        tx.write("search/answers", texts.with_columns(note=pl.lit(note)))
    return desk.lake.table("search/answers").at().snapshot


def frame(*columns: pl.Series, first: int = 0) -> pl.DataFrame:
    times = pl.Series([f"2026-09-03T0{first + n}:00:00Z" for n in range(2)]).str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    made = pl.DataFrame({"ticket_id": ["t2-0", "t2-1"], "event_time": times.dt.replace_time_zone("UTC")})
    return made.with_columns(pl.lit("card").alias("intent"), *columns)


def log(desk: Any, rows: pl.DataFrame, inputs: Any = None) -> list[str]:
    inputs = [desk.lake.table("features/ticket").at().snapshot] if inputs is None else inputs
    given = {"model": "answers", "model_version": "1", "keys": ["ticket_id"]}
    return log_predictions(desk.lake, NullRecorder(), frame=rows, inputs=inputs, **given)


@pytest.fixture
def attached(desk: Any) -> tuple[Any, list[str], Snapshot]:
    """Two predictions with everything attached; what they searched has a newer version by now."""
    desk.until(2)
    searched = answers(desk, "first")
    columns = (pl.Series("explanation", [EXPLANATION, None]), pl.Series("prompt_version", ["v7", "v7"]))
    ids = log(desk, frame(*columns, retrieval(searched, HITS)))
    answers(desk, "second")
    return desk, ids, searched


def test_a_trace_shows_them_and_leads_to_the_version_that_was_searched(attached: Any) -> None:
    desk, (first, second), searched = attached
    found = trace(desk.lake, first)
    root = json.loads(json.dumps(found.to_dict()))["root"]
    assert (root["details"]["explanation"], root["details"]["prompt_version"]) == (EXPLANATION, "v7")
    assert root["details"][RETRIEVAL]["hits"] == [
        {"key": "answer-17", "rank": 1, "score": 0.91},
        {"key": "answer-3", "rank": 2, "score": None},
    ]
    identity = {"table": "search/answers", "table_id": searched.table_id, "version": 1}
    assert root["details"][RETRIEVAL]["snapshot"] == identity | {"commit_sha256": searched.commit_sha256}
    (node,) = [item for item in root["inputs"] if item["kind"] == "search"]
    assert (node["snapshot"]["version"], node["reference"]) == (1, False)
    assert [item["name"] for item in node["inputs"]] == ["clean/tickets"]
    text = str(found)
    assert "explanation Asked before by <Ada Lovelace>\n" in text
    assert "prompt version v7\n" in text
    assert "retrieval 2 hits in search/answers@1: 1. answer-17 (0.91), 2. answer-3\n" in text
    assert "retrieval 0 hits in search/answers@1\n" in str(trace(desk.lake, second))
    assert "explanation" not in str(trace(desk.lake, second))


def test_what_was_searched_is_an_input_once(desk: Any) -> None:
    desk.until(2)
    searched = answers(desk, "first")
    whole = desk.lake.table("search/answers").at().slice()
    first, _ = log(desk, frame(retrieval(whole, HITS)), [whole])
    assert [item["table"] for item in find_prediction(desk.lake, first).row["inputs"]] == ["search/answers"]
    (node,) = trace(desk.lake, first).root.inputs
    assert node.slices[0].snapshot == searched


def test_verification_covers_what_was_searched(attached: Any) -> None:
    desk, (first, _), searched = attached
    found = trace(desk.lake, first)
    assert verify(desk.lake, found).outcome == "verified"
    newer = desk.lake.table("search/answers").at().snapshot
    row = replace(found.prediction, frame=found.prediction.frame.with_columns(retrieval(newer, HITS[:1])))
    broken = [check.what for check in verify(desk.lake, replace(found, prediction=row)).checks if check.ok is False]
    assert broken == ["prediction inputs"], "it names a version that its run did not read"
    (file,) = desk.lake.table("search/answers").at(searched.version).files
    desk.lake.storage.put(f"search/answers/{file.path}", b"other hits")
    assert verify(desk.lake, found).outcome == "broken"


def test_a_bundle_tells_the_prompt_version_and_only_digests_of_the_rest(attached: Any, tmp_path: Any) -> None:
    desk, (first, _), _ = attached
    bundle = export(desk.lake, trace(desk.lake, first), open_lineage_store(tmp_path / "lineage.db"))
    row = json.loads(bundle.files["prediction.json"])
    assert row["shown"] == {"prompt_version": "v7"}, "a text that nobody declared to be an output is not shown"
    assert {name: len(digest) for name, digest in row["withheld"].items()} == dict.fromkeys(
        ("explanation", "intent", "retrieval"), 64
    )
    assert ("search/answers", 1) in {(item["table"], item["version"]) for item in row["inputs"]}
    for content in bundle.files.values():
        assert not any(text in content for text in (b"Lovelace", b"answer-17"))
    assert outcome(verify_bundle(dict(bundle.files))) == "verified"


def test_the_console_shows_them(attached: Any, tmp_path: Any) -> None:
    desk, (first, second), _ = attached
    app = Starlette(routes=[Mount("/", create_router(open_lineage_store(tmp_path / "lineage.db"), desk.lake))])
    page = TestClient(app).get(f"/trace/{first}").text
    assert "Asked before by &lt;Ada Lovelace&gt;" in page
    assert all(text in page for text in ("v7", "search/answers@1", "answer-17", "0.91"))
    assert "The search found nothing." in TestClient(app).get(f"/trace/{second}").text


def test_predictions_logged_before_and_after_have_none(desk: Any) -> None:
    desk.until(2)
    before, *_ = log(desk, frame())
    log(desk, frame(retrieval(answers(desk, "first"), HITS), pl.Series("explanation", ["why", None]), first=2))
    after, *_ = log(desk, frame(pl.Series("explanation", [None, None]), first=4))
    stored = desk.lake.table("predictions/answers").scan().collect()
    assert stored["explanation"].null_count() == 5
    assert stored[RETRIEVAL].null_count() == 4
    for item in (before, after):
        found = trace(desk.lake, item)
        assert found.root.details.get("explanation") is None
        assert "retrieval" not in str(found)
        assert verify(desk.lake, found).outcome == "verified"


def test_other_widths_of_numbers_are_stored_alike(desk: Any) -> None:
    desk.until(2)
    item = retrieval(answers(desk, "first"), HITS)
    narrow = pl.Struct(
        {
            "snapshot": item.struct.field("snapshot").dtype,
            "hits": pl.List(pl.Struct({"key": pl.Categorical, "rank": pl.UInt8, "score": pl.Float32})),
        }
    )
    first, _ = log(desk, frame(item.cast(narrow)))
    assert find_prediction(desk.lake, first).frame.schema[RETRIEVAL] == item.dtype


SNAPSHOT = {"table": "search/answers", "table_id": "x", "version": 1, "commit_sha256": "y"}


def hit(**change: Any) -> list[dict[str, Any]]:
    return [{"snapshot": SNAPSHOT, "hits": [{"key": "secret", "rank": 1, "score": 0.5} | change]}]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.Series("explanation", [1, 2]), "'explanation' is not text"),
        (pl.Series("prompt_version", [1.5, 2]), "'prompt_version' is not text"),
        (pl.Series(RETRIEVAL, ["secret", ""]), "'retrieval' is not a `snapshot` and its `hits`"),
        (pl.Series(RETRIEVAL, [{"snapshot": SNAPSHOT}] * 2), "'retrieval' is not a `snapshot` and its `hits`"),
        (pl.Series(RETRIEVAL, hit(more=1) * 2), "'retrieval' is not a `snapshot` and its `hits`"),
        (pl.Series(RETRIEVAL, [{"snapshot": None, "hits": []}, None]), "1 rows name no whole snapshot"),
        (pl.Series(RETRIEVAL, [{"snapshot": SNAPSHOT, "hits": None}, None]), "1 rows have no list of hits"),
        (
            pl.Series(
                RETRIEVAL, [{"snapshot": SNAPSHOT, "hits": [None]}, None], retrieval(Snapshot("", "", 0, ""), []).dtype
            ),
            "1 hits have no key",
        ),
        (pl.Series(RETRIEVAL, hit(key=None) * 2), "2 hits have no key"),
        (pl.Series(RETRIEVAL, hit(score=float("nan")) * 2), "2 hits have a score that is no finite number"),
        (pl.Series(RETRIEVAL, [*hit(rank=2), *hit(rank=None)]), "2 rows have hits that are not ranked"),
    ],
)
def test_what_cannot_be_understood_is_refused_without_its_values(column: pl.Series, message: str) -> None:
    with pytest.raises(AssayError, match=message) as refused:
        checked(frame(column), "the frame of predictions/answers")
    assert "secret" not in str(refused.value)


def test_what_was_searched_must_be_there_and_be_what_it_was(desk: Any) -> None:
    desk.until(2)
    answers(desk, "first")
    for searched, message in (
        (Snapshot("search/elsewhere", "x", 1, "y"), "no table search/elsewhere"),
        (Snapshot("search/answers", "x", 1, "y"), "search/answers@1 is another table now"),
    ):
        with pytest.raises(AssayError, match=message):
            log(desk, frame(retrieval(searched, HITS)))
    assert not desk.lake.table("predictions/answers").exists()
