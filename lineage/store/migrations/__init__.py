"""The store's schema, in steps (Alembic). A store is brought up to date when it is first used; there is no command."""

from pathlib import Path

import sqlalchemy as sa

HEAD = "0007"  # the last step; a test compares it with the steps that are there
_FIRST = "0001"


def upgrade(connection: sa.Connection) -> None:
    """Bring an opened database to the present schema, inside the caller's transaction."""
    there = set(sa.inspect(connection).get_table_names())
    if "alembic_version" in there and connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == HEAD:
        return  # nearly always: without loading Alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    if "events" in there and "alembic_version" not in there:  # made before there were steps
        command.stamp(config, _FIRST)
    command.upgrade(config, "head")
