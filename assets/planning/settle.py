"""What is done when there is nothing to do: upstreams forget what the lake holds."""

from collections.abc import Sequence
from functools import partial

from assay.assets.settling import settled
from assay.assets.steps.step import Resources, Step


def settle(steps: Sequence[Step], env: Resources) -> None:
    """Let the upstreams of all steps forget. What one raises is logged.

    Args:
        steps: The steps.
        env: What they use.
    """
    for step in steps:
        if step.settle is not None:
            settled(step.outputs[0], partial(step.settle, env))
