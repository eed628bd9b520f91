"""Every table of a lake as it is now, and what the checks of all that it holds come to."""

from collections.abc import Callable, Collection, Iterator

from assay.assets.planning.undeclared import undeclared_line, undeclared_tables
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState, together
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.web.badges import Badge, checks_badge
from assay.web.html import link
from assay.why.judged_by import declared_by, meaning


def table_states(lake: Lake, kind: Kind | None = None) -> Iterator[tuple[str, TableState | AssayError]]:
    """By name, of all tables or of one kind; an error in place of what cannot be read."""
    for name in lake.tables() if kind is None else lake.tables(kind.folder):
        try:
            state = lake.table(name).at()
            state.last_commit  # noqa: B018 - a damaged one is one line of the list, not the end of the page
            yield name, state
        except AssayError as problem:
            yield name, problem


def undeclared_badges(lake: Lake, declared: Collection[str] | None) -> dict[str, Badge]:
    """A mark on each table that no step of the project writes any more; nothing where it is not known which are declared."""
    found = undeclared_tables(lake, declared) if declared is not None else {}
    return {table: Badge("– no longer declared", "plain", undeclared_line(table, at)) for table, at in found.items()}


def state_badge(state: TableState) -> Badge | None:
    """The checks of all live batches: a rule that an earlier day broke is not forgotten when the next day keeps it."""
    verdicts = state.index.verdicts(state.version)
    names = together(verdict for verdict, _ in verdicts)
    mattering = {CheckState.SET_ASIDE, CheckState.WARNED} & {state for state, some in names.items() if some}
    batches = sum(count for verdict, count in verdicts if verdict.names)
    broken = sum(count for verdict, count in verdicts if verdict.broken)
    where = f"in {broken} of {batches} batches" if mattering else ""
    words = rule_words(state.table.lake, state.last_commit) if mattering else str
    return checks_badge(names, where=where, words=words, rows=rows_aside(state.table.lake, state.table.name))


def rule_words(lake: Lake, commit: Commit) -> Callable[[str], str]:
    """What each rule demands, by the contract that judged a commit."""
    declared = declared_by(lake.storage, commit)
    return (lambda rule: meaning(rule, declared)) if declared is not None else str


def rows_aside(lake: Lake, table: str) -> str:
    """Where the rows of a clean table are that were set aside; "" where none were."""
    aside = Kind.QUARANTINE.table(own_name(table)) if Kind.CLEAN.holds(table) else ""
    return link(f"/versions/{aside}") if aside and lake.table(aside).exists() else ""
