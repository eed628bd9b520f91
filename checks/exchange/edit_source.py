"""A rule added to the Python source of a contract, with all else left as people wrote it.

Places are bytes, as the syntax tree counts them. Whatever was edited is parsed again: its tree must be the old one with the
addition and nothing else. Where that is not so, the source is not changed, and the error says where to add it by hand. It does
not say what, since a rule may quote values.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from assay.errors import AssayError

#: What stands between the last argument of a call and its end: comments, then what closes or divides.
_SIGNS = re.compile(rb"#[^\r\n]*|[(),]")
#: Where a line ends for Python: not at form feeds or at the separators of Unicode, as `str.splitlines` has it.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANK = re.compile(rb"[ \t\f]*")
_IMPORTS = {
    "pl": "import polars as pl",
    "rule": "from assay.checks import rule",
    "Field": "from assay.checks import Field",
}


def with_argument(source: str, contract: str, column: str, argument: str, comment: str) -> str:
    """The source with one more argument of a column's `Field`, under a comment.

    Args:
        source: Of the module.
        contract: The class.
        column: The column, by its name in the data.
        argument: Such as `notin=["x"]`: a name and a literal.
        comment: Who added it and why, in one line.

    Raises:
        AssayError: The class or column is not declared there, the Field says something of this kind already, or the source
            cannot be edited surely.
    """
    by_hand = f"add the rule to the Field of {contract}.{one_line(column)} by hand"
    added = _keyword(argument, by_hand)
    tree = _parsed(source, by_hand)
    declared = _column(_class(tree, contract, by_hand), contract, column, by_hand)
    data, field = source.encode(), declared.value
    imports: list[ast.stmt] = []
    if field is None:
        at, text = _offset(data, declared.end_lineno, declared.end_col_offset), f" = Field({argument})"
        declared.value = ast.Call(ast.Name("Field", ast.Load()), [], [added])
        imports = _missing_imports(tree, ("Field",))
    elif not isinstance(field, ast.Call):
        raise AssayError(f"{contract}.{one_line(column)} is not declared by Field(…): {by_hand}.")
    elif any(keyword.arg is None for keyword in field.keywords):
        raise AssayError(f"{contract}.{one_line(column)} has arguments by **, which cannot be seen here: {by_hand}.")
    elif any(keyword.arg == added.arg for keyword in field.keywords):
        raise AssayError(f"{contract}.{one_line(column)} has {added.arg} already: merge the two by hand.")
    else:
        at, text = _argument_place(data, field, argument)
        field.keywords.append(added)
    start = _line_start(data, declared.lineno)
    note = _indentation(data, start) + f"# {one_line(comment)}{_newline(source)}".encode()
    insertions = [(start, note), (at, text.encode()), *_import_insertions(source, tree, imports)]
    return _checked(_inserted(data, insertions), _with_imports(tree, imports), by_hand)


def with_method(source: str, contract: str, method: Sequence[str], comment: str) -> str:
    """The source with one more `@rule` at the end of the contract. Imports that it needs are added.

    Raises:
        AssayError: The class is not declared there, has a method of this name, or the source cannot be edited surely.
    """
    by_hand = f"add the rule to {contract} by hand"
    added = _function(method, by_hand)
    tree = _parsed(source, by_hand)
    node = _class(tree, contract, by_hand)
    if any(isinstance(item, ast.FunctionDef) and item.name == added.name for item in node.body):
        raise AssayError(f"{contract} has a rule {added.name} already: change it by hand.")
    data, newline = source.encode(), _newline(source)
    first = _line_start(data, node.body[0].lineno)
    indent = _indentation(data, first)
    if first + len(_BLANK.match(data, first)[0]) != first + node.body[0].col_offset:  # pyright: ignore[reportOptionalSubscript]
        raise AssayError(f"{contract} is written in one line: {by_hand}.")
    lines = [f"# {one_line(comment)}", *textwrap.dedent("\n".join(method)).split("\n")]
    text = b"".join(newline.encode() + indent + line.encode() for line in lines)
    at = _end_of(data, _offset(data, node.end_lineno, node.end_col_offset), indent)
    node.body.append(added)
    imports = _missing_imports(tree, ("pl", "rule"))
    insertions = [(at, newline.encode() + text), *_import_insertions(source, tree, imports)]
    return _checked(_inserted(data, insertions), _with_imports(tree, imports), by_hand)


def _end_of(data: bytes, at: int, indent: bytes) -> int:
    """Where a class ends: behind its last statement, and behind comments in it, which the syntax tree does not know."""
    end = _LINE_END.search(data, at)
    last = len(data) if end is None else end.start()
    while end is not None:
        start = end.end()
        end = _LINE_END.search(data, start)
        line = data[start : len(data) if end is None else end.start()]
        if line.strip() and not (line.startswith(indent) and line.lstrip().startswith(b"#")):
            break
        if line.strip():
            last = start + len(line)
    return last


def one_line(text: str) -> str:
    """A text for a comment: without anything that ends a line or is not seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _parsed(source: str, by_hand: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise AssayError(f"The file of the contract is not Python that can be edited: {by_hand}.") from None


def _keyword(argument: str, by_hand: str) -> ast.keyword:
    call = _parsed(f"f({argument})", by_hand).body
    match call:
        case [ast.Expr(ast.Call(args=[], keywords=[ast.keyword(arg=str()) as keyword]))] if _is_literal(keyword.value):
            return keyword
    raise AssayError(f"An argument is a name and a literal: {by_hand}.")


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _function(method: Sequence[str], by_hand: str) -> ast.FunctionDef:
    match _parsed(textwrap.dedent("\n".join(method)), by_hand).body:
        case [ast.FunctionDef() as function]:
            return function
    raise AssayError(f"A rule is one method: {by_hand}.")


def _class(tree: ast.Module, contract: str, by_hand: str) -> ast.ClassDef:
    classes = [node for node in _statements(tree.body) if isinstance(node, ast.ClassDef) and node.name == contract]
    if not classes:
        raise AssayError(f"There is no class {contract} in this file: {by_hand}.")
    if len(classes) > 1:
        raise AssayError(f"There are {len(classes)} classes {contract} in this file: {by_hand}.")
    return classes[0]


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, with those under `if`, `try` and `with`, and without those of classes and functions."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
            for part in parts:
                for name in ("body", "orelse", "finalbody"):
                    yield from _statements(getattr(part, name, ()))


def _column(node: ast.ClassDef, contract: str, column: str, by_hand: str) -> ast.AnnAssign:
    declared = [
        item
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _name(item) == column
    ]
    if not declared:
        raise AssayError(f"{contract} does not declare {one_line(column)} in this file: {by_hand}.")
    if len(declared) > 1:
        raise AssayError(f"{contract} declares {one_line(column)} more than once: {by_hand}.")
    return declared[0]


def _name(item: ast.AnnAssign) -> str:
    """The column's name in the data: its alias, else the attribute."""
    for keyword in item.value.keywords if isinstance(item.value, ast.Call) else ():
        if keyword.arg == "alias" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return item.target.id if isinstance(item.target, ast.Name) else ""


def _argument_place(data: bytes, call: ast.Call, argument: str) -> tuple[int, str]:
    """Behind the last argument, whatever brackets close it, and before a comma that follows it."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    last = max(given or [call.func], key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0))
    start = _offset(data, last.end_lineno, last.end_col_offset)
    end = _offset(data, call.end_lineno, call.end_col_offset)
    signs = [sign for sign in _SIGNS.finditer(data, start, end) if not sign[0].startswith(b"#")]
    # A generator that is the only argument ends where the call does: the check of the edited source refuses that.
    places = [start, start, *(sign.start() if sign[0] == b"," else sign.end() for sign in signs)]
    return places[-2], f", {argument}" if given else argument


def _line_start(data: bytes, line: int | None) -> int:
    ends = [0, *(end.end() for end in _LINE_END.finditer(data))]
    return ends[(line or 1) - 1]


def _offset(data: bytes, line: int | None, column: int | None) -> int:
    """The byte at which a line and column of the syntax tree is."""
    return _line_start(data, line) + (column or 0)


def _indentation(data: bytes, start: int) -> bytes:
    blank = _BLANK.match(data, start)
    return b"" if blank is None else blank[0].rpartition(b"\f")[2]


def _newline(source: str) -> str:
    end = _LINE_END.search(source.encode())
    return "\n" if end is None else end[0].decode()


def _inserted(data: bytes, insertions: Sequence[tuple[int, bytes]]) -> str:
    for at, text in sorted(insertions, key=lambda insertion: insertion[0], reverse=True):
        data = data[:at] + text + data[at:]
    return data.decode()


def _missing_imports(tree: ast.Module, names: Sequence[str]) -> list[ast.stmt]:
    """The imports of names that the module does not import yet, where it has imports among which they can stand."""
    there = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    wanted = [_IMPORTS[name] for name in names if name not in there]
    return ast.parse("\n".join(wanted)).body if _first_import(tree) is not None else []


def _import_insertions(source: str, tree: ast.Module, imports: Sequence[ast.stmt]) -> list[tuple[int, bytes]]:
    first = _first_import(tree)
    if first is None or not imports:
        return []
    text = "".join(f"{ast.unparse(node)}{_newline(source)}" for node in imports)
    return [(_line_start(source.encode(), tree.body[first].lineno), text.encode())]


def _with_imports(tree: ast.Module, imports: Sequence[ast.stmt]) -> ast.Module:
    first = _first_import(tree)
    if first is not None:
        tree.body[first:first] = imports
    return tree


def _first_import(tree: ast.Module) -> int | None:
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
            return place
    return None


def _checked(edited: str, wanted: ast.Module, by_hand: str) -> str:
    """The edited source, if it says what was wanted and nothing else."""
    try:
        same = ast.dump(ast.parse(edited)) == ast.dump(wanted)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        same = False
    if not same:
        raise AssayError(f"The file is written in a way that cannot be edited surely: {by_hand}.")
    return edited
