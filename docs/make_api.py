"""Write `tests/api.txt`, every exported name with its signature, and `docs/api.md`, the reference: `make api`.

Only these names are API. `tests/house/test_api.py` compares both files with the code.
"""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FACES = ("assay", "assay.checks", "assay.features", "assay.lineage", "assay.assets")
LIST, REFERENCE = ROOT / "tests" / "api.txt", ROOT / "docs" / "api.md"
HEAD = """# API reference

Only the names on this page are API; everything else may change without notice. What changes is named in the
[changelog](../CHANGELOG.md). Made from docstrings by `make api`.
"""


def exported() -> Iterator[tuple[str, str, Any]]:
    """(face, name, object) of every exported name."""
    for face in FACES:
        module = importlib.import_module(face)
        yield from ((face, name, getattr(module, name)) for name in sorted(module.__all__))


def signature(value: Any) -> str:
    """Parameters with kinds and defaults; annotations as written."""
    if isinstance(value, type) and issubclass(value, Enum):
        return "(" + " | ".join(member.name for member in value) + ")"
    if not callable(value):
        return ""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [
        item.replace(annotation=_Text(_type(item.annotation)), default=_Text(_default(item.default)))
        for name, item in found.parameters.items()
        if name not in ("self", "cls")
    ]
    returned = inspect.Signature.empty if isinstance(value, type) else found.return_annotation
    return str(inspect.Signature(parameters, return_annotation=_Text(_type(returned))))


class _Text(str):
    """Text that a signature shows without quotes. The empty text stands for nothing, which a signature leaves out."""

    __slots__ = ()

    def __new__(cls, text: str | None) -> Any:
        return inspect.Parameter.empty if text is None else super().__new__(cls, text)

    def __repr__(self) -> str:
        return str(self)


def _type(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(_?[A-Za-z]\w+)", r"\1", text)  # the last name of a dotted type is enough
    return text.replace("ForwardRef(", "(").replace("'", "").replace('"', "")


def _default(value: Any) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    text = str(value) if isinstance(value, Enum) else repr(value)
    return "…" if text.startswith("<") else text


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that are ours, inherited ones included."""
    if not isinstance(value, type) or issubclass(value, (BaseException, Enum)) or "pandera" in str(value.__mro__):
        return
    fields = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    ours = [base for base in reversed(value.__mro__) if base.__module__.partition(".")[0] == "assay"]
    for name, member in sorted({name: member for base in ours for name, member in vars(base).items()}.items()):
        if name.startswith("_") or name in fields:
            continue
        inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or getattr(member, "func", member)
        if inspect.isfunction(inner):
            yield name, inner


def lines() -> list[str]:
    """The list: one exported name a line."""
    found = []
    for face, name, value in exported():
        found.append(f"{face}.{name}{signature(value)}")
        if home(face, name):
            continue  # the same object as in another face, listed there
        found += [f"{face}.{name}.{method}{signature(inner)}" for method, inner in methods(value)]
    return found


def home(face: str, name: str) -> str | None:
    """The folder's face that exports a name of `assay`, too."""
    if face != "assay":
        return None
    value = getattr(importlib.import_module(face), name)
    others = (importlib.import_module(other) for other in FACES[1:])
    return next((module.__name__ for module in others if getattr(module, name, None) is value), None)


def reference() -> str:
    """The reference: a section a face, an entry a name."""
    parts = [HEAD]
    for face in FACES:
        module = importlib.import_module(face)
        parts.append(f"## {face}\n\n{(module.__doc__ or '').strip().splitlines()[0]}\n")
        same = [name for name in sorted(module.__all__) if home(face, name)]
        if same:
            links = ", ".join(f"[`{name}`](#{anchor(str(home(face, name)), name)})" for name in same)
            parts.append(f"Everyday names, described below: {links}.\n")
        for name in sorted(set(module.__all__) - set(same)):
            value = getattr(module, name)
            parts.append(f"### {face}.{name}\n\n`{name}{signature(value)}`\n")
            parts.append(described(value))
            parts += [f"- `.{method}{signature(inner)}`{summary(inner)}" for method, inner in methods(value)] + [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def anchor(face: str, name: str) -> str:
    return f"{face}.{name}".lower().replace(".", "")


def described(value: Any) -> str:
    """The docstring, with Google's sections as lists."""
    if not (callable(value) or isinstance(value, type)):
        return f"`{value!r}`\n"
    text = inspect.cleandoc(value.__doc__ or "")
    if dataclasses.is_dataclass(value) and text.startswith(f"{value.__name__}("):
        text = ""  # the one that dataclasses write
    out = []
    for line in text.splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            out += ["", f"**{line[:-1]}**", ""]
        elif match := re.fullmatch(r"    (\*{0,2}\w+): (.*)", line):
            out.append(f"- `{match[1]}`: {match[2]}")
        elif line.startswith((">>> ", "... ")):
            out.append(f"    {line}")
        else:
            out.append(line.removeprefix("    ") if line.startswith("    ") and "    " not in line[4:] else line)
    return "\n".join(out) + "\n"


def summary(value: Any) -> str:
    text = inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0]
    return f": {' '.join(text.split())}" if text else ""


if __name__ == "__main__":
    LIST.write_text("\n".join(lines()) + "\n")
    REFERENCE.write_text(reference())
    print(f"{len(lines())} lines in {LIST.relative_to(ROOT)}; {REFERENCE.relative_to(ROOT)}")
