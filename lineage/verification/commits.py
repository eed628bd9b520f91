"""The commits that a trace rests on: each is what others recorded of it, and says which files were read."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.delta_log import commit_path
from assay.features.storage.log_entry import Entry
from assay.features.storage.seals import read_seal
from assay.features.storage.snapshot import Slice
from assay.features.tables.digest import digest_of
from assay.features.tables.kinds import Kind, is_sealed
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay
from assay.lineage.tracing.trace import Trace
from assay.lineage.tracing.trace_node import Node
from assay.lineage.verification.finding import NOTHING_DEPENDS, Finding, summed
from assay.lineage.verification.log_walk import LogWalk
from assay.lineage.verification.moved_rows import moves
from assay.lineage.verification.reader_view import files_of_slice
from assay.lineage.verification.vouching import Judgement, Record, Strength, judge
from assay.lineage.verification.witness import Recorded, Witness

Log = LogReplay | LogWalk
Logs = Mapping[str, Log | None]
Decides = Callable[[int], bool]  # whether anything in question depends on a version
_DAMAGED = "damaged: it is not a Delta commit any more"


@dataclass
class _Records:
    """What is recorded of commits, by table and version."""

    by_version: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[tuple[str, int], list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    wrong: set[tuple[str, int]] = field(default_factory=set)  # commits that were changed for certain

    def add(self, table: str, version: int, record: Record) -> None:
        known = self.by_version[table, version]
        if record not in known:
            known.append(record)

    def changed(self, log: Log, until: int) -> bool:
        """Whether a version of a table, up to one, was changed for certain: then its log proves nothing of what followed."""
        return any(table == log.table and version <= until for table, version in self.wrong)


def check_commits(lake: Lake, trace: Trace, logs: Logs, witness: Witness | None) -> Iterator[Finding]:
    """Every version that was read is still the commit that was read, and holds the files that were read; and so are the
    commits from which this follows. What others recorded of them is the same. What was changed of commits on which nothing in
    question depends is reported, and decides nothing."""
    records = _Records()
    findings: dict[Finding, None] = {}
    if witness is not None:
        findings |= dict.fromkeys(_ask(witness, trace, logs, records))
    for table in _downstream_first(trace):
        log = logs[table]
        nodes = [node for node in trace.nodes if node.table == table]
        slices = sorted({item for node in nodes for item in node.slices}, key=lambda item: item.snapshot.version)
        if log is None:
            problems = [Finding(f"{item.snapshot} commit", None, "erased: the table was deleted") for item in slices]
            findings |= dict.fromkeys(problems)
            continue
        on_way = versions_on_way(log, nodes)
        decides = _deciding(log, slices, on_way)
        newest = max(on_way, default=log.latest)
        problems = [Finding(item.path, False, _DAMAGED, required=item.version <= newest) for item in log.damaged]
        problems += check_gaps(log, on_way)
        problems += _judged(lake, logs, log, on_way, records, decides)
        for node in nodes:
            problems += _unnamed(node, log, records)
            problems += _by_others(node, log)
        for item in slices:
            problems += _slice(lake, item, log, records)
        problems += _unrecorded(table, slices)
        notes = [item for item in problems if not item.required]
        problems = list(dict.fromkeys(item for item in problems if item.required))
        findings |= dict.fromkeys([*summed(f"{table}: commits and their files", len(slices), problems), *notes])
    yield from findings


def check_log(lake: Lake, log: LogReplay, on_way: set[int], recorded: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    """The log of one table alone: what of it is missing or damaged, and whether its commits are what later ones, seals and the
    lineage store (`recorded`: versions and digests) say that they were."""
    records = _Records()
    for version, sha256 in recorded:
        records.add(log.table, version, Record("the lineage store", sha256, Strength.KEPT))
    for item in log.damaged:  # readers cannot open the table
        yield Finding(item.path, False, _DAMAGED)
    yield from check_gaps(log, on_way)
    newest = max(on_way, default=log.latest)
    yield from _judged(lake, {log.table: log}, log, on_way, records, lambda version: version <= newest)


def changed_tables(logs: Logs, findings: Iterable[Finding]) -> set[str]:
    """The tables of which commits are accused on which something in question depends."""
    accused = [item.what for item in findings if item.ok is False and item.required]
    return {table for table in logs if any(what.startswith((f"{table}/", f"{table}@")) for what in accused)}


def versions_on_way(log: Log, nodes: Sequence[Node]) -> set[int]:
    """The versions of a table that were read, that wrote what was read, and from which its files and columns follow."""
    ours = [item for node in nodes for item in node.slices if item.snapshot.table_id == log.table_id]
    written = {commit.version for node in nodes for commit in node.commits}
    return {item.snapshot.version for item in ours} | written | log.behind(ours)


def _deciding(log: Log, slices: Iterable[Slice], on_way: set[int]) -> Decides:
    """The versions on the way decide. Where the files that were read, or who wrote them, do not follow from the log any more, and
    where nobody recorded that, all versions up to that one do."""
    if not log.table_id:  # the commit that named it is missing
        return lambda version: True
    ours = [item for item in slices if item.snapshot.table_id == log.table_id]
    own = Kind.PREDICTIONS.holds(log.table)  # of which nobody needs to record who else wrote
    open_ = (item.snapshot.version for item in ours if not ((item.names_its_writers or own) and holds(log, item)))
    unproven = max(open_, default=-1)
    return lambda version: version in on_way or version <= unproven


def holds(log: Log, item: Slice) -> bool:
    """Whether the log gives the files that were recorded as read, and who wrote them, and says what columns they have."""
    named = isinstance(log, LogWalk) or bool(log.columns(item.snapshot.version))
    return named and item.names_its_files and is_as_read(log, item) and log.is_written_by(item)


def is_as_read(log: Log, item: Slice) -> bool:
    """Whether the log gives the digest that its reader recorded: of its files, or of these and who wrote their rows."""
    return log.digest(item) == (item.set_digest or item.digest)


def _finding(what: str, ok: bool | None, detail: str, required: bool) -> Finding:
    return Finding(what, ok, detail if required else f"{detail} ({NOTHING_DEPENDS})", required)


def _downstream_first(trace: Trace) -> list[str]:
    """The tables of a trace, each before those that it was made from, as far as tables do not read each other."""
    reads: dict[str, dict[str, None]] = {}
    for node in trace.nodes:
        reads.setdefault(node.table, {}).update({item.table: None for item in node.inputs if item.table != node.table})
    order: list[str] = []
    seen: set[str] = set()

    def visit(table: str) -> None:
        if table not in seen:
            seen.add(table)
            for item in reads.get(table, {}):
                visit(item)
            order.append(table)

    for table in reads:
        visit(table)
    return order[::-1]


# -- who vouches -------------------------------------------------------------------------------------------------------


def _judged(
    lake: Lake, logs: Logs, log: Log, on_way: Iterable[int], records: _Records, decides: Decides
) -> Iterator[Finding]:
    """What is recorded of each commit agrees with it, the newest first: who is found to be changed vouches for nobody."""
    wanted = set(on_way)
    gone = {*log.missing, *(version for version in wanted if version > log.latest)}
    for version in log.walk(wanted):
        entry = log.entry(version)
        if entry is None or entry.commit is None:
            continue
        try:
            sealed = read_seal(lake.storage, log.table, log.table_id, version) if is_sealed(log.table) else None
        except AssayError as problem:
            yield _finding(f"seal of {log.table}@{version}", False, str(problem), decides(version))
        else:
            if sealed is not None:
                records.add(log.table, version, Record(f"seal of {log.table}@{version}", sealed.sha256, Strength.KEPT))
                records.rows[log.table, version].append((f"seal of {log.table}@{version}", sealed.rows))
        found = judge(entry.path, entry.sha256, records.by_version[log.table, version])
        records.wrong |= {(log.table, version)} if found.was_changed else set()
        yield from (_finding(what, False, detail, decides(version)) for what, detail in found.accused)
        alone = version in wanted and not found.vouched and not found.was_changed
        if alone and version + 1 not in gone:  # that it is missing was said
            detail = "nobody vouches for it: no later commit, no seal, no reader, and no witness knows it"
            yield Finding(entry.path, None, detail)
        if not found.was_changed:
            _vouch(logs, log, entry, found, records)
            yield from _counted(entry, records.rows[log.table, version], required=decides(version))


def _vouch(logs: Logs, log: Log, entry: Entry, found: Judgement, records: _Records) -> None:
    """What a commit recorded of others: of its table's commits before it, and of what it read."""
    strength = Strength.VOUCHED if found.vouched else Strength.ALONE
    assert entry.commit is not None
    for before, sha256 in entry.commit.previous.items():
        records.add(log.table, int(before), Record(entry.path, sha256, strength))
    for item in entry.commit.inputs:
        read = item.snapshot
        ours = logs.get(read.table, None)
        same_table = ours is not None and ours.table_id == read.table_id
        if same_table and (read.table != log.table or int(read.version) < entry.version):
            records.add(read.table, read.version, Record(entry.path, read.commit_sha256, strength))


