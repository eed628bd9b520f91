"""What is asked of a source's upstream beside its deliveries: what has come, what is not read, what is lacking.

All of it obeys `silent`: who does not answer is asked once, and named.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from assay.assets.lacking import NotConnected
from assay.assets.silent import ask, beside, silence_of
from assay.assets.sources.landing.delivered import Delivered, marks_in
from assay.assets.sources.reader import Postponed
from assay.assets.sources.source import Source, lacking, outside
from assay.errors import AssayError
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

T = TypeVar("T")


class Place(Protocol):
    """Where a project is, and what time it is there: `Resources` are one."""

    @property
    def settings(self) -> Settings: ...
    @property
    def lake(self) -> Lake: ...
    @property
    def now(self) -> Callable[[], datetime]: ...


def asked(source: Source, env: Place, batch: str, question: Callable[[], T], *, planning: bool = True) -> T:
    """What an upstream answers that is asked for a batch. Raises as `ask`."""
    if not source.reader.remote:
        return question()
    return ask(env.settings.home, source.name, batch, env.now(), planning=planning, question=question)


def landed(source: Source, env: Place) -> list[str]:
    """The partitions for which anything has been delivered. Raises as `ask`."""
    return asked(source, env, "", lambda: source.reader.partitions(env.settings, source.partitioning))


def delivered(source: Source, env: Place, before: bytes) -> Delivered | None:
    """What has changed of the deliveries since another look. Where nobody can look, one run says what is wrong, and is requested
    again until it is well; what is known stays known."""
    try:
        return asked(source, env, "", lambda: source.reader.delivered(env.settings, source.partitioning, before))
    except Postponed:
        return Delivered(before, frozenset())
    except NotConnected:
        one = frozenset(_latest(source.partitioning, before, env.now()))
        return Delivered(before, one, one)


def _latest(partitioning: Partitioning, before: bytes, now: datetime) -> list[str]:
    """The partition of today, or else the last one with deliveries, or else the first one."""
    today = partitioning.current(now)
    keys = [today, *sorted(marks_in(before))[-1:], partitioning.start, *partitioning.keys]
    return next((known for key in keys if key and (known := partitioning.known([key]))), [])


def next_batch(lake: Lake, source: Source) -> str:
    """The number of the next batch of a source without partitions."""
    try:
        last = lake.table(source.raw).at().last_partition()
    except TableMissing:
        last = None
    return f"{int(last) + 1 if last else 1:06d}"


def lack_of(source: Source, env: Place) -> str:
    """Why a source cannot be read: its upstream did not answer when it was asked last, or what the settings lack; empty where
    nothing is known to be wrong."""
    silence = silence_of(env.settings.home, source.name)
    if silence is not None:
        return f"{source.name} cannot be read. {silence.problem}"
    if not source.reader.remote:
        return lacking(source, env.settings)
    return beside("", lambda: lacking(source, env.settings))


def warnings_of(source: Source, env: Place) -> list[str]:
    """What a reader knows of its upstream, in sentences."""
    batch = next_batch(env.lake, source) if source.reader.numbered else ""
    try:
        return asked(source, env, batch, lambda: list(source.reader.warnings(env.settings)))
    except AssayError as problem:
        return [f"{problem}.".replace("..", ".")]


def outside_of(sources: Sequence[Source], env: Place) -> list[str]:
    """What was delivered for a time of which sources have no partitions, in sentences."""
    messages = (looked(one, env, "", lambda one=one: outside(one, env.settings)) for one in sources)
    return [message for message in messages if message]


def looked(source: Source, env: Place, otherwise: T, question: Callable[[], T]) -> T:
    """What a look gives; `otherwise` where nobody can look now, which `lack_of` says."""
    if (
        silence_of(env.settings.home, source.name) is not None
    ):  # of most readers a look asks nobody, and so tells nothing
        return otherwise
    try:
        return asked(source, env, "", question)
    except (NotConnected, Postponed):
        return otherwise
