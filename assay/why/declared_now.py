"""What the active project declares today: contracts, whether they have judged anything yet or not, tables and
owners."""

import json
from contextlib import suppress

from assay.errors import AssayError
from assay.why.judged_by import DeclaredNow


def owners_now() -> dict[str, str]:
    """By table, who answers for it; nobody where there is no project, or it cannot be loaded."""
    from assay.assets.declarations import declarations
    from assay.assets.project import find_project

    with suppress(AssayError):
        if (project := find_project()) is not None:
            return {table: step.owner for step in declarations(project).steps for table in step.outputs if step.owner}
    return {}


def tables_now() -> frozenset[str] | None:
    """The tables that declared steps write; None where that is not known: there is no project, or some of it cannot be loaded."""
    from assay.assets.declarations import declarations
    from assay.assets.project import find_project

    with suppress(AssayError):
        if (project := find_project()) is not None and not (found := declarations(project)).broken:
            return frozenset(table for step in found.steps for table in step.outputs)
    return None


def declared_now() -> DeclaredNow:
    """By clean table; nothing where there is no project, or it cannot be loaded."""
    from assay.assets.declarations import sources
    from assay.assets.project import find_project
    from assay.checks.contract.contract import contract_text

    with suppress(AssayError):
        if (project := find_project()) is not None:
            return {item.clean: json.loads(contract_text(item.contract)) for item in sources(project).values()}
    return {}
