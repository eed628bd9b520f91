"""Predictions by key, day and beginning of an id: what a filter of all rows gives, from the files that can hold them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.about import Ambiguous, as_beginning, predictions_about, predictions_matching, whole_id
from assay.lineage.predictions.latest import latest_predictions
from assay.lineage.predictions.prediction_log import log_predictions
from tests.conftest import SOAK

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
MODELS = {"router": ["ticket_id", "customer"], "risk": ["customer"]}


def build(folder: Path) -> Lake:
    """Two models over six days: one by ticket and customer, one by customer, a number."""
    lake = open_lake(folder)
    with transaction(lake, NullRecorder(), Work("clean/x")) as tx:
        tx.write("clean/x", pl.DataFrame({"id": [1]}))
    for model, keys in MODELS.items():
        for day in range(6):
            rows = [
                {
                    "ticket_id": f"t{day}-{n}",
                    "customer": (day + n) % 4,
                    "event_time": FIRST + timedelta(days=day, hours=n * 3),
                    "label": "abc"[n % 3],
                }
                for n in range(5)
            ]
            frame = pl.DataFrame(rows, schema_overrides={"event_time": pl.Datetime("us", "UTC")})
            frame = frame.select([*keys, "event_time", "label"])
            log_predictions(
                lake,
                NullRecorder(),
                model=model,
                model_version="1",
                frame=frame,
                inputs=[lake.table("clean/x").at().snapshot],
                keys=keys,
                outputs=["label"],
            )
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return build(tmp_path_factory.mktemp("predictions"))


def everything(lake: Lake) -> list[dict[str, Any]]:
    frames = (lake.table(f"predictions/{model}").scan().collect().with_columns(model=pl.lit(model)) for model in MODELS)
    return pl.concat(frames, how="diagonal").to_dicts()


moments = st.none() | st.integers(-5, 150).map(lambda hours: FIRST + timedelta(hours=hours))


@settings(max_examples=300 if SOAK else 10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    about=st.fixed_dictionaries(
        {}, optional={"customer": st.integers(0, 5).map(str), "ticket_id": st.sampled_from(["t0-0", "t3-2", "t9"])}
    ),
    model=st.sampled_from([None, "router"]),
    since=moments,
    until=moments,
    limit=st.integers(1, 40),
)
def test_what_a_filter_of_all_rows_finds(
    lake: Lake, about: dict[str, str], model: str | None, since: Any, until: Any, limit: int
) -> None:
    rows = [
        row
        for row in everything(lake)
        if set(about) <= set(MODELS[row["model"]])
        and all(str(row[name]) == value for name, value in about.items())
        and model in (None, row["model"])
        and (since is None or row["event_time"] >= since)
        and (until is None or row["event_time"] < until)
    ]
    made = {commit.run_id: commit.timestamp for m in MODELS for commit in lake.table(f"predictions/{m}").at().commits}
    expected = sorted(
        rows, key=lambda row: (row["event_time"], made[row["run_id"]], row["prediction_id"]), reverse=True
    )
    expected = expected[:limit]
    times = {"since": since, "until": until, "limit": limit}
    found = predictions_about(lake, about, model, **times) if about else latest_predictions(lake, model, **times)
    # Within a day, files know only times to the millisecond: ids of one moment come in any order.
    assert [item.id for item in found] == [row["prediction_id"] for row in expected]
    assert [item.answer for item in found] == [{"label": row["label"]} for row in expected]


def test_only_files_that_can_hold_them_are_opened(tmp_path: Path) -> None:
    lake = build(tmp_path)
    assert len(predictions_about(lake, {"ticket_id": "t3-2"})) == 1
    state = lake.table("predictions/router").at()
    for file in state.files:
        if file.partition != "2026-09-04":
            Path(state.table.uri, file.path).unlink()
    assert [item.event_time.day for item in predictions_about(lake, {"ticket_id": "t3-2"})] == [4], "by the key index"
    day = FIRST + timedelta(days=3)
    assert predictions_about(lake, {"customer": "0"}, "router", since=day, until=day + timedelta(days=1))
    (one,) = predictions_about(lake, {"ticket_id": "t3-2"})
    with pytest.raises(Ambiguous, match="2 predictions"):  # of both models: files of other days are not opened
        whole_id(lake, one.id[:13])


def test_the_beginning_of_an_id_is_enough(lake: Lake) -> None:
    first, other = (row["prediction_id"] for row in everything(lake)[:2])
    assert whole_id(lake, first) == first
    assert whole_id(lake, f" {first[:-3].upper()} ") == first
    assert whole_id(lake, first.replace("-", "")[:30]) == first
    assert not other.startswith(first[:13])
    with pytest.raises(Ambiguous, match="2 predictions have ids that begin with") as several:
        whole_id(lake, first[:13])  # both models, at one moment
    assert {item.model for item in several.value.candidates} == set(MODELS)
    assert first in {item.id for item in several.value.candidates}
    with pytest.raises(AssayError, match="No prediction has an id that begins with ffffffff "):
        whole_id(lake, "ffffffff")


@pytest.mark.parametrize("text", ["", "0199a", "nonsense", "0199-0b", "0" * 33, "01990b3c*"])
def test_what_is_no_beginning_of_an_id_is_refused(lake: Lake, text: str) -> None:
    with pytest.raises(AssayError, match="not a prediction id, nor the first 8"):
        whole_id(lake, text)


@given(st.uuids().map(str), st.integers(8, 36), st.booleans())
def test_a_beginning_has_the_dashes_of_an_id(text: str, length: int, bare: bool) -> None:
    cut = text[:length]
    assert as_beginning(cut.replace("-", "") if bare else cut) == cut.rstrip("-")


def test_a_search_takes_key_and_day_in_any_order_and_capitals(lake: Lake) -> None:
    def found(text: str) -> set[str]:
        return {item.id for item in predictions_matching(lake, text, limit=1000)}

    rows = everything(lake)
    of_ticket = {row["prediction_id"] for row in rows if row.get("ticket_id") == "t3-2"}
    assert of_ticket
    for text in ("t3-2", "T3-2", "ticket_id=t3-2", "ticket_id t3-2", "ticket_id = T3-2"):
        assert found(text) == of_ticket, text
    day = next(row["event_time"] for row in rows if row["prediction_id"] in of_ticket).date()
    of_day = {row["prediction_id"] for row in rows if row["event_time"].date() == day}
    assert found(f"t3-2 {day}") == found(f"{day} t3-2") == of_ticket & of_day
    assert found(f"{day}") == of_day
    assert found("customer t3-2") == found("9999-12-31") == found("") == set()


def test_an_unknown_key_names_those_that_there_are(lake: Lake) -> None:
    with pytest.raises(
        AssayError, match=r"about 'custmer'\. Did you mean 'customer'\? There are: customer, ticket_id\."
    ):
        predictions_about(lake, {"custmer": "C0012"})
    with pytest.raises(AssayError, match=r"No predictions of risk are about 'ticket_id'\. There are: customer"):
        predictions_about(lake, {"ticket_id": "t1"}, "risk")
    with pytest.raises(AssayError, match=r"the key customer is Int64, and the value given for it is not\.") as refused:
        predictions_about(lake, {"customer": "C0012"})
    assert "C0012" not in str(refused.value)
    with pytest.raises(AssayError, match=r"No predictions of 'rooter' were logged\. Did you mean 'router'"):
        predictions_about(lake, {"customer": "1"}, "rooter")
