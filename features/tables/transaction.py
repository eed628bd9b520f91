"""The one way in: write, audit, publish.

A transaction pins what it reads, stages what it writes, refuses to publish what fails its audit, commits each output with
the versions it came from, and reports the whole unit to the recorder. Nothing unchecked is ever visible, and nothing can
forget to be traced.
"""

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import polars as pl

from assay.durations import microseconds, parse_duration
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit, SourceFile
from assay.features.storage.sections import from_extra, section
from assay.features.storage.snapshot import Slice
from assay.features.storage.spool import Spool
from assay.features.tables.delta_commit import (
    ABSENT,
    Conflict,
    Staged,
    confirmed_at,
    find_current,
    publish,
    stage,
    ways_made,
)
from assay.features.tables.digest import digest_of
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableMissing, TableState, column_types
from assay.features.tables.reader import Reader
from assay.features.tables.run_record import CheckResult, Recorder, RunResult, TableWrite, Work
from assay.features.tables.serving import Serving, check_served

T = TypeVar("T")

_VIEW = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class AuditFailed(AssayError):
    """A blocking check failed: nothing was published. `checks` are all verdicts so far, the passed ones too."""

    def __init__(self, message: str, checks: Sequence[CheckResult]) -> None:
        super().__init__(message)
        self.checks = tuple(checks)


