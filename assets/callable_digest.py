"""The identity of a function: of its code, and of what that code uses of the same package."""

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from assay.stable_text import stable_text

# Of the functions and classes that there are. One is read once: for a class Python parses the whole file.
_sources: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def callable_digest(*functions: Callable[..., Any] | None) -> str:
    """SHA-256 over the source of functions and, where they use them, of the functions, classes and constants of their own
    package. Comments, blank lines and other packages do not count.

    What is reached in another way (a file, an attribute of an object, a newer library) does not change it: give the
    declaration another `version` then.
    """
    parts: dict[tuple[int, str], str] = {}
    texts = [_collected(item, parts) for item in functions]
    return hashlib.sha256(repr((texts, sorted(parts.values()))).encode()).hexdigest()


def _collected(item: Any, parts: dict[tuple[int, str], str]) -> str:
    """The text of one function; what it uses is put into `parts`."""
    if item is None:
        return ""
    if isinstance(item, functools.partial):
        return f"{_collected(item.func, parts)} {stable_text(item.args)} {stable_text(sorted(item.keywords.items()))}"
    target = inspect.unwrap(getattr(item, "__func__", item))
    if not isinstance(target, FunctionType | type):
        return _collected(type(target), parts)
    own = (id(target), "")
    if own not in parts:
        if target not in _sources:
            _sources[target] = _source(target)
        parts[own] = _sources[target]
        for name, used in _used(target):
            if isinstance(used, FunctionType | type):
                _collected(used, parts)
            elif _is_constant(used):
                parts[id(target), name] = f"{name} = {_text(used)}"
    return parts[own]


def _used(target: Any) -> Iterator[tuple[str, Any]]:
    """Names that the code of a function or class takes from its module, with what they stand for."""
    functions = [target] if isinstance(target, FunctionType) else _methods(target)
    for function in functions:
        module = function.__module__ or ""
        package = module.rpartition(".")[0] or module
        for name in sorted(_names(function.__code__)):
            used = function.__globals__.get(name, target)
            home = getattr(used, "__module__", module) or ""
            own = home == module or home.startswith(f"{package}.")
            if used is not target and own:
                yield name, used
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not filled yet
                continue


def _methods(kind: type) -> list[FunctionType]:
    return [inspect.unwrap(item) for item in vars(kind).values() if isinstance(item, FunctionType)]


def _names(code: CodeType) -> set[str]:
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*(_names(item) for item in inner))


def _source(target: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError):  # typed into an interpreter
        code = getattr(target, "__code__", None)
        return repr(target) if code is None else f"{code.co_code.hex()} {stable_text(code.co_consts)} {code.co_names!r}"
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:  # a lambda in the middle of a call
        return text


def _text(value: Any) -> str:
    return (
        f"[{', '.join(sorted(map(stable_text, value)))}]" if isinstance(value, set | frozenset) else stable_text(value)
    )


def _is_constant(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_constant, value))
    if isinstance(value, dict):
        return all(_is_constant(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, bool | int | float | str | bytes)
