"""Traces and impacts as trees for the terminal."""

import io
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from assay.lineage.predictions.attachments import in_words

if TYPE_CHECKING:
    from assay.features.tables.commit_metadata import SourceFile
    from assay.lineage.tracing.impact import Affected, Impact
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.tracing.trace_node import Node
    from assay.lineage.tracing.verify import Verification

_FILES = 8  # shown of a list; `to_dict` has them all
_SHORT = 12
_LONG = 400  # characters of an explanation


def trace_tree(trace: "Trace") -> Tree:
    """The whole way as a tree. What is shown once is only named when it is met again; long lists are shortened."""
    row, root = trace.prediction.row, trace.root
    outputs = [f"{name} {row[name]}" for name in ("intent", "confidence") if row.get(name) is not None]
    said = f": {escape(', '.join(outputs))}" if outputs else ""
    title = f"[bold]prediction {root.name}[/] of {trace.prediction.model} {row['model_version']}{said}"
    attached = [f"[dim]{name}[/] {escape(_one_line(text))}" for name, text in in_words(row)]
    tree = Tree("\n".join([title, *attached, _title(root), _facts(root)]))
    _branches(tree, root, {id(root)})
    return tree


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[:_LONG]} … (--json has all of it)"


def _branches(tree: Tree, node: "Node", seen: set[int]) -> None:
    for item in node.inputs:
        if id(item) in seen:
            tree.add(f"{_title(item)} [dim](shown above)[/]")
            continue
        seen.add(id(item))
        branch = tree.add(f"{_title(item)}\n{_facts(item)}")
        _branches(branch, item, seen)
        for line in _files(item.files):
            branch.add(line)


def _title(node: "Node") -> str:
    looked_up = "[dim]looked up:[/] " if node.lookup else ""
    version = node.details.get("model_version") if node.kind == "model" else None
    which = f" model [bold]{escape(version)}[/]" if version else ""
    state = "" if node.status == "readable" else f" [bold red]{node.status}[/]"
    return f"{looked_up}[bold]{escape(node.table)}[/]@{node.snapshot.version}{which}  {shorten(node.partitions)}{state}"


def _facts(node: "Node") -> str:
    """Who made it, by what code, checked by what, in one dim line."""
    if not node.commits:
        return "[dim]held nothing yet[/]" if node.status == "readable" else "[dim]its log is gone[/]"
    last, more = node.commits[-1], len(node.commits) - 1
    facts = [f"run {last.run_id}" + (f" and {more} more" if more else "")]
    if last.code_version:
        facts.append(f"code {last.code_version[:_SHORT]}")
    facts += [f"contract {item['name']} {item['version']}" for item in node.contracts]
    if node.checks:
        failed = [check["name"] for check in node.checks if not check["passed"]]
        passed = f"{len(node.checks) - len(failed)} of {len(node.checks)} checks passed"
        facts.append(passed + (f", failed: {', '.join(failed)}" if failed else ""))
    facts += [f"{name} {_short(node.details[name])}" for name in ("sha256", "training_set") if name in node.details]
    return f"[dim]{escape(' · '.join(facts))}[/]"


def _short(value: Any) -> str:
    text = str(value)
    return text[:_SHORT] if len(text) == 64 else text


def _files(files: "Sequence[SourceFile]") -> Iterable[str]:
    shown = files if len(files) <= _FILES else files[: _FILES // 2]
    yield from (_file(item) for item in shown)
    if len(files) > _FILES:
        yield f"[dim]… {len(files) - _FILES} more files (--json lists them)[/]"
        yield from (_file(item) for item in files[-(_FILES // 2) :])


def _file(item: "SourceFile") -> str:
    return f"{escape(item.path)}  [cyan]sha256 {item.sha256}[/]  [dim]{item.rows} rows[/]"


def shorten(partitions: Sequence[str] | None) -> str:
    """`30 days 2026-08-25 … 2026-09-23` for consecutive days, else `3 partitions: a … c`; one is named, None is `all of it`."""
    if partitions is None:
        return "all of it"
    if len(partitions) <= 1:
        return " ".join(partitions) or "nothing"
    days = [_day(item) for item in partitions]
    if None not in days and days == [days[0] + timedelta(n) if days[0] else None for n in range(len(days))]:
        return f"{len(days)} days {partitions[0]} … {partitions[-1]}"
    return f"{len(partitions)} partitions {partitions[0]} … {partitions[-1]}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def impact_tree(impact: "Impact") -> Tree:
    """What is downstream, one line per table."""
    verdict = "complete" if impact.complete else f"truncated: {'; '.join(impact.reasons)}"
    tree = Tree(f"[bold]impact of {escape(impact.origin_text)}[/] ({escape(verdict)})")
    for item in impact.affected:
        columns = _columns(item)
        live = "" if item.live == len(item.versions) else f", {item.live} of {len(item.versions)} versions still in use"
        tree.add(
            f"[bold]{escape(item.table)}[/]  {shorten(item.partitions)}  {item.rows} rows[dim]{escape(columns + live)}[/]"
        )
    for item in impact.lookups:
        tree.add(f"[dim]looked up by:[/] {escape(item.table)}  {shorten(item.partitions)}")
    for kind, names in (("training sets", impact.training_sets), ("models", impact.models)):
        if names:
            tree.add(f"{kind}: {escape(', '.join(names))}")
    for note in impact.notes:
        tree.add(f"[dim]{escape(note)}[/]")
    tree.add(f"[bold]{impact.predictions} predictions[/]")
    return tree


def _columns(item: "Affected") -> str:
    """What is sure first; it is said of which columns it only chose rows, and which only may be affected."""
    if item.columns is None:
        return ""
    if item.columns == item.unknown:
        return ", any column"
    sure = [name for name in item.columns if name not in item.indirect and name not in item.unknown]
    groups = (("columns", sure), ("indirectly", item.indirect), ("perhaps", item.unknown))
    return "".join(f", {kind} {_listed(names)}" for kind, names in groups if names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_FILES]) + (f" and {len(names) - _FILES} more" if len(names) > _FILES else "")


def verification_tree(found: "Verification") -> Tree:
    """The verdict, then what speaks against it, what could not be checked, and what holds."""
    colour = {"verified": "green", "incomplete": "yellow", "broken": "red"}[found.outcome]
    tree = Tree(f"[bold {colour}]{found.outcome}[/]")
    for ok, mark in ((False, "[bold red]✗[/]"), (None, "[yellow]–[/]"), (True, "[green]✓[/]")):
        for item in (item for item in found.checks if item.ok is ok):
            tree.add(f"{mark} {escape(item.what)}  [dim]{escape(item.detail)}[/]")
    return tree


def to_text(tree: Tree, width: int = 160) -> str:
    """A tree without colours."""
    console = Console(file=io.StringIO(), width=width, no_color=True, highlight=False, soft_wrap=True)
    with console.capture() as capture:
        console.print(tree)
    return capture.get()
