"""Column lineage as a tree for the terminal: a line per column, whatever the number of versions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.tree import Tree

from assay.lineage.columns.graph import ColumnNode, ColumnTrace

_Column = tuple[str, str]  # table, column
_Onward = Mapping[_Column, Mapping[_Column, set[bool]]]


def columns_tree(trace: ColumnTrace) -> Tree:
    """From the column outwards. What is shown once is only named when it is met again."""
    versions: dict[_Column, set[int]] = defaultdict(set)
    for node in (*trace.origin, *(end for edge in trace.edges for end in (edge.source, edge.target))):
        versions[_column(node)].add(node.version)
    onward: dict[_Column, dict[_Column, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for edge in trace.edges:
        near, far = (edge.target, edge.source) if trace.direction == "up" else (edge.source, edge.target)
        onward[_column(near)][_column(far)].add(edge.direct)
    tree = Tree("[bold]nothing was written[/]")
    for column in dict.fromkeys(map(_column, trace.origin)):
        tree.label = (
            f"{_title(column, versions[column])} [dim]{'comes from' if trace.direction == 'up' else 'leads to'}[/]"
        )
        _branches(tree, column, onward, versions, {column})
    unknown: dict[str, dict[str, None]] = defaultdict(dict)
    for node in trace.unknown:
        unknown[node.table][node.column] = None
    for table, names in unknown.items():
        tree.add(f"[yellow]{escape(table)} does not say what these come from: {escape(', '.join(names))}[/]")
    for reason in trace.reasons:
        tree.add(f"[yellow]{escape(reason)}[/]")
    return tree


def _branches(
    tree: Tree, column: _Column, onward: _Onward, versions: Mapping[_Column, set[int]], seen: set[_Column]
) -> None:
    for other, direct in sorted(onward.get(column, {}).items(), key=lambda item: (True not in item[1], item[0])):
        how = " and ".join(name for name, kind in (("direct", True), ("indirect", False)) if kind in direct)
        if other in seen:
            tree.add(f"{_title(other)}  {how} [dim](shown above)[/]")
            continue
        seen.add(other)
        _branches(tree.add(f"{_title(other, versions[other])}  {how}"), other, onward, versions, seen)


def _title(column: _Column, versions: set[int] | None = None) -> str:
    said = f"  [dim]{_versions(sorted(versions))}[/]" if versions else ""
    return f"[bold]{escape('.'.join(column))}[/]{said}"


def _versions(versions: Sequence[int]) -> str:
    """`version 3`, or `30 versions 1 … 30`."""
    if len(versions) == 1:
        return f"version {versions[0]}"
    return f"{len(versions)} versions {versions[0]} … {versions[-1]}"


def _column(node: ColumnNode) -> _Column:
    return node.table, node.column
