"""Results that stay: although their inputs have changed, because their declaration wants it (`Model(retrain=…)`); or although
their declaration has changed, because it accepts what an earlier one accepted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from assay.assets.cron import parse_cron
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.lake import Lake

ON_CHANGE, MANUAL = "on_change", "manual"


@dataclass(frozen=True, slots=True)
class Held:
    """A result stays for now: by which rule, and until when (None: until somebody forces it)."""

    rule: str
    until: datetime | None = None

    def __str__(self) -> str:
        when = f", due at {self.until:%Y-%m-%d %H:%M} UTC" if self.until is not None else ""
        return f"retrain={self.rule}{when}"


@dataclass(frozen=True, slots=True)
class Hold:
    """When a step's results stay. Other code, or none made yet: then they never do.

    Attributes:
        rules: `manual` or cron expressions of those that use the result: the first that is due makes it due.
        for_good: it is never due by itself, whatever the rules: what was issued is not issued again.
    """

    rules: tuple[str, ...]
    for_good: bool = False

    def holds(self, made: datetime, now: datetime) -> Held | None:
        """Whether a result stays whose inputs have changed.

        Args:
            made: When it was made.
            now: The time now.
        """
        rule = ", ".join(self.rules)
        if self.for_good:
            return Held(rule)
        schedules = [parse_cron(one) for one in self.rules if one != MANUAL]
        if any(made < schedule.last(now) for schedule in schedules):
            return None
        return Held(rule, min((schedule.next(now) for schedule in schedules), default=None))


def hold_of(rules: Sequence[str], *, for_good: bool = False) -> Hold | None:
    """The hold of what is used under these rules; none where one of them is `on_change`, or where there are none."""
    if not rules or ON_CHANGE in rules:
        return None
    return Hold(tuple(dict.fromkeys(rules)), for_good)


def check_rule(rule: str, where: str) -> None:
    """Refuse what is no rule.

    Raises:
        AssayError: It is neither `on_change`, nor `manual`, nor a cron expression.
    """
    if rule in (ON_CHANGE, MANUAL):
        return
    try:
        parse_cron(rule)
    except ValueError as problem:
        raise AssayError(
            f"{where}: retrain={rule!r} is not 'on_change', 'manual' or a cron expression such as '0 3 * * mon' ({problem})."
        ) from None


@dataclass(frozen=True, slots=True)
class Takes:
    """What a declaration may take of a batch that stays as an earlier one judged it: at most `rows` of those in quarantine,
    which broke these `rules`."""

    rules: frozenset[str] = frozenset()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Earlier:
    """How a step decides that results stay which an earlier declaration made.

    Attributes:
        takes: of how a result was made, what the present declaration may take beside it; None if it must be made again.
        any: whether the lake may have results of which it may take more.
    """

    takes: Callable[[Lake, Commit], Takes | None]
    any: Callable[[Lake], bool]
