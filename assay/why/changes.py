"""What has come, gone or changed of the rows behind a prediction: before it was made, unseen by its features, and since."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import polars as pl

from assay.assets.steps.apply_decisions import LINK
from assay.errors import AssayError, plural
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.own_columns import is_link
from assay.why.items import Unusual
from assay.why.rows import Link, TableRows

_WORDS = {"came": "more behind it", "went": "fewer behind it", "changed": "with other values"}


def changes(lake: Lake, behind: Sequence[TableRows], made: datetime) -> Iterator[Unusual]:
    """What the same question finds now and did not when the prediction was made; and which rows were there then, but came after
    the features had been computed that the prediction was given."""
    since: dict[str, dict[str, set[Link]]] = {}
    for one in behind:
        now = _now(lake, one)
        # Only these versions changed what was read; that of any other holds the same files, which are not read again.
        changed = now.changed_since(one.state.version, one.rows.read.partitions, one.rows.read.excluded) if now else []
        if now is None or not changed:
            continue
        then = lake.table(one.table).at(_version_at(now, one.state.version, made))
        before = one.frame if then.version < changed[0] else _rows(one, then)
        after = before if then.version >= changed[-1] else _rows(one, now)
        if before is None or after is None:
            continue
        came = _digests(before, one.frame).keys() - _digests(one.frame, before).keys()
        if came and one.rows.commit is not None:
            text = f"{one.rows.commit.table} had been computed before {plural(len(came), 'row')} of {one.table} came that would "
            text += "count in it: the prediction was given the values without."
            yield Unusual("stale", text, one.rows.commit.table)
        if before is not after:
            found = since.setdefault(one.table, {"came": set(), "went": set(), "changed": set()})
            old, new = _digests(before, after), _digests(after, before)
            found["came"] |= new.keys() - old.keys()
            found["went"] |= old.keys() - new.keys()
            found["changed"] |= {link for link in old.keys() & new.keys() if old[link] != new[link]}
    for table, found in since.items():
        parts = [f"{plural(len(links), 'row')} {_WORDS[what]}" for what, links in found.items() if links]
        if parts:
            text = f"{table} has changed after the prediction, which did not know that: now there are {' and '.join(parts)}."
            yield Unusual("changed_since", text.replace("there are 1 ", "there is 1 "), table)


def _now(lake: Lake, one: TableRows) -> TableState | None:
    """The table as it is now; None where it is gone, damaged or another one, which the node's status says."""
    try:
        now = lake.table(one.table).at()
    except AssayError:
        return None
    return now if now.table_id == one.state.table_id and set(LINK) <= {*one.state.schema} & {*now.schema} else None


def _version_at(now: TableState, read: int, made: datetime) -> int:
    """The newest version when the prediction was made: that which it read, at least."""
    return max(read, next(now.newest_versions(made), read))


def _rows(one: TableRows, state: TableState) -> pl.DataFrame | None:
    """What the same question finds in another version."""
    item = one.rows.read
    try:
        rows = state.scan(state.partitions(item.partitions) if item.partitions is not None else None, item.excluded)
        return rows.filter(one.rows.condition).collect()
    except (AssayError, *UNREADABLE):
        return None


def _digests(frame: pl.DataFrame, other: pl.DataFrame) -> dict[Link, str]:
    """The digest of each row's data, of the columns that both have."""
    columns = [name for name in frame.columns if name in other.columns and not is_link(name)]
    same = [name for name in columns if frame.schema[name] == other.schema[name]]
    return dict(zip(frame.select(LINK).rows(), row_digests(frame.select(same)), strict=True)) if same else {}
