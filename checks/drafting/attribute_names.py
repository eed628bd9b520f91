"""The attributes that columns are in a contract's source: an attribute hides the name that it has from all lines below it."""

import ast
import keyword
import unicodedata
from collections.abc import Iterable, Sequence

from assay.checks.contract.contract import Contract

#: Names that lines added later need: by hand, or with an accepted suggestion.
_FOR_LATER = frozenset(
    ["Contract", "Field", "Timestamp", "Optional", "Annotated", "pl", "rule", "str", "int", "float", "bool"]
)


def names_used(source: str) -> frozenset[str]:
    """The names that Python source looks up, and those of its methods."""
    nodes = list(ast.walk(ast.parse(source)))
    looked_up = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return frozenset(looked_up | {node.name for node in nodes if isinstance(node, ast.FunctionDef)})


def attribute_names(columns: Sequence[str], used: Iterable[str]) -> dict[str, str]:
    """An attribute for each column: the column's name, or another one where that is no attribute or hides a name.

    Args:
        columns: Their names in the data, each once.
        used: What the source uses, see `names_used`.
    """
    hidden = _FOR_LATER.union(used)
    taken = hidden.union(columns)
    made: dict[str, str] = {}
    for number, name in enumerate(columns, start=1):
        attribute = name if _is_attribute(name) and name not in hidden else f"column_{number}"
        while attribute != name and attribute in taken:
            attribute += "_"
        made[name] = attribute
    return made


def class_name_for(title: str, used: Iterable[str]) -> str:
    """The title, if a class can be called so and hides nothing that the source uses."""
    return title if _is_name(title) and title not in _FOR_LATER.union(used) else "Table"


def _is_attribute(name: str) -> bool:
    return _is_name(name) and not name.startswith("_") and not hasattr(Contract, name)


def _is_name(text: str) -> bool:
    """Python reads an identifier in its normal form, so one in another form would be another name."""
    return text.isidentifier() and unicodedata.normalize("NFKC", text) == text and not keyword.iskeyword(text)
