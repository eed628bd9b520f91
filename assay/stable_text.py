"""The text of a declaration's value that is the same in every process: the order of a set is another one in each."""

from dataclasses import fields, is_dataclass
from typing import Any


def stable_text(value: Any) -> str:
    """`repr` of a value, but with the members of sets in order: also in tuples, lists, dicts, and dataclasses that have the usual
    `repr`."""
    kind = type(value)
    if kind in (set, frozenset):
        members = ", ".join(sorted(map(stable_text, value)))
        plain = f"{{{members}}}" if members else ""
        return plain if kind is set and members else f"{kind.__name__}({plain})"
    if kind is tuple:
        return f"({', '.join(map(stable_text, value))}{',' if len(value) == 1 else ''})"
    if kind is list:
        return f"[{', '.join(map(stable_text, value))}]"
    if kind is dict:
        return f"{{{', '.join(f'{stable_text(key)}: {stable_text(item)}' for key, item in value.items())}}}"
    if is_dataclass(kind) and hasattr(kind.__repr__, "__wrapped__"):  # which `dataclass` makes, and nobody else
        shown = [f"{one.name}={stable_text(getattr(value, one.name))}" for one in fields(kind) if one.repr]
        return f"{kind.__qualname__}({', '.join(shown)})"
    return repr(value)
