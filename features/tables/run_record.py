"""What a piece of work did, as values: handed to a recorder at the seam, so that nothing can forget to be traced."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.verdict import not_judged

_PARTITION_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. `id` is a UUID, the same for the same (orchestrator run, step, partition) however often it is reported.

    `parent_id`, `parent_job` name the orchestrator's run that this was a step of (None in a notebook).
    """

    id: str
    started_at: datetime
    parent_id: str | None = None
    parent_job: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "parent_id": self.parent_id,
            "parent_job": self.parent_job,
        }


def new_run() -> Run:
    """A run outside any orchestrator."""
    return Run(str(uuid.uuid4()), datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Work:
    """What is about to be done: which asset, for which partition, by which code.

    `code_version` hashes the declaration and code that decide the result. `params` are further inputs that are not tables
    (a cut-off date, a model digest); they enter the fingerprint. `actor` is who does it: a person or a service. `period` is the
    time (UTC, end exclusive) that the partition covers, where its name alone does not say.
    """

    asset: str
    partition: str | None = None
    code_version: str = ""
    run: Run = field(default_factory=new_run)
    params: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    owner: str = ""
    source_location: str = ""
    actor: str = ""
    period: tuple[datetime, datetime] | None = None

    def run_facts(self) -> dict[str, Any]:
        """The run, and what is known of its job besides the asset's name: as a commit keeps them."""
        about = {"description": self.description, "source_location": self.source_location}
        return self.run.to_dict() | {"owner": self.owner} | {name: text for name, text in about.items() if text}

    def __post_init__(self) -> None:
        if self.partition is not None and not _PARTITION_KEY.fullmatch(self.partition):
            raise AssayError(
                f"{self.asset}: {self.partition!r} cannot be a partition key: it becomes a folder name, so use letters, "
                "digits, '.', '_' and '-', such as a day '2026-01-31' or a batch number '000001'."
            )


@dataclass(frozen=True, slots=True)
class TableWrite:
    """One output of a piece of work. `changed` is False where the table already held exactly this. `schema` are the table's
    columns at that version, without the one that names the partition. `at` is when its commit was made (UTC, to the
    millisecond); None where there is none."""

    table: str
    snapshot: Snapshot
    partition: str | None
    rows: int
    size: int
    changed: bool
    schema: Mapping[str, str]
    column_lineage: Mapping[str, Any] | None = None
    replaced: bool = True
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict of one rule on one table, in counts; never with values."""

    name: str
    table: str
    passed: bool
    severity: str = "quarantine"
    column: str | None = None
    evaluated: int = 0
    invalid: int = 0
    unknown: int = 0
    message: str = ""

    @property
    def judged(self) -> bool:
        """Whether there is a verdict. Without one, as before there is enough history, `passed` says that nothing was found."""
        return not not_judged({"passed": self.passed, "unknown": self.unknown, "evaluated": self.evaluated})

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished piece of work: everything it read and wrote, with the versions really read and written."""

    work: Work
    reads: tuple[Slice, ...]
    sources: tuple[SourceFile, ...]
    writes: tuple[TableWrite, ...]
    checks: tuple[CheckResult, ...]
    contract: Mapping[str, Any] | None
    extra: Mapping[str, Any]
    finished_at: datetime
    sections: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return any(item.changed for item in self.writes)

    @property
    def in_commits(self) -> bool:
        """Whether it left a commit in every table that it reports, so that they say of it what there is to say."""
        return bool(self.writes) and all(item.changed for item in self.writes)


class Recorder(Protocol):
    """Told of every piece of work. Must never raise into the work, nor delay it: failures to record are its own to keep."""

    def started(self, work: Work) -> None: ...

    def finished(self, done: RunResult) -> None: ...

    def failed(self, done: RunResult, error: BaseException) -> None: ...


class NullRecorder:
    """Records nothing: for reading scripts and tests of the tables alone."""

    def started(self, work: Work) -> None:
        del work

    def finished(self, done: RunResult) -> None:
        del done

    def failed(self, done: RunResult, error: BaseException) -> None:
        del done, error
