"""Which partitions of which steps a plan has to look at: those that something concerns that has changed since they were seen.

What is kept is only ever used to leave out what has nothing to do. Whatever may have changed is looked at, and so is, each
time, whatever was found stale: a plan with a memory is the same as one without.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from datetime import UTC, datetime, timedelta

from assay.assets.steps.plan_store import Forgotten, Known, Seen
from assay.assets.steps.step import Look, Resources, Step, look, not_ready
from assay.assets.steps.watched import Concern, Trust, Watched, Window
from assay.errors import AssayError, panics_as_errors
from assay.features.storage.delta_log import Change, Mark, changes, latest_mark
from assay.features.tables.kinds import has_definitions
from assay.features.tables.lake import TableMissing
from assay.features.tables.refusals import refusals
from assay.features.views.window_partitions import partitions_with_events

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = ""  # the partition of a step without partitions


class PlanMemory:
    """The open partitions of the steps of a stage, for one plan.

    Args:
        steps: A stage.
        env: What steps use; its lake may be `remembering`.
        everything: All partitions of a step that there are to look at, for what is not known.
        retry: Whether a batch is due that was refused, and would be again.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        env: Resources,
        everything: Callable[[Step], Collection[str]],
        *,
        retry: bool = False,
    ) -> None:
        self._env, self._everything, self._retry = env, everything, retry
        self.refused: set[tuple[str, str | None]] = set()  # step and partition, as far as `due` was asked
        self._displaced: dict[str, set[str]] = {}  # partitions that the plan's own runs made stale, by step
        self._moved: set[str] = set()  # steps for which a table that they refer to has changed during the plan
        self._logs: dict[tuple[str, Mark | None], tuple[Mark | None, list[Change] | None]] = {}
        self._unsettled: dict[str, frozenset[str]] = {}
        identities = {step.name: found for step in steps if (found := _identity(step, env)) is not None}
        loaded = env.plans.load(identities, _micros(env.now()) or 0)
        self._known: dict[str, Known] = {}
        self._loaded: dict[str, tuple[dict[str, Mark | None], set[str], bytes]] = {}
        for step in steps:
            known = loaded.get(step.name) or self._nothing_known(step, identities.get(step.name, ""))
            self._known[step.name] = known
            self._loaded[step.name] = dict(known.tables), set(known.open), known.delivered
            if step.watched is not None and step.watched.delivered is not None:
                self._look_at_deliveries(step, step.watched, known)
        self._steps = {step.name: step for step in steps}
        self._watching = {step.name: step.watched for step in steps if step.watched and step.name in identities}
        self.refresh()
        self._moved.clear()
        self._displaced.clear()

    def refresh(self) -> set[str]:
        """Take the latest versions of all tables into account. What they concern is open from now on, and is given; but not what
        others displace: later runs may displace it again, so it is looked at `once_more`."""
        self._logs.clear()
        opened: set[str] = set()
        for name, watched in self._watching.items():
            known, step = self._known[name], self._steps[name]
            for table, concern in watched.tables.items():
                before = known.tables[table]
                concerned, displaced = self._concerned(step, table, concern, known)
                if table in step.references and known.tables[table] != before:
                    self._moved.add(name)
                known.open |= concerned | displaced
                opened |= concerned
                if displaced:
                    self._displaced.setdefault(name, set()).update(displaced)
        return opened

    def open(self, step: Step) -> set[str]:
        """The partitions of a step that have to be looked at."""
        return self._known[step.name].open

    def due(self, step: Step, partition: str | None) -> bool:
        """Whether the step is stale for a partition; one that is not open has nothing to do. What is refused stays open, and
        is not due."""
        known, key = self._known[step.name], partition or _ONE
        self.refused.discard((step.name, partition))  # it may have been taken since it was asked about
        if key not in known.open:
            return False
        found = look(step, self._env, partition)
        if found.unseen:  # it stays open
            return found.stale and not self._env.leaves_silent
        if not found.stale and step.name in self._watching:
            self._close(step, known, key, found)
        if found.refused is not None and not self._retry:
            self.refused.add((step.name, partition))
            return False
        return found.stale

    def waits(self, step: Step, made: Set[str]) -> bool:
        """Whether a step without partitions was found to wait, and waits for a table that is not among those to be `made`."""
        seen = self._known[step.name].seen.get(_ONE)
        if step.batches or not (seen.waits if seen else _ONE in self._env.plans.waits(step.name)):
            return False
        reason = not_ready(step, self._env, None)  # what it waits for first is seldom dear to find
        return reason is not None and reason.table not in ("", *made)

    def once_more(self) -> dict[str, set[str]]:
        """By step, the partitions that others displaced, and those that were refused or waited, now that a table that the step
        refers to has changed since the plan began, or since this was asked last. What failed is not among them, and nothing is
        due any more that would be refused again."""
        self._retry = False
        moved, self._moved = self._moved, set()
        again = {name: keys for name in moved if (keys := self._left_out(self._steps[name]))}
        displaced, self._displaced = self._displaced, {}
        for name, keys in displaced.items():
            if left := keys & self._known[name].open:
                again[name] = again.get(name, set()) | left
        return again

    def _left_out(self, step: Step) -> set[str]:
        table, opened = step.outputs[0], self._known[step.name].open
        kept = {item.partition or _ONE: item for item in refusals(self._env.lake, table)}
        refused = {key for key, item in kept.items() if not item.failed}
        waited = opened - kept.keys()
        if step.partitioning.is_partitioned or step.batches:
            waited -= set(self._present(table, sorted(waited)))
        elif self._env.lake.table(table).exists():
            waited = set()
        return opened & refused | waited

    def keep(self) -> None:
        """Keep what was learned for the next plan."""
        known = {name: self._known[name] for name in self._watching}
        self._env.plans.keep(
            {
                name: item
                for name, item in known.items()
                if item.seen or not item.written or (item.tables, item.open, item.delivered) != self._loaded[name]
            }
        )

    # -- what is known ---------------------------------------------------------------------------------------------

    def _nothing_known(self, step: Step, identity: str) -> Known:
        tables = {name: self._log(name, None, read=False)[0] for name in (step.watched.tables if step.watched else ())}
        return Known(identity, tables, set(self._everything(step)))

    def _close(self, step: Step, known: Known, key: str, found: Look) -> None:
        """Nothing is to be done for this partition, until something changes."""
        if key in self._unsettled.get(step.name, ()):
            return  # its files may change without a trace
        watched = self._watching[step.name]
        trust = Trust() if found.prepared is None else watched.trust(found.prepared)
        due = found.held.until if found.held is not None else None
        until = min((moment for moment in (trust.until, due) if moment is not None), default=None)
        moments = _micros(trust.since), _micros(until), _micros(trust.latest)
        known.seen[key] = Seen(*moments, frozenset(trust.files), waits=found.waits_for is not None)
        known.open.discard(key)

    def _look_at_deliveries(self, step: Step, watched: Watched, known: Known) -> None:
        """Open the partitions whose deliveries have changed, or may have. Where all are gone, nothing is to be done."""
        try:
            with panics_as_errors(step.outputs[0]):
                found = watched.delivered(self._env, known.delivered) if watched.delivered else None
        except Exception:  # looking at all of them says what is wrong
            found = None
        if found is None:
            known.open |= set(self._everything(step))
            known.delivered = b""
            return
        known.delivered, self._unsettled[step.name] = found.seen, found.unsettled
        known.open |= set(step.partitioning.known(sorted(found.changed)))

    # -- what has changed ------------------------------------------------------------------------------------------

    def _log(self, table: str, since: Mark | None, *, read: bool = True) -> tuple[Mark | None, list[Change] | None]:
        """The latest version, and what was committed since another."""
        storage = self._env.lake.storage
        if (table, since) not in self._logs or (read and self._logs[table, since][1] is None):
            mark = latest_mark(storage, table, since)
            if mark is None or not read or mark == since:
                self._logs[table, since] = mark, [] if mark == since else None
            else:
                self._logs[table, since] = mark, changes(storage, table, since, mark)
        return self._logs[table, since]

    def _concerned(self, step: Step, table: str, concern: Concern, known: Known) -> tuple[set[str], set[str]]:
        """The partitions of a step that the changes of a table since the last time concern, and those that they displace."""
        since = known.tables[table]
        try:
            self._env.lake.allow("read", table)
            mark, found = self._log(table, since)
        except AssayError:  # denied: looking says so
            return set(self._everything(step)), set()
        known.tables[table] = mark
        if mark == since:
            return set(), set()
        if since is not None and table not in step.outputs and self._is_redefined(table, since, mark):
            return set(), set(self._everything(step))  # looked at once, when all runs are done
        # Partitions may also have waited for the table itself.
        if mark is None or found is None or (since is None and (concern.presence or concern.reach != 0)):
            return set(self._everything(step)), set()
        keys: set[str] = set()
        displaced: set[str] = set()
        for change in found:
            if not concern.ignores(change):
                concerned = set(self._concerned_by(step, table, concern, change, since))
                displaced |= change.displaces if concern.displaces else set()
                if concern.window is not None and (key := change.partition) is not None:
                    # Windows that end before it got late events: of all days of a backfill, they are computed once.
                    late = {item for item in concerned if item < key}
                    concerned, displaced = concerned - late, displaced | late
                keys |= concerned
        if not step.partitioning.is_partitioned:
            return keys, displaced
        known_keys = step.partitioning.known
        return set(known_keys(sorted(keys))), set(known_keys(sorted(displaced)))

    def _is_redefined(self, table: str, since: Mark, mark: Mark | None) -> bool:
        """Whether features are served by another definition of their view than they were: then all of them are other ones,
        whichever partition was computed last."""
        if not has_definitions(table) or mark is None:
            return False
        try:
            index = self._env.lake.table(table).at().index
            before, now = index.defined(since.version), index.defined(mark.version)
        except AssayError:  # gone, or another table: its changes are not known either
            return False
        return before.definition != now.definition

    def _concerned_by(
        self, step: Step, table: str, concern: Concern, change: Change, since: Mark | None
    ) -> Iterable[str]:
        if not step.partitioning.is_partitioned and step.batches is None:
            return {_ONE}
        key = change.partition
        if key is None:
            return self._everything(step)
        try:
            if concern.files:
                return {key, *self._delivered_elsewhere(step, table, change, since)}
            if concern.time and (earliest := change.earliest(concern.time)) is not None:
                return {key, *self._later_than(step, _micros(earliest) or 0)}
        except (Forgotten, AssayError):
            return self._everything(step)
        if concern.reach is None:
            return {key} if concern.grows and change.grown else self._everything(step)
        if concern.window is not None and concern.window.cut.is_key(key):
            try:
                return {key, *self._with_events(step, table, concern.window, key, concern.reach, since)}
            except AssayError:  # an earlier version cannot be opened any more
                return self._everything(step)
        return {key, *self._after(step, key, concern.reach)}

    def _later_than(self, step: Step, moment: int) -> set[str]:
        seen = self._known[step.name].seen
        stored = self._env.plans.later_than(step.name, moment)
        return stored | {key for key, item in seen.items() if item.latest is not None and item.latest >= moment}

    def _after(self, step: Step, key: str, count: int) -> list[str]:
        """The next partitions after one, as far as the tables that are read have them."""
        partitioning = step.partitioning
        if not count or not partitioning.is_timed or not partitioning.is_key(key):
            return []
        return self._read(step, partitioning.after(key, count))

    def _with_events(
        self, step: Step, table: str, window: Window, key: str, reach: int, since: Mark | None
    ) -> list[str]:
        """The partitions of a step whose windows hold, or are expected to hold, events of a partition as it is or was."""
        now = self._env.lake.table(table)
        states = [now.at()] if since is None else [now.at(since.version), now.at()]
        keys = dict.fromkeys(window.cut.after(key, reach))
        for state in states:
            keys |= dict.fromkeys(partitions_with_events(state, window.cut, key, window.time, window.width))
        return self._read(step, list(keys))

    def _read(self, step: Step, keys: Sequence[str]) -> list[str]:
        """Those of the partitions that the tables that are read have."""
        present = set().union(*(self._present(table, keys) for table in step.reads))
        return [item for item in keys if item in present]

    def _present(self, table: str, keys: Sequence[str]) -> list[str]:
        """Those of the partitions that a table has."""
        try:
            return self._env.lake.table(table).at().partitions(keys)
        except TableMissing:
            return []

    def _delivered_elsewhere(self, step: Step, table: str, change: Change, since: Mark | None) -> set[str]:
        """The partitions for which a file was delivered that a changed partition has now, or had before."""
        files = set(change.files)
        if since is not None and change.removed:
            before = self._env.lake.table(table).at(since.version).writers([change.partition or ""])
            files |= {item.sha256 for commit in before for item in commit.sources}
        stored = {key for sha256 in files for key in self._env.plans.with_file(step.name, sha256)}
        return stored | {key for key, seen in self._known[step.name].seen.items() if seen.files & files}


def _identity(step: Step, env: Resources) -> str | None:
    """Of all that decides what a step does besides what changes; None of a step that is looked at each time."""
    watched = step.watched
    if watched is None:
        return None
    try:
        with panics_as_errors(step.outputs[0]):
            also = watched.settings(env.settings)
    except Exception:  # looking at it says what is wrong
        return None
    parts = (
        step.code_version,
        step.partitioning,
        step.outputs,
        sorted(watched.tables.items()),
        also,
        step.hold,
        step.since,
    )
    places = (env.lake.storage.root, str(env.settings.landing_path.absolute()))
    return hashlib.sha256(f"5 {parts!r} {places!r}".encode()).hexdigest()


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)
