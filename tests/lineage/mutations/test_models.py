"""Answers that the model did not give, though everything about them was committed by the real way."""

from typing import Any

import polars as pl
import pytest

from assay.assets.steps import models
from tests.lineage.mutations.cases import Case, cases, judge
from tests.lineage.mutations.edits import Change
from tests.lineage.mutations.world import World

NOT_PROVEN = "; a bundle has neither the model's code nor its features, and says that it does not prove the answer"


def logged(*columns: pl.Expr) -> Change:
    """Another day, of which the step that predicts logs something else than the model gave it."""

    def do(world: World) -> None:
        stage = models.stage_predictions

        def other(tx: Any, **given: Any) -> list[str]:
            return stage(tx, **{**given, "frame": given["frame"].with_columns(*columns)})

        world.deliver(6)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(models, "stage_predictions", other)
            world.run()
        world.prediction = world.row(6)["prediction_id"]

    return do


CASES = [
    Case(
        "as it was given",
        logged(),
        "verified",
        why="the model gives it again",
        said="^answer.* gives the same",
        alone=True,
    ),
    Case(
        "another answer",
        logged((~pl.col("late")).alias("late")),
        "broken",
        "^answer",
        "the stored model gives another one for the same features" + NOT_PROVEN,
        offline="verified",
        alone=True,
    ),
    Case(
        "another confidence",
        logged((pl.col("confidence") - 0.01).alias("confidence")),
        "broken",
        "^answer",
        "the stored model gives another one for the same features" + NOT_PROVEN,
        offline="verified",
        alone=True,
    ),
    Case(
        "a confidence with other last digits",
        logged((pl.col("confidence") - 1e-9).alias("confidence")),
        "verified",
        why="sums are added up in another order on other machines",
        alone=True,
    ),
]


@cases(CASES)
def test_models(case: Case, world: World) -> None:
    judge(case, world)


def test_without_the_code_the_answer_is_not_checked_and_the_headline_says_so(
    world: World,
) -> None:
    logged((~pl.col("late")).alias("late"))(world)
    traced = world.store.trace(world.prediction)
    assert world.store.verify(traced, embed=False).answer == "differs"
    without = world.store.verify(traced, embed=False, predict=False)
    assert (without.outcome, without.answer) == ("verified", "not checked")
    assert "not checked" in str(without).splitlines()[0]


def test_the_answer_of_an_untouched_lake_is_checked(world: World) -> None:
    world.prediction = world.row(4)["prediction_id"]
    verification = world.store.verify(world.store.trace(world.prediction), embed=False)
    assert (verification.outcome, verification.answer) == ("verified", "checked")
