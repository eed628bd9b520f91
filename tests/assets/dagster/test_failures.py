"""What fails on purpose is one sentence in Dagster; what nobody foresaw keeps its stack, and is tried again."""

from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster.failures import in_one_sentence
from assay.errors import AssayError
from assay.features.tables.delta_commit import Conflict


def failed(problem: Exception, instance: Any) -> dg.ExecuteInProcessResult:
    @dg.asset(name="step", retry_policy=dg.RetryPolicy(max_retries=1))
    def asset(context: dg.AssetExecutionContext) -> None:
        with in_one_sentence(last=context.op_execution_context.retry_number == 1):
            raise problem

    return dg.materialize([asset], instance=instance, raise_on_error=False)


def test_an_error_of_ours_is_one_sentence_without_a_stack_and_not_tried_again(new_shop: Any) -> None:
    result = failed(AssayError("clean/orders: what, where. What to do."), new_shop.instance)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error, told = event.step_failure_data.error, event.step_failure_data.user_failure_data
    assert error is not None
    assert (error.message, error.stack, error.cause, error.context) == (
        "clean/orders: what, where. What to do.",
        [],
        None,
        None,
    )
    assert told is not None
    assert told.description == error.message
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_an_outage_is_one_sentence_and_tried_again(new_shop: Any) -> None:
    result = failed(OSError(28, "a cell's value"), new_shop.instance)
    assert [event for event in result.all_events if event.is_step_up_for_retry]
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error, told = event.step_failure_data.error, event.step_failure_data.user_failure_data
    assert error is not None and told is not None
    assert (error.message, error.stack) == (told.description, [])
    assert (told.description or "").startswith("The disk is full (OSError). It is no fault of the batch")
    assert told.metadata["outage"].value == "the disk is full"


@pytest.mark.parametrize(
    "problem", [KeyError("unforeseen"), Conflict("others were first")], ids=["foreign", "conflict"]
)
def test_what_may_go_away_is_tried_again_and_keeps_its_stack(new_shop: Any, problem: Exception) -> None:
    result = failed(problem, new_shop.instance)
    assert [event for event in result.all_events if event.is_step_up_for_retry]
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert any("raise problem" in frame for frame in error.cause.stack)
