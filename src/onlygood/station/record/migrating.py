"""Brings a database to the tables that this version knows, when it is opened. Nobody has to run anything."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from onlygood.station.errors import StationError
from onlygood.station.record.tables import metadata

#: Where Alembic notes how far a database is; a name of our own, for databases that are shared.
VERSION_TABLE = "onlygood_version"
# Any number that others are unlikely to lock in the same PostgreSQL database.
_LOCK = 0x6F6E6C79676F6F64


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's settings, without a file."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def version(connection: sa.Connection) -> str | None:
    """The step a database is at; None if it holds no record yet."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def migrate(connection: sa.Connection, where: str) -> None:
    """Run the steps that are missing, all or none of them.

    Args:
        connection: In a transaction that may write.
        where: The database, for errors.

    Raises:
        StationError: The database was made by a newer version, or holds other things under the names of our tables.
    """
    if connection.dialect.name == "postgresql":  # two stations that start at once; SQLite's transaction locks by itself
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    settings = config(connection)
    script = ScriptDirectory.from_config(settings)
    present = version(connection)
    if present is None:
        foreign = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
        if foreign:
            raise StationError(
                f"The database {where} already has tables of something else ({', '.join(foreign)}). "
                "Name another database for the record."
            )
    elif present not in {step.revision for step in script.walk_revisions()}:
        raise StationError(
            f"The database {where} was written by a newer version of onlygood (step {present}, this version knows "
            f"{script.get_current_head()}). Update onlygood, or name another database."
        )
    if present != script.get_current_head():
        command.upgrade(settings, "head")
