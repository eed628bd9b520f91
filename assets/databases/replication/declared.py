"""A slot as a source declares it."""

from dataclasses import dataclass, field

from sqlalchemy.dialects import postgresql

from assay.assets.databases.sql import database_url, place_of
from assay.assets.lacking import NotConnected


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as it is declared: of which table, on which server. `setting` is the name of the one with the URL."""

    name: str
    publication: str
    table: str
    url: str = field(repr=False)
    setting: str = ""
    create: bool = False

    @property
    def place(self) -> str:
        """The table, in messages."""
        return place_of(database_url(self.url, self.setting), self.table)


class SlotMissing(NotConnected):
    """The slot, or the publication, is not there yet."""


def quoted(name: str) -> str:
    """An identifier as SQL has it; of `schema.table` both parts."""
    preparer = postgresql.dialect().identifier_preparer
    return ".".join(preparer.quote(part) for part in name.split(".", 1))
