"""The store's schema, in steps (Alembic). A store is brought up to date when it is first used; there is no command."""

from pathlib import Path

import sqlalchemy as sa

from assay.lineage.store.schema import metadata

HEAD = "0008"  # the last step; a test compares it with the steps that are there
_FIRST = "0001"
_version = sa.Table(  # as Alembic makes it
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def upgrade(connection: sa.Connection) -> None:
    """Bring an opened database to the present schema, inside the caller's transaction."""
    there = set(sa.inspect(connection).get_table_names())
    if there.isdisjoint({"events", _version.name}):
        create(connection)
    elif _version.name not in there or connection.scalar(sa.select(_version.c.version_num)) != HEAD:
        take_steps(
            connection, first_is_there=_version.name not in there
        )  # else, nearly always: without loading Alembic


def create(connection: sa.Connection) -> None:
    """The present schema where there is none, without the steps to it: a test compares the two."""
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection)
    connection.execute(_version.insert().values(version_num=HEAD))


def take_steps(connection: sa.Connection, *, first_is_there: bool = False) -> None:
    """The steps that the database has not taken. `first_is_there`: it was made before there were steps."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    if first_is_there:
        command.stamp(config, _FIRST)
    command.upgrade(config, "head")
