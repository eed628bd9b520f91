"""What a text finds as an id: runs, versions, digests and tables by the beginning or the ending of what identifies them, and
datasets and jobs by their node's id, by `table@version`, or by an address.

Ids are printed whole, by their first characters, by their last ones (`…1f90ccda4d`), or by both (`f00…4d21a`).
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from assay.features.tables.kinds import Kind as TableKind
from assay.lineage.events.naming import LOGICAL, dataset_name
from assay.lineage.queries.nodes import NodeReader
from assay.lineage.store.labels import CONTRACT

Kind = Literal["dataset", "job", "run", "version", "row", "column", "rule", "contract", "owner", "tag", "code"]
SHORTEST = 6  # characters of a beginning
_SHORTEST_ENDING = 4
_SHORTEST_ID = 32  # characters of a whole one: numbers of versions are looked for as `table@version`
_ID = re.compile(rf"[0-9a-f][0-9a-f-]{{{SHORTEST - 1},63}}")
_ENDING = re.compile(rf"[0-9a-f-]{{{_SHORTEST_ENDING},31}}")
_CUT = re.compile(r"([0-9a-f-]{0,63})(?:…|\.{3})([0-9a-f-]{1,63})|([0-9a-f-]{3,63})(?:…|\.{3})")
_CONTRACT = re.compile(r"(\S+)[ @]v?([0-9]\S*)")
_LEAST_OF_CUT = 4  # characters of a beginning and an ending together


@dataclass(frozen=True, slots=True)
class Hit:
    """`namespace` and `name` are of the dataset or job that it leads to, `text` what was found of it (a column, a rule, an owner,
    a tag, another name, an id; "" for itself), `version` that of a dataset. `node` is the id in the graph. `formerly`: a column,
    owner, or tag that the latest events do not name any more."""

    kind: Kind
    namespace: str
    name: str
    text: str
    node: str
    version: str = ""
    formerly: bool = False


def by_whole_id(connection: sa.Connection, text: str) -> Iterator[Hit]:
    """What a text is the id of, but for runs: a node's id, `table@version`, an address, a contract with its version."""
    reader = NodeReader(connection)
    for others_too, node_id in _node_ids(text):
        node = reader.find(node_id)
        if node is not None and node.kind != "run":
            kind: Kind = "version" if node.kind == "dataset" and node.version else node.kind
            yield Hit(kind, node.namespace, node.name, "", node.id, node.version or "")
            if not others_too:
                return
    if named := _CONTRACT.fullmatch(text):
        query = "SELECT namespace, name, text FROM labels WHERE kind = :kind AND text = :text ORDER BY 1, 2"
        given = {"kind": CONTRACT, "text": f"{named[1]}@{named[2]}"}
        for row in connection.execute(sa.text(query), given):
            yield Hit("contract", row.namespace, row.name, row.text, f"job:{row.namespace}:{row.name}")


def by_part_of_id(connection: sa.Connection, text: str, most: int) -> Iterator[Hit]:
    """Runs, versions and tables whose ids, or digests, begin so (6 characters at least), or are cut so (`…da4d`)."""
    low = text.lower()
    if _ID.fullmatch(low):
        yield from _identified(connection, low, "", most)
    elif cut := _CUT.fullmatch(low):
        beginning, ending = cut[1] or cut[3] or "", cut[2] or ""
        if len(beginning + ending) >= _LEAST_OF_CUT:
            yield from _identified(connection, beginning, ending, most)


def by_ending(connection: sa.Connection, text: str, most: int) -> Iterator[Hit]:
    """Runs, versions and tables whose ids end so (4 characters at least). It looks at every one of them."""
    low = text.lower()
    if _ENDING.fullmatch(low):
        yield from _identified(connection, "", low, most)


def _node_ids(text: str) -> Iterator[tuple[bool, str]]:
    """Ids that a text may be: itself, `table@version`, an address, the path of a file. True: also the next ones."""
    if text.startswith(("dataset:", "job:")):
        yield False, text
    elif "://" in text or text.startswith("/"):
        with suppress(ValueError):  # such as http://[::1
            name = dataset_name(text)
            yield False, f"dataset:{name.namespace}:{name.name}"
    elif "@" in text:
        yield False, f"dataset:{LOGICAL}:{text}"
        yield False, f"dataset:{text}"
        if "/" not in text:  # training sets are printed without the folder of their table
            yield from ((True, f"dataset:{LOGICAL}:{kind.table(text)}") for kind in reversed(TableKind))
    elif "/" in text:
        yield False, f"dataset:file:{text}"


def _identified(connection: sa.Connection, beginning: str, ending: str, most: int) -> Iterator[Hit]:
    yield from _runs(connection, _with_dashes(beginning), ending, most)
    yield from _versions(connection, beginning, ending, most)


def _with_dashes(text: str) -> str:
    """The beginning of a UUID as ids are written."""
    digits, parts = text.replace("-", ""), []
    for length in (8, 4, 4, 4, 12):
        parts.append(digits[:length])
        digits = digits[length:]
    return "-".join(part for part in parts if part)


def _runs(connection: sa.Connection, beginning: str, ending: str, most: int) -> Iterator[Hit]:
    """By their own ids, and the steps of a Dagster run by that run's."""
    query = "SELECT {0}, j.namespace, j.name, r.run_id FROM runs r JOIN jobs j ON j.id = r.job_id"
    for column in ("r.run_id", "r.parent_id"):
        for row in _like(connection, query.format(column), column, beginning, ending, most):
            yield Hit("run", row[1], row[2], row[0], f"run:{row[3]}")


def _versions(connection: sa.Connection, beginning: str, ending: str, most: int) -> Iterator[Hit]:
    query = "SELECT {0}, d.namespace, d.name, v.version FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id"
    for column in ("v.commit_sha256", "v.version", "d.table_id"):
        if column == "d.table_id":
            query = "SELECT d.table_id, d.namespace, d.name, '' FROM datasets d"
        for row in _like(connection, query.format(column), column, beginning, ending, most):
            node = f"dataset:{row[1]}:{row[2]}" + (f"@{row[3]}" if row[3] else "")
            yield Hit("version", row[1], row[2], row[0], node, row[3])


def _like(connection: sa.Connection, query: str, column: str, beginning: str, ending: str, most: int) -> Sequence[Any]:
    """Texts of small letters, digits and dashes that begin and end so: on SQLite a beginning is a range of the index."""
    sqlite = connection.dialect.name == "sqlite"
    where, given = [], dict[str, Any](most=most)
    if beginning:
        where.append(f"{column} >= :text AND {column} < :after" if sqlite else f"{column} LIKE :after")
        given |= {"text": beginning, "after": f"{beginning}g" if sqlite else f"{beginning}%"}
    if ending:
        end = f"substr({column}, -{len(ending)})" if sqlite else f"right({column}, {len(ending)})"
        where.append(f"{end} = :ending AND length({column}) >= {_SHORTEST_ID}")
        given["ending"] = ending
    conditions = " AND ".join(where)
    return connection.execute(sa.text(f"{query} WHERE {conditions} ORDER BY 1 LIMIT :most"), given).all()
