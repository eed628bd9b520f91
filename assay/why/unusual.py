"""What was unusual on the way to a prediction, and what has changed since: each in one sentence for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from assay.assets.steps.apply_decisions import LINK
from assay.assets.steps.features import WINDOW
from assay.assets.stored_contracts import stored_contract
from assay.checks.exchange.loosening import loosened
from assay.checks.validation.masking import redact
from assay.errors import AssayError, plural
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState, check_state
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.refusals import find_refusal
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.features_seen import FeaturesSeen
from assay.lineage.tracing.trace import Trace
from assay.lineage.tracing.trace_node import Node
from assay.lineage.verification.as_recorded import not_as_recorded
from assay.why.absent import absent_features
from assay.why.changes import changes
from assay.why.items import Unusual
from assay.why.judged_by import declared_by, meaning
from assay.why.outcomes import in_short, outcomes_by_rule
from assay.why.rows import Late, Link, Released, TableRows

_NAMED = 3  # partitions or rules in a sentence
_GONE = {
    "vacuumed": "some of its data has been deleted to free space",
    "erased": "the table was deleted or made anew",
    "damaged": "its log is damaged",
}


@dataclass(frozen=True)
class Way:
    """The way to a prediction: the nodes of its own data, those of its model's training, and the rows behind it."""

    lake: Lake
    trace: Trace
    own: Sequence[Node]
    training: Sequence[Node]
    behind: Sequence[TableRows]
    now: datetime
    seen: Sequence[FeaturesSeen] = ()
    store: LineageStore | None = None

    def commits(self, node: Node) -> tuple[Commit, ...]:
        """The commits that matter: of features those that made the row that was served, where that is known."""
        served = {
            (one.rows.commit.table, one.rows.commit.version) for one in self.behind if one.rows.commit is not None
        }
        if node.table not in {table for table, _ in served}:
            return node.commits
        return tuple(commit for commit in node.commits if (commit.table, commit.version) in served)


def unusual(way: Way, releases: Sequence[Released], lates: Sequence[Late]) -> list[Unusual]:
    """Everything that is not as usual: first what is about this prediction's own answer, features and rows, then what is about
    whole days, last the warnings about these."""
    found: list[Unusual] = []
    if way.trace.prediction.removed_at is not None:
        text = "The prediction itself is no longer in its table: it was removed after it had been made."
        found.append(Unusual("removed", text, way.trace.root.table))
    if problem := not_as_recorded(way.lake, way.trace):
        found.append(Unusual("not_as_recorded", problem, way.trace.root.table))
    found += absent_features(way.lake, way.trace, way.store, list(way.seen))
    found += [_released(one, way) for one in releases]
    found += [_late(one) for one in lates]
    for nodes, of_training in ((way.own, False), (way.training, True)):
        for node in nodes:
            if node.status != "readable":
                found.append(Unusual("gone", f"{node.table}: {_GONE[node.status]}.", node.table, of_training))
            commits = node.commits if of_training else way.commits(node)
            found += _incomplete(way.lake, commits, of_training)
    found += _set_aside(way)
    found += changes(way.lake, way.behind, way.trace.root.commits[-1].timestamp)
    found += _contracts(way)
    found += _retrained(way)
    own = [commit for node in way.own if node.held is None for commit in way.commits(node)]
    found += _warnings(way.lake, _read_of(way, own), False)
    found += _warnings(way.lake, [commit for node in way.training for commit in node.commits], True)
    # The same may be so of what it read itself and of what its model was trained from.
    return list(dict.fromkeys(found))


def _read_of(way: Way, commits: Sequence[Commit]) -> list[Commit]:
    """The commits of partitions that rows behind the prediction were looked for in; of tables without such rows all."""
    read = _read(way)
    return [c for c in commits if c.table not in read or c.partition is None or c.partition in read[c.table]]


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


# -- single rows -------------------------------------------------------------------------------------------------------