def _counted(entry: Entry, counts: Iterable[tuple[str, int]], *, required: bool) -> Iterator[Finding]:
    """The rows that the commit's files hold are those that were recorded."""
    commit = entry.commit
    if commit is None or commit.rows is None:
        return
    for by, rows in counts:
        if rows != commit.rows:
            yield _finding(by, False, f"recorded {rows} rows of {entry.path}, which says {commit.rows}", required)


def _ask(witness: Witness, trace: Trace, logs: Logs, records: _Records) -> Iterator[Finding]:
    """Take up what a witness recorded of the commits on the way and of the newest ones. One that cannot be asked decides
    nothing."""
    versions: dict[str, set[int]] = defaultdict(set)
    names: dict[str, str] = {}
    runs: set[str] = set()
    for table, log in logs.items():
        if log is not None:
            names[log.table_id] = table
            versions[log.table_id].add(log.latest)
    for node in trace.nodes:
        for item in node.slices:
            versions[item.snapshot.table_id].add(item.snapshot.version)
            names.setdefault(item.snapshot.table_id, item.snapshot.table)
        for commit in node.commits:
            log = logs[node.table]
            runs |= {commit.run_id} if commit.run_id else set()
            if log is not None:
                versions[log.table_id].add(commit.version)
    try:
        found = witness.recorded(versions, runs)
        changed = witness.damaged(runs)
        newest = witness.latest(names)
    except (AssayError, SQLAlchemyError, sqlite3.Error) as problem:  # SQLite's own before it is connected
        why = str(problem) if isinstance(problem, AssayError) else type(problem).__name__
        yield Finding(witness.name, None, f"was not asked: it cannot be read ({why})", required=False)
        return
    for run in changed:
        yield Finding(witness.name, False, f"its record of run {run} was changed after it was stored")
    count = 0
    for item in found:
        table = names.get(item.table_id)
        if table is not None and (log := logs[table]) is not None and log.table_id == item.table_id:
            count += 1
            records.add(table, item.version, Record(witness.name, item.sha256, Strength.KEPT))
            if item.rows is not None:
                records.rows[table, item.version].append((witness.name, item.rows))
    yield from _borrowed(witness, trace, logs, found)
    for table_id, version in newest.items():
        log = logs.get(names[table_id])
        if log is not None and log.table_id == table_id and version > log.latest:
            detail = f"recorded {names[table_id]}@{version}, and the log ends at version {log.latest}: newer commits are missing"
            yield Finding(witness.name, None, detail, required=False)
    yield Finding(witness.name, True if count else None, f"recorded {count} of these commits", required=False)


