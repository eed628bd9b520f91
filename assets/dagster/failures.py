"""A failure that Dagster shows as the one sentence that it is.

What we raise on purpose says what happened, where, and what to do; forty lines of Dagster's own stack below it help nobody.
Nor do they where the machine or a service lacks something. What nobody foresaw keeps its whole stack.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from assay.assets.lacking import NotConnected, outage_of
from assay.errors import AssayError
from assay.features.tables.delta_commit import Conflict

OUTAGE = "outage"  # in a failure's metadata: what was lacking
_AGAIN = "It is no fault of the batch, which is run again when that is over."


class PlainFailure(dg.Failure, DagsterUserCodeProcessError):
    """A step's failure with a sentence, without a stack and without another try.

    Dagster shows the stack of whatever is raised in a step, but for an error of another process: of that it shows what the
    process wrote. So this is one of those, too.
    """

    def __init__(self, problem: Exception | str, outage: str = "") -> None:
        sentence = str(problem)
        if outage:
            # Of what libraries raise, the text may hold values; our own says more.
            what = sentence.rstrip(".") if isinstance(problem, AssayError) else f"{outage[0].upper()}{outage[1:]}"
            kind = "" if isinstance(problem, NotConnected) else f" ({type(problem).__name__})"
            sentence = f"{what}{kind}. {_AGAIN}"
        Exception.__init__(self, sentence)
        self.description = sentence
        self.metadata = {OUTAGE: dg.MetadataValue.text(outage)} if outage else {}
        self.allow_retries = False
        kind = type(problem).__name__ if isinstance(problem, Exception) else None
        self.user_code_process_error_infos = [SerializableErrorInfo(sentence, [], kind)]


@contextmanager
def in_one_sentence(*, last: bool = True) -> Iterator[None]:
    """What we raise on purpose fails the step with its sentence, and so does an outage at the `last` try. Other writers that won
    are no failure yet: Dagster tries again, as it does after what nobody foresaw."""
    try:
        yield
    except Conflict:
        raise
    except Exception as problem:
        lack = outage_of(problem)
        if not isinstance(problem, AssayError) and (lack is None or not last):
            raise
        raise PlainFailure(problem, lack or "") from None
