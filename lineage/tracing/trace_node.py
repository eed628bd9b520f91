"""The nodes of a trace: a node is a table as its consumer read it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from assay.errors import plural
from assay.features.storage.commit_metadata import Commit, SourceFile
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.storage.verdict import CheckState, by_state, check_state, found_something, was_handled
from assay.features.tables.digest import digest_of
from assay.lineage.outline import Line, Span, line, short_digest, shorten

Status = Literal["readable", "vacuumed", "erased", "damaged"]
_CODE = 12  # characters shown of a code version


@dataclass(frozen=True, slots=True)
class Held:
    """How many partitions and commits the rows of a version come from."""

    partitions: int
    commits: int

    def __str__(self) -> str:
        return f"{self.partitions:,} partitions by {self.commits:,} commits"


@dataclass(frozen=True, eq=False)
class Node:
    """A table as its consumer read it; the root is the prediction itself.

    `slices` were read, `commits` wrote them (oldest first), `inputs` are the reads of those commits. Of a lookup that is not
    followed, `held` counts what the newest version held; `commits` has its newest commit alone. `passed_over` counts what a
    version held of which nothing was taken. `details` depend on the
    kind: a prediction's row and outputs, a model's digest and metrics. Status: `readable`; `vacuumed` (the version
    is known, some of its data is gone); `erased` (the table was deleted or made anew); `damaged` (its log is).
    """

    kind: str
    name: str
    table: str
    slices: tuple[Slice, ...]
    status: Status
    commits: tuple[Commit, ...] = ()
    inputs: tuple["Node", ...] = ()
    lookup: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    held: Held | None = None
    passed_over: Held | None = None

    @property
    def id(self) -> str:
        """Equal for equal reads of the same table."""
        read = (
            f"{item.snapshot.table_id}@{item.snapshot.version}:{item.partitions}"
            + (f" but {item.excluded}" if item.excluded else "")
            for item in self.slices
        )
        return digest_of([f"{self.kind} {self.name} {self.lookup}", *read])[:16]

    @property
    def snapshot(self) -> Snapshot:
        """The newest version that was read."""
        return max((item.snapshot for item in self.slices), key=lambda item: item.version)

    @property
    def versions_read(self) -> tuple[int, ...]:
        return tuple(sorted({item.snapshot.version for item in self.slices}))

    @property
    def partitions(self) -> tuple[str, ...] | None:
        """The partitions that were read; None: all there were."""
        if any(item.partitions is None for item in self.slices):
            return None
        return tuple(sorted({key for item in self.slices for key in item.partitions or ()}))

    @property
    def excluded(self) -> tuple[str, ...]:
        """The partitions that no read has, where `partitions` is None."""
        left_out = [set(item.excluded) for item in self.slices if item.partitions is None]
        read = {key for item in self.slices for key in item.partitions or ()}
        return tuple(sorted(set.intersection(*left_out) - read)) if left_out else ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The delivered files that the commits took rows from."""
        return unique_files(item for commit in self.commits for item in commit.sources)

    @property
    def contracts(self) -> list[dict[str, Any]]:
        """Every contract version that the rows were checked by, as name and version."""
        named = [
            {"name": c.contract.get("name"), "version": c.contract.get("version")} for c in self.commits if c.contract
        ]
        return [item for number, item in enumerate(named) if item not in named[:number]]

    @property
    def owner(self) -> str:
        """Who answers for the rows, as the newest contract names them that judged some; nothing where none did."""
        return next(
            (str(c.contract["owner"]) for c in reversed(self.commits) if c.contract and c.contract.get("owner")), ""
        )

    @cached_property
    def checks(self) -> tuple[dict[str, Any], ...]:
        """The check results of all commits, counts summed per rule."""
        total: dict[tuple[str, str], dict[str, Any]] = {}
        for check in (check for commit in self.commits for check in commit.checks):
            key = (check["table"], check["name"])
            if key not in total:
                total[key] = {**check, "message": ""}
                continue
            for count in ("evaluated", "invalid", "unknown"):
                total[key][count] += check[count]
            if found_something(check) and not was_handled(check):
                total[key]["severity"] = check[
                    "severity"
                ]  # one day that was not handled is not outweighed by the others
            total[key]["passed"] = total[key]["passed"] and check["passed"]
        return tuple(total.values())

    @property
    def title(self) -> Line:
        """Table, version, model and partitions, in one line."""
        version = self.details.get("model_version") if self.kind == "model" else None
        return line(
            Span("looked up: ", "dim") if self.lookup else "",
            Span(self.table, "strong"),
            f"@{self.snapshot.version}",
            *((" model ", Span(str(version), "strong")) if version else ()),
            f"  {self.part_text}",
            *((" ", Span(self.status, "bad")) if self.status != "readable" else ()),
        )

    @property
    def part_text(self) -> str:
        """The partitions that were read, in short."""
        return f"all but {shorten(self.excluded)}" if self.excluded else shorten(self.partitions)

    @property
    def facts(self) -> Line:
        """Run, code, contract and checks, in one line; of a lookup that is not followed, how much it held."""
        if self.held is not None and self.held.commits:
            return line(Span(f"held {self.held} (--lookups follows it)", "dim"))
        if not self.commits:
            nothing = (
                f"nothing was taken of it, though it held {self.passed_over}"
                if self.passed_over
                else "held nothing yet"
            )
            return line(Span(nothing if self.status == "readable" else "its log is gone", "dim"))
        last, more = self.commits[-1], len(self.commits) - 1
        facts = [f"run {last.run_id}" + (f" and {more} more" if more else "")]
        if last.actor:
            facts.append(f"by {last.actor}")
        if last.code_version:
            facts.append(f"code {last.code_version[:_CODE]}")
        facts += [f"contract {item['name']} {item['version']}" for item in self.contracts]
        if self.owner:
            facts.append(f"owner {self.owner}")
        if self.checks:
            facts.append(_checks_text(self.checks))
        named = (name for name in ("sha256", "training_set") if name in self.details)
        facts += [f"{name} {short_digest(self.details[name])}" for name in named]
        return line(Span(" · ".join(facts), "dim"))

    def to_dict(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        last = self.commits[-1] if self.commits else None
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "reference": self.lookup,
            "status": self.status,
            "snapshot": self.snapshot.to_dict(),
            "versions_read": list(self.versions_read),
            "partitions": list(self.partitions) if self.partitions is not None else None,
            **({"except": list(self.excluded)} if self.excluded else {}),
            **({"held": asdict(self.held)} if self.held else {}),
            **({"passed_over": asdict(self.passed_over)} if self.passed_over else {}),
            "run": dict(last.run) if last else None,
            "actor": last.actor if last else "",
            "code_version": last.code_version if last else None,
            "contract": dict(last.contract) if last and last.contract else None,
            "contracts": self.contracts,
            "owner": self.owner,
            "checks": [check | {"state": check_state(check)} for check in self.checks],
            "details": dict(self.details),
            "commits": [_commit_dict(commit) for commit in self.commits],
            "inputs": inputs,
            "files": [item.to_dict() for item in self.files],
        }


def _checks_text(checks: Sequence[Mapping[str, Any]]) -> str:
    names = {state: some for state, some in by_state(checks).items() if state is not CheckState.HELD}
    held = len(checks) - sum(map(len, names.values()))
    found = (f", {state}: {', '.join(names[state])}" for state in CheckState if state in names)
    return f"{held} of {plural(len(checks), 'check')} held{''.join(found)}"


def _commit_dict(commit: Commit) -> dict[str, Any]:
    names = by_state(commit.checks)
    return {
        "version": commit.version,
        "partition": commit.partition,
        "timestamp": commit.timestamp.isoformat(),
        "run_id": commit.run_id,
        "actor": commit.actor,
        "code_version": commit.code_version,
        "code": commit.code.to_dict() if commit.code else None,
        "rows": commit.rows,
        "checks": {
            "passed": len(names.get(CheckState.HELD, ())),
            **{
                state.value.replace(" ", "_"): [*names.get(state, ())]
                for state in CheckState
                if state != CheckState.HELD
            },
        },
    }


def unique_files(files: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    return tuple({(item.path, item.sha256): item for item in files}.values())