def _borrowed(witness: Witness, trace: Trace, logs: Logs, found: Iterable[Recorded]) -> Iterator[Finding]:
    """Commits that name a run which, as was recorded when it ended, made others and not these."""
    made: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for item in (item for item in found if item.run):
        made[item.run].add((item.table_id, item.version))
    for commit in writers_on_way(trace):
        log, known = logs[commit.table], made.get(commit.run_id or "", set())
        if log is not None and log.table_id and known and (log.table_id, commit.version) not in known:
            detail = f"names run {commit.run_id}, of which {witness.name} recorded no such commit"
            yield Finding(commit_path(commit.table, commit.version), False, detail)


# -- what the log says -------------------------------------------------------------------------------------------------


def check_gaps(log: Log, on_way: Iterable[int]) -> Iterator[Finding]:
    """Commits that are not in the log: cleaned up before a checkpoint that still has the table, or missing. Whatever was in them,
    no reader can open the versions after a gap."""
    cleaned = [version for version in log.missing if version < log.first]
    if cleaned and log.table_id:
        last = cleaned[-1]
        yield Finding(
            f"{log.table}: log",
            None,
            f"log cleaned up: {'version 0 is' if not last else f'versions 0 to {last} are'} no longer in it, and nobody recorded "
            "why; the table is the same, as its checkpoint shows",
        )
    beyond = [version for version in sorted(set(on_way)) if version > log.latest]
    holes = [version for version in log.missing if version > log.first or not log.table_id]
    for version in (*holes, *beyond):
        yield Finding(
            commit_path(log.table, version), None, f"commit {version} is missing: nobody recorded its removal"
        )