class Transaction:
    """Collects one unit of work. Made by `transaction(…)`; publishes when its block ends without an error."""

    def __init__(self, lake: Lake, work: Work) -> None:
        self.lake, self.work = lake, by_actor(lake, work)
        self.reader = Reader(lake)
        self.checks: list[CheckResult] = []
        self.sources: list[SourceFile] = []
        self.contract: Mapping[str, Any] | None = None
        self.extra: dict[str, Any] = {}
        self.sections: dict[str, Any] = {}
        self._spool = Spool(lake.storage.root if lake.storage.is_local else None)
        self._staged: list[Staged] = []
        self._written: list[TableWrite] = []
        self._then: list[Callable[[RunResult], None]] = []
        self._decided: str | None = None
        self.done: RunResult | None = None

    # -- reading ---------------------------------------------------------------------------------------------------

    def state(self, name: str, version: int | None = None) -> TableState:
        """The table, pinned: asked twice in one transaction, it is the same version. Raises TableMissing."""
        return self.reader.state(name, version)

    def read(
        self,
        name: str,
        partitions: Sequence[str] | None = None,
        *,
        version: int | None = None,
        lookup: bool = False,
        excluded: Sequence[str] = (),
    ) -> pl.LazyFrame:
        """A lazy frame over a table (or some of its partitions, or all but the `excluded`) at one version, which becomes an
        input of this work.

        A `lookup` is recorded too, but a change in it does not make this work stale.
        """
        return self.reader.read(name, partitions, version=version, lookup=lookup, excluded=excluded)

    def note(
        self,
        name: str,
        partitions: Sequence[str] | None = None,
        *,
        version: int | None = None,
        lookup: bool = False,
        excluded: Sequence[str] = (),
    ) -> TableState:
        """Make a table an input as `read` does, without a frame: for someone who opens few of its files, or none."""
        return self.reader.note(name, partitions, version=version, lookup=lookup, excluded=excluded)

    @property
    def reads(self) -> tuple[Slice, ...]:
        return self.reader.reads

    # -- deciding --------------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """What decides the result: inputs (by their bytes, not their version numbers), sources, code, contract, params.

        Settled when `current` is asked; what is read after that is looked up, and decides nothing more.
        """
        return self._decided or fingerprint(self.work, self.reads, self.sources, self.contract)

    def decided_by(self, name: str, value: Any) -> None:
        """A parameter of the work that only its reads say, such as by which definition features were computed. It enters the
        fingerprint; given before `current` is asked."""
        self.work = replace(self.work, params={**self.work.params, name: value})

    def current(self, *tables: str, as_then: Callable[[Commit], bool] | None = None) -> bool:
        """Whether these outputs already hold the result of exactly these inputs. If so the work is done: they are
        reported as unchanged outputs at the version that holds them, with the checks of that time. With `as_then` the code and
        the contract are those by which they were made, whatever they are now, where that is accepted of how it was made; they
        are reported, too."""
        self._decided = self.fingerprint
        kept, made = [], None
        for name in tables:
            if (state := self._own(name)) is None:
                return False
            if as_then is None:
                commit = find_current(self.lake, state, self.work.partition, self.fingerprint)
            else:
                commit = self._current_then(state, as_then)
            if commit is None:
                return False
            kept.append((name, state, commit))
            made = made or commit
        if as_then is not None and made is not None:
            self.contract, self.work = made.contract, replace(self.work, code_version=made.code_version)
        self._report(kept)
        return True

    def _current_then(self, state: TableState, accepted: Callable[[Commit], bool]) -> Commit | None:
        """How the partition was made, where that is accepted and the present inputs would give the same with the code and the
        contract of then."""
        for made in ways_made(self.lake, state, self.work.partition):
            work = replace(self.work, code_version=made.code_version)
            given = fingerprint(work, self.reads, self.sources, made.contract)
            if find_current(self.lake, state, self.work.partition, given) is not None and accepted(made):
                return made
        return None

    def made(self, *tables: str) -> datetime | None:
        """When these outputs were last made, or found to be unchanged, by this code, whatever the inputs were; None where
        one was never made, or by other code."""
        moments: list[datetime] = []
        for name in tables:
            if (state := self._own(name)) is None:
                return None
            commit = state.writer_of(self.work.partition)
            if commit is None or commit.code_version != self.work.code_version:
                return None
            moments.append(confirmed_at(self.lake, state, self.work.partition, commit))
        return min(moments)

    def keep(self, *tables: str) -> None:
        """Leave these outputs, which were `made` before, as they are. What this work has read is no input of theirs: it is
        not reported."""
        self.reader, self.contract = Reader(self.lake), None
        self.sources.clear()
        states = [(name, self.lake.table(name).open_unasked()) for name in tables]
        found = [(name, state, state.writer_of(self.work.partition)) for name, state in states]
        self._report([(name, state, commit) for name, state, commit in found if commit is not None])

    def _own(self, name: str) -> TableState | None:
        try:
            return self.lake.table(name).open_unasked()  # what the work itself wrote: part of writing it
        except TableMissing:
            return None

    def _report(self, kept: Sequence[tuple[str, TableState, Commit]]) -> None:
        """Outputs as unchanged, with the checks of the time when they were made."""
        self._written += [self._unchanged(*item) for item in kept]
        self.checks[:] = [CheckResult(**check) for check in kept[0][2].checks]

    def _unchanged(self, name: str, state: TableState, commit: Commit) -> TableWrite:
        snapshot = state.table_snapshot(commit.version)
        return TableWrite(
            table=name,
            snapshot=snapshot,
            partition=self.work.partition,
            rows=commit.rows or 0,
            size=0,
            changed=False,
            schema=column_types(state.schema),
            replaced=commit.mode == "replace",
        )

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        frame: pl.DataFrame | Iterable[pl.DataFrame],
        *,
        mode: Literal["replace", "append"] = "replace",
        statistics: Sequence[str] = (),
        column_lineage: Mapping[str, Any] | None = None,
        sections: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        constraints: Mapping[str, str] | None = None,
    ) -> None:
        """Stage rows for a table. `replace` swaps this work's partition (all of an unpartitioned table) in one commit;
        `append` adds. New columns are added to the table; a changed type is refused.

        More rows than memory holds come as an iterable of frames with the same columns, at least one: at most a data file's
        rows are held at a time. The files are the same however the rows are cut.

        `sections` describe this output (as `describe` does all of them); `extra` goes into its commit as it is.
        """
        self.lake.allow("write", name, self.work.actor)
        self._staged.append(
            stage(
                name,
                [frame] if isinstance(frame, pl.DataFrame) else frame,
                self.work.partition,
                self._spool,
                mode=mode,
                statistics=statistics,
                column_lineage=column_lineage,
                sections={key: section(key, value) for key, value in (sections or {}).items()},
                extra=extra,
                constraints=constraints,
            )
        )

    def write_view(
        self,
        name: str,
        frame: pl.DataFrame | Iterable[pl.DataFrame],
        *,
        keys: Sequence[str],
        event_time: str,
        known_time: str | None = None,
        max_age: timedelta | str | None = None,
        entity: str = "",
        mode: Literal["replace", "append"] = "replace",
        column_lineage: Mapping[str, Any] | None = None,
    ) -> None:
        """Stage rows that were computed elsewhere as the feature view `name`: the table `features/<name>`, served as said here.

        >>> tx.write_view("weather", rows, keys=["airport"], event_time="at", max_age="3h")      # doctest: +SKIP

        Args:
            name: The view's name: letters, digits and underscores.
            frame: The rows, or several frames of them: keys, times, and a column for each feature.
            keys: The columns by which the view is joined; none for rows that are the same for all.
            event_time: The column with the time from which a row holds.
            known_time: The column with the time at which a row became known.
            max_age: How long a value may be served (inclusive), such as `"7d"`; None: for ever.
            entity: What the rows describe.
            mode: As of `write`.
            column_lineage: As of `write`.

        Raises:
            AssayError: For a name that cannot be one, and what cannot be served so; columns that are missing, when the
                transaction ends.
        """
        if not _VIEW.fullmatch(name):
            raise AssayError(f"view name {name!r}: use letters, digits and underscores, beginning with a letter")
        age = None if max_age is None else microseconds(parse_duration(max_age, f"view {name!r}: max_age"))
        serving = Serving.as_of(keys, event_time, entity=entity, known_time=known_time, max_age_us=age)
        self.write(
            Kind.FEATURES.table(name),
            frame,
            mode=mode,
            column_lineage=column_lineage,
            sections={"serving": serving.to_dict(), "view": {"name": name, "rows_read": []}},
        )

    def describe(self, **sections: Any) -> None:
        """Add sections to the metadata of every commit of this work: `view=…`, `serving=…`, `code=Code(…)` and so on, by
        the names in `assay.features.storage.sections`. Raises AssayError for an unknown name."""
        self.sections |= {key: section(key, value) for key, value in sections.items()}

    def then(self, action: Callable[[RunResult], None]) -> None:
        """Run an action when everything is published, as part of the work (such as pinning what was made)."""
        self._then.append(action)

    def check(self, *checks: CheckResult) -> None:
        self.checks += checks

    def audit(self) -> None:
        """Raise AuditFailed if a blocking check failed. Also run before publishing."""
        broken = [check for check in self.checks if not check.passed and check.severity == "block"]
        if broken:
            names = "; ".join(check.message or f"{check.table}: {check.name}" for check in broken)
            raise AuditFailed(names, self.checks)

    # -- the end ---------------------------------------------------------------------------------------------------

    def outcome(self) -> RunResult:
        """What was done so far: after a failure in the middle of publishing, with the outputs that are out."""
        return RunResult(
            work=self.work,
            reads=self.reads,
            sources=tuple(self.sources),
            writes=tuple(self._written),
            checks=tuple(self.checks),
            contract=self.contract,
            extra=dict(self.extra),
            sections=dict(self.sections),
            finished_at=datetime.now(UTC),
        )

    def publish(self) -> RunResult:
        self.audit()
        metadata = self.outcome()
        for item in self._staged:
            self.lake.allow("write", item.table, self.work.actor)
            lifted, _ = from_extra({**self.extra, **(item.extra or {})})
            described = {**lifted, **self.sections, **(item.sections or {})}.get("serving")
            check_served(item.table, item.like.schema, described)
        read = dict.fromkeys(self.reader.absent, ABSENT) | dict(self.reader.versions)
        # What may conflict goes first, so that a conflict is found before anything else is out.
        staged = sorted(self._staged, key=lambda item: item.table not in read)
        for item in staged:
            self._written.append(publish(self.lake, item, metadata, self.fingerprint, read.get(item.table)))
        self.done = self._ended()
        for action in self._then:
            action(self.done)
        return self.done

    def _ended(self) -> RunResult:
        """The outcome; where commits hold all of it, as of the last of them, which is what they say whenever they are asked."""
        done = self.outcome()
        if not done.in_commits:
            return done
        return replace(done, finished_at=max(self.work.run.started_at, *(item.at for item in done.writes if item.at)))

    def close(self) -> None:
        """Forget what was staged. What is published stays."""
        self._staged.clear()
        self._spool.close()


def by_actor(lake: Lake, work: Work) -> Work:
    """The work with who does it: whom it names, or who opened the lake."""
    return work if work.actor or not lake.actor else replace(work, actor=lake.actor)


def fingerprint(
    work: Work, reads: Sequence[Slice], sources: Sequence[SourceFile], contract: Mapping[str, Any] | None
) -> str:
    """SHA-256 over everything that decides a result. References and version numbers are left out on purpose: a new day
    in an upstream table is another version, but not another input to the days before."""
    parts = [f"asset={work.asset}", f"partition={work.partition}", f"code={work.code_version}"]
    parts += [f"read={item.snapshot.table_id}:{item.digest}" for item in reads if not item.lookup]
    parts += [f"source={item.path}:{item.sha256}" for item in sources]
    parts += [f"param={key}={value}" for key, value in work.params.items()]
    if contract:
        parts.append(f"contract={contract.get('digest')}")
    return digest_of(parts)


@contextmanager
def transaction(lake: Lake, recorder: Recorder, work: Work) -> Iterator[Transaction]:
    """One unit of work. On a clean end everything staged is audited and published; on an error nothing is, the recorder
    records the failure, and the error goes on.

    Args:
        lake: Where the tables are.
        recorder: What is given the run for lineage.
        work: What is about to be done.
    """
    tx = Transaction(lake, work)
    recorder.started(tx.work)
    try:
        yield tx
        done = tx.publish()
    except BaseException as error:
        recorder.failed(tx.outcome(), error)
        raise
    finally:
        tx.close()
    recorder.finished(done)


def run(
    lake: Lake, recorder: Recorder, work: Work, body: Callable[[Transaction], T], attempts: int = 8
) -> tuple[T, RunResult]:
    """Run `body` in a transaction; when another writer changed a table that it both read and writes, run it again on the
    new state (optimistic concurrency with jitter). Raises Conflict after `attempts`."""
    tx = Transaction(lake, work)
    recorder.started(tx.work)
    for attempt in range(attempts):
        tx = Transaction(lake, work)
        try:
            value = body(tx)
            done = tx.publish()
        except Conflict as error:
            if attempt + 1 == attempts:
                recorder.failed(tx.outcome(), error)
                raise
            time.sleep(random.uniform(0.01, 0.05) * 2**attempt)
            continue
        except BaseException as error:
            recorder.failed(tx.outcome(), error)
            raise
        finally:
            tx.close()
        recorder.finished(done)
        return value, done
    raise AssertionError("unreachable: the last attempt returns or raises")
