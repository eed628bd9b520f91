"""A rule added to the Python source of a contract, with all else left as people wrote it."""

import ast
import re
from collections.abc import Sequence

from assay.errors import AssayError


def with_argument(source: str, contract: str, column: str, argument: str, comment: str) -> str:
    """The source with one more argument of a column's `Field`, under a comment.

    Args:
        source: Of the module.
        contract: The class.
        column: The column, by its name in the data.
        argument: Such as `notin=["x"]`.
        comment: Who added it and why, in one line.

    Raises:
        AssayError: The class or column is not declared there, or the Field says something of this kind already.
    """
    declared = _column(_class(source, contract), column)
    if declared is None:
        raise AssayError(f"{contract} does not declare {column} in this file: add {argument} to its Field by hand.")
    lines = source.splitlines(keepends=True)
    field = declared.value
    name = argument.partition("=")[0]
    if field is None:
        at, text = _offset(lines, declared.end_lineno, declared.end_col_offset), f" = Field({argument})"
    elif not isinstance(field, ast.Call):
        raise AssayError(f"{contract}.{column} is not declared by Field(…): add {argument} by hand.")
    elif any(keyword.arg in (name, None) for keyword in field.keywords):
        raise AssayError(f"{contract}.{column} has {name} already: merge {argument} by hand.")
    elif given := [*field.args, *(keyword.value for keyword in field.keywords)]:
        last = max(given, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0))
        at, text = _offset(lines, last.end_lineno, last.end_col_offset), f", {argument}"
    else:
        at, text = _offset(lines, field.end_lineno, field.end_col_offset) - len(")"), argument
    edited = _insert(source, at, text)
    start = _offset(lines, declared.lineno, declared.col_offset)
    indent = " " * declared.col_offset
    return _insert(edited, start, f"# {_line(comment)}\n{indent}")


def with_method(source: str, contract: str, method: Sequence[str], comment: str) -> str:
    """The source with one more `@rule` at the end of the contract. Imports that it needs are added.

    Raises:
        AssayError: The class is not declared there, or has a method of this name.
    """
    node = _class(source, contract)
    name = re.search(r"def (\w+)", "\n".join(method))
    if name and any(isinstance(item, ast.FunctionDef) and item.name == name[1] for item in node.body):
        raise AssayError(f"{contract} has a rule {name[1]} already: change it by hand.")
    lines = source.splitlines(keepends=True)
    at = _offset(lines, node.end_lineno, node.end_col_offset)
    text = "\n".join(["", "", f"    # {_line(comment)}", *method])
    return _with_imports(_insert(source, at, text))


def _class(source: str, contract: str) -> ast.ClassDef:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == contract:
            return node
    raise AssayError(f"There is no class {contract} in this file: add the rule by hand.")


def _column(node: ast.ClassDef, column: str) -> ast.AnnAssign | None:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _name(item) == column:
            return item
    return None


def _name(item: ast.AnnAssign) -> str:
    """The column's name in the data: its alias, else the attribute."""
    for keyword in item.value.keywords if isinstance(item.value, ast.Call) else ():
        if keyword.arg == "alias" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return item.target.id if isinstance(item.target, ast.Name) else ""


def _offset(lines: Sequence[str], line: int | None, column: int | None) -> int:
    """The byte at which a line and column of the syntax tree is."""
    return sum(len(text.encode()) for text in lines[: (line or 1) - 1]) + (column or 0)


def _insert(source: str, at: int, text: str) -> str:
    data = source.encode()
    return (data[:at] + text.encode() + data[at:]).decode()


def _line(comment: str) -> str:
    return " ".join(comment.split())


def _with_imports(source: str) -> str:
    """With `pl` and `rule`, which a method needs, at the first imports of the file."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    wanted = [
        text
        for name, text in (("pl", "import polars as pl\n"), ("rule", "from assay.checks import rule\n"))
        if name not in names
    ]
    first = next(
        (node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) and not _future(node)), None
    )
    if not wanted or first is None:
        return source
    return _insert(source, _offset(source.splitlines(keepends=True), first.lineno, 0), "".join(wanted))


def _future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