def _slice(lake: Lake, item: Slice, log: Log, records: _Records) -> Iterator[Finding]:
    """A version that was read holds the files that were read. Whether it is the commit that was read, the records of it say."""
    snapshot, what = item.snapshot, f"{item.snapshot} commit"
    if not log.table_id:
        return  # the commit that named it is missing, and that was said
    if (
        snapshot.table_id and log.table_id != snapshot.table_id
    ):  # that of a trace from a log that was cleaned up has none
        yield Finding(what, None, "erased: the table was deleted and made anew")
        return
    entry = log.entry(snapshot.version)
    if entry is None:
        return  # its gap was named
    if not item.names_its_files or holds(log, item):
        return
    if records.changed(log, snapshot.version) or any(entry.version <= snapshot.version for entry in log.damaged):
        return
    if log.is_whole(snapshot.version):
        if entry.sha256 == snapshot.commit_sha256:
            if not is_as_read(log, item):
                whose = "its files" if item.digest else "its files, or the commits that wrote their rows,"
                yield Finding(what, False, f"{whose} are not the ones that were read: the log was changed")
            elif not log.is_written_by(item):
                detail = "its rows are not of the commits that their reader recorded: the log was changed"
                yield Finding(what, False, detail)
        return
    try:  # the checkpoint knows what commits that are gone have said
        files = files_of_slice(lake, item)
    except AssayError as problem:
        yield Finding(what, None, f"which files it held is not known: {problem}")
        return
    if item.set_digest or digest_of(files) != item.digest:
        yield Finding(what, None, "which files it held is not known: commits before it are missing")


def _unrecorded(table: str, slices: Iterable[Slice]) -> Iterator[Finding]:
    """Lookups of a whole table by readers from before, who did not record what it held."""
    count = sum(not item.names_its_files for item in slices)
    if count:
        detail = (
            f"{count} by readers that did not record what the table held: only its log says it (--whole-logs reads it)"
        )
        yield Finding(f"{table}: lookups", None, detail, required=False)


def _unnamed(node: Node, log: Log, records: _Records) -> Iterator[Finding]:
    """The trace may come from an index: the commits that it names as writers are those that the log itself names."""
    ours = [item for item in node.slices if log.table_id == item.snapshot.table_id]
    if len(ours) < len(node.slices) or log.missing or log.damaged:
        return
    if records.changed(log, max((item.snapshot.version for item in ours), default=-1)):
        return
    in_log = {c.version for item in ours for c in log.writers(item.snapshot.version, item.partitions, item.excluded)}
    named = {commit.version for commit in node.commits}
    for version in sorted(named - in_log):
        yield Finding(f"{node.table}@{version}", False, "the log does not name it as a writer of these rows")
    if node.held is not None or node.kind in ("prediction", "model"):  # they show the one that is meant
        return
    for version in sorted(in_log - named):
        yield Finding(f"{node.table}@{version}", False, "wrote some of these rows, and is not in the trace")


def _by_others(node: Node, log: Log) -> Iterator[Finding]:
    """Rows that another tool wrote into a table that runs of Assay write: nothing says what they were made from. Rows that it
    says it only put into other files are looked at by `check_moved_rows`."""
    if node.lookup or node.kind == "prediction" or log.missing or log.damaged or not log.commits:
        return
    for item in (item for item in node.slices if item.snapshot.table_id == log.table_id):
        for version in log.added_by(item.snapshot.version, item.partitions, item.excluded):
            entry = log.entry(version)
            if entry is not None and entry.commit is not None and not entry.commit.run_id and not moves(entry):
                made = entry.commit.operation or "a commit"
                detail = f"{made} by another tool, no run of Assay, wrote rows that were read: what they come from is not known"
                yield Finding(f"{log.table}@{version}", None, detail)


def writers_on_way(trace: Trace) -> list[Commit]:
    """The commits of a trace, each once."""
    return list({(commit.table, commit.version): commit for node in trace.nodes for commit in node.commits}.values())