def _released(one: Released, way: Way) -> Unusual:
    rows = f"{plural(len(one.links), 'row')} of {one.table}"
    if one.at is None:
        text = f"{rows} had been set aside and {_was(one)} let in again; who decided that cannot be read: {one.reason}"
        return Unusual("released", text, one.table)
    who = f"by {one.by} on {_moment(one.at)}: “{redact(one.reason)}”."
    changed = f" with other values in {', '.join(one.edits)}" if one.edits else ""
    if not one.exceptions:
        return Unusual("released", f"{rows} had been set aside and {_was(one)} let in again{changed} {who}", one.table)
    declared = next(
        (declared_by(way.lake.storage, c) for b in way.behind if b.table == one.table for c in b.writers), None
    )
    rules = ", ".join(f"{name} ({meaning(name, declared)})" for name in one.exceptions)
    over = " It has ended since." if one.until < f"{way.now:%Y-%m-%d}" else ""
    text = f"{rows} {_was(one)} let in{changed} by an exception from {rules} until {one.until}, granted {who}{over}"
    return Unusual("exception", text, one.table)


def _was(one: Released) -> str:
    return "was" if len(one.links) == 1 else "were"


def _late(one: Late) -> Unusual:
    text = f"{plural(len(one.links), 'row')} of {one.table} {one.partition} came late: on {_moment(one.at)}, {one.after} after "
    return Unusual("late", f"{text}the rest of it had been taken in.", one.table)


def row_notes(releases: Sequence[Released], lates: Sequence[Late]) -> dict[Link, list[str]]:
    """The same in a few words per row."""
    notes: dict[Link, list[str]] = {}
    for one in releases:
        word = (
            f"let in by an exception from {', '.join(one.exceptions)}" if one.exceptions else "released from quarantine"
        )
        for link in one.links:
            notes.setdefault(link, []).append(f"{word} by {one.by}")
    for one in lates:
        for link in one.links:
            notes.setdefault(link, []).append(f"came late, on {_moment(one.at)}")
    return notes


# -- steps -------------------------------------------------------------------------------------------------------------


def _incomplete(lake: Lake, commits: Sequence[Commit], of_training: bool) -> Iterator[Unusual]:
    for commit in commits:
        for check in commit.checks:
            if check["name"] == WINDOW and not check["passed"]:
                absent = check["message"].partition(": ")[2].rstrip(".").split(", ")
                what = f"{commit.table} {commit.partition or ''}".strip()
                text = f"{what} was counted over incomplete data: {in_short(absent)} not there."
                why = [_fate(lake, *name.rpartition(" ")[::2]) for name in absent[:_NAMED] if " " in name]
                yield Unusual("incomplete", " ".join([text, *filter(None, why)]), commit.table, of_training)


def _fate(lake: Lake, table: str, partition: str) -> str:
    """What became of a partition that was not there."""
    tables = (table, Kind.RAW.table(own_name(table))) if Kind.CLEAN.holds(table) else (table,)
    refusal = next((one for name in tables if (one := find_refusal(lake, name, partition)) is not None), None)
    if refusal is not None:
        how = "could not be made" if refusal.failed else f"was refused by {refusal.table} on {_moment(refusal.at)}"
        return f"{partition} {how}: {refusal.problem}"
    try:
        there = lake.table(table).at().partitions([partition])
    except AssayError:
        there = []
    return f"{partition} has come since." if there else f"{partition} was never delivered."


def _warnings(lake: Lake, commits: Sequence[Commit], of_training: bool) -> Iterator[Unusual]:
    """Rules that did not hold and removed nothing: one sentence per table and rule, over all of the partitions."""
    once = {(commit.table, commit.version): commit for commit in commits}
    tables = {commit.table for commit in commits}
    for (table, rule), outcomes in outcomes_by_rule(once[key] for key in sorted(once)).items():
        warned = [commit for commit, check in outcomes.judged if check_state(check) is CheckState.WARNED]
        if not warned or rule == WINDOW or table not in tables:
            continue
        demands = meaning(rule, declared_by(lake.storage, warned[-1]))
        day = f" {warned[0].partition}" if len(outcomes.judged) == 1 and warned[0].partition else ""
        text = f"A warning about {table}{day}: “{demands}” {outcomes.in_words('row')} ({rule})."
        yield Unusual("warning", text, table, of_training)


# -- what is not in it -------------------------------------------------------------------------------------------------


