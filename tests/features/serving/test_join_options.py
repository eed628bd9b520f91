"""How features are joined: options that are none are refused, wherever they are given."""

from typing import Any, cast

import polars as pl
import pytest
from click.testing import CliRunner

from assay.errors import AssayError
from assay.features.serving.as_of import latest, point_in_time_join
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import resolve
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.online import Online, online_get
from assay.features.serving.references import Role
from assay.features.serving.training import create_training_set, stage_training_set
from assay.features.serving.view_read import ViewRead
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.lineage.predictions.prediction_log import _as_joined
from tests.features.serving.travel import SPINE, at, travel

WRONG: list[tuple[Any, str]] = [
    ("known_time", "not 'known_time'. Did you mean 'known'"),
    ("event_time", "not 'event_time'. Did you mean 'event'"),
    ("Known", "not 'Known'. Did you mean 'known'"),
    ("created", "'event' or 'known', not 'created'"),
    ("", "'event' or 'known', not ''"),
    (True, "not bool"),
    (None, "not NoneType"),
    ({"rates": "created"}, "known_at of 'rates' must be"),
]


@pytest.mark.parametrize(("word", "message"), WRONG)
def test_an_unknown_known_at_is_refused_wherever_it_is_given(lake: Lake, write: Any, word: Any, message: str) -> None:
    travel(lake, write)
    frame = pl.DataFrame({"at": [at(0)], "usd": [1.0]})
    view = ViewRead("rates", Serving.as_of([], "at"), frame, ["usd"])
    nothing = transaction_of(lake)
    calls: list[Any] = [
        lambda: JoinOptions(word),
        lambda: point_in_time_join(SPINE, [view], known_at=word),
        lambda: as_of_join(SPINE, ["rates:usd"], lake=lake, known_at=word),
        lambda: create_training_set(lake, NullRecorder(), "t", SPINE, ["rates:usd"], known_at=word),
        lambda: stage_training_set(nothing, "t", SPINE, ["rates:usd"], options=JoinOptions(word)),
        lambda: resolve(nothing, ["rates:usd"], SPINE, options=JoinOptions(word)),
    ]
    if word is not None:  # there it means: as the model learnt
        calls += [
            lambda: Online(lake, "rates", known_at=word).get({}, at(9)),
            lambda: online_get(lake, "rates", {}, at(9), known_at=word),
            lambda: Role("rates:usd", known_at=word),
            lambda: _as_joined("rates:usd", word, None),
        ]
    calls.append(lambda: latest(view, SPINE.select("origin"), at(1), known_at=cast(Any, word)))
    for call in calls:
        with pytest.raises(AssayError) as refused:
            call()
        if "known_at of" not in message:
            assert message in str(refused.value)
    assert not lake.table("training/t").exists(), "nothing was written down"


def transaction_of(lake: Lake) -> Transaction:
    return Transaction(lake, Work("training/t"))


@pytest.mark.parametrize("flag", [1, "yes", None, {"rates": 1}])
def test_a_flag_that_is_none_is_refused(lake: Lake, write: Any, flag: Any) -> None:
    travel(lake, write)
    with pytest.raises(AssayError, match="skip_nulls must be True or False"):
        as_of_join(SPINE, ["rates:usd"], lake=lake, skip_nulls=flag)


def test_an_option_for_a_view_that_is_not_asked_for_is_refused(lake: Lake, write: Any) -> None:
    travel(lake, write)
    with pytest.raises(AssayError, match=r"given for 'rate', of which no feature is asked for. Did you mean 'rates'"):
        as_of_join(SPINE, ["rates:usd"], lake=lake, known_at={"rate": "known"})


def test_a_record_of_before_words_were_checked_is_read_as_it_was_joined() -> None:
    assert JoinOptions.from_dict({"known_at": "created", "skip_nulls": 1}) == JoinOptions("event", True)
    assert JoinOptions.from_dict({}) == JoinOptions()
    for options in (JoinOptions("known"), JoinOptions({"a": "known"}, {"b": True}, "booked_at"), JoinOptions()):
        assert JoinOptions.from_dict(options.to_dict()) == options


def test_the_command_refuses_it_too() -> None:
    from assay.cli.features.command import features

    done = CliRunner().invoke(features, ["get", "rates", "id=1", "--known-at", "known_time"])
    assert isinstance(done.exception, AssayError) and "--known-at must be" in str(done.exception)
