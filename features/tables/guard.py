"""Who may do what with which table: one question, asked wherever a table is opened, written or deleted from.

The default allows everything. Rules live outside of the tables, behind this protocol.
"""

from typing import Literal, Protocol

from assay.errors import AssayError

Action = Literal["read", "write", "delete"]


class Denied(AssayError):
    """The actor may not do this with the table. Nothing was read or changed."""


class Guard(Protocol):
    """Asked before a table is opened for reading, before rows are staged and published, and before data files are freed."""

    def check(self, actor: str, action: Action, table: str) -> None:
        """Return if the actor may, or raise Denied."""
        ...


class AllowAll:
    """The default guard."""

    def check(self, actor: str, action: Action, table: str) -> None:
        del actor, action, table


ALLOW_ALL = AllowAll()