def _set_aside(way: Way) -> Iterator[Unusual]:
    """Rows that would count if they did not lie in quarantine: about the same keys, where rows with these were looked for."""
    row = way.trace.prediction.row
    for table in dict.fromkeys(one.table for one in way.behind if Kind.CLEAN.holds(one.table)):
        try:
            state = way.lake.table(Kind.QUARANTINE.table(own_name(table))).at()
        except AssayError:
            continue
        links: set[Link] = set()
        names: dict[str, None] = {}
        matched: dict[str, None] = {}
        for one in (one for one in way.behind if one.table == table):
            keys = [key for key in one.rows.keys if key in state.schema and key in row]
            if not keys or len(keys) < len(one.rows.keys):
                continue
            same = pl.all_horizontal(pl.col(key).cast(pl.String) == str(row[key]) for key in keys)
            status = pl.col("_status").fill_null("held") if "_status" in state.schema else pl.lit("held")
            rows = state.scan(state.partitions(_partitions_read(one))).filter(same & (status != "released"))
            aside = rows.select(*LINK, "_rules").collect()
            if aside.height:
                matched[" and ".join(keys)] = None
                links |= set(aside.select(LINK).rows())
                names |= dict.fromkeys(aside["_rules"].explode().drop_nulls())
        if links:
            are = "is in quarantine and does not count" if len(links) == 1 else "are in quarantine and do not count"
            same_keys = " or ".join(matched)
            text = f"{plural(len(links), 'row')} with the same {same_keys} {are}: {in_short(list(names))} ({table})."
            yield Unusual("set_aside", text, table)


def _partitions_read(one: TableRows) -> list[str]:
    item = one.rows.read
    keys = item.partitions if item.partitions is not None else tuple(one.state.partitions())
    return [key for key in keys if key not in item.excluded]


def _read(way: Way) -> dict[str, list[str]]:
    """The partitions that were read of each table with rows behind the prediction."""
    read: dict[str, dict[str, None]] = {}
    for one in way.behind:
        read.setdefault(one.table, {}).update(dict.fromkeys(_partitions_read(one)))
    return {table: list(keys) for table, keys in read.items()}


# -- what has changed since --------------------------------------------------------------------------------------------


def _contracts(way: Way) -> Iterator[Unusual]:
    for node in (node for node in way.own if Kind.CLEAN.holds(node.table)):
        judged = next((commit for commit in reversed(node.commits) if commit.contract), None)
        if judged is None or not judged.contract or node.lookup:
            continue
        newest = _newest(way.lake, node.table)
        now = newest.contract if newest is not None and newest.contract else judged.contract
        if now.get("digest") == judged.contract.get("digest"):
            continue
        versions = f"{judged.contract.get('name')} {judged.contract.get('version')} → {now.get('version')}"
        rules = _looser(way.lake, str(judged.contract.get("digest")), str(now.get("digest")))
        if rules is None:
            text = f"The contract of {node.table} was changed after the prediction ({versions}): `assay contract show` has both."
            yield Unusual("contract_changed", text, node.table)
        elif rules:
            demands = "; ".join(meaning(rule, declared_by(way.lake.storage, judged)) for rule in sorted(rules)[:_NAMED])
            text = f"The contract of {node.table} was loosened after the prediction ({versions})."
            text += f" When it judged these rows it demanded that {demands}."
            yield Unusual("contract_loosened", text, node.table)


def _newest(lake: Lake, table: str) -> Commit | None:
    state = _state(lake, table)
    version = state.index.last_written(state.version) if state is not None else None
    return state.index.commit(version) if state is not None and version is not None else None


def _state(lake: Lake, table: str) -> TableState | None:
    try:
        return lake.table(table).at()
    except AssayError:  # gone or damaged, which the node's status says
        return None


def _looser(lake: Lake, old: str, new: str) -> frozenset[str] | None:
    """By which rules rows left under one contract and may stay under another; None where it does not only loosen that one."""
    try:
        before, after = stored_contract(lake.storage, old), stored_contract(lake.storage, new)
    except AssayError:
        return None
    return loosened(before, after) if before is not None and after is not None else None


def _retrained(way: Way) -> Iterator[Unusual]:
    for node in (node for node in way.trace.nodes if node.kind == "model" and not node.lookup):
        if node.details.get("row") == "gone":
            text = f"The stored model {node.details.get('model_version')} is gone: its answer cannot be computed again."
            yield Unusual("gone", text, node.table)
        state = _state(way.lake, node.table)
        written = state.index.written(state.version) if state is not None else []
        later = [version for version in written if node.commits and version > node.commits[-1].version]
        if state is None or not later:
            continue
        newest = state.index.commit(later[-1])
        name = f" ({newest.model.version[:12]})" if newest.model is not None and newest.model.version else ""
        text = f"The model was trained again after this one: {plural(len(later), 'newer version')}, "
        text += f"the last on {_moment(newest.timestamp)}{name}."
        yield Unusual("retrained", text, node.table)
