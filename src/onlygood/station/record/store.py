"""The database: SQLite or PostgreSQL, opened, brought up to date, read from and written to in transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from onlygood.errors import require
from onlygood.station.errors import BusyError, StationError
from onlygood.station.record.migrating import migrate

#: Seconds that a writer waits for a lock that another program holds. Decisions go to the journal then.
PATIENCE = 1.0

# A server that does not answer is found out within seconds, not after the minutes that TCP would wait. Commits wait
# for the disk even where the server's own default is not to.
_POSTGRESQL = {
    "connect_timeout": 3,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
    "application_name": "onlygood",
    "options": f"-c synchronous_commit=on -c lock_timeout={int(PATIENCE * 1000)} -c statement_timeout=30000",
}


class Store:
    """The database of a record.

    Args:
        url: SQLAlchemy's address of it: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        StationError: The address is none, the database cannot be reached, is of something else or of a newer version.
    """

    def __init__(self, url: str) -> None:
        address = _address(url)
        self.where = _shown(address)
        #: One writer at a time within the station: waiting here is fair and quick, in SQLite it is not.
        self._writing = threading.Lock()
        self.file = Path(address.database or "") if address.get_backend_name() == "sqlite" else None
        self.engine = _engine(address)
        try:
            with self.engine.execution_options(writes=True).begin() as connection:
                migrate(connection, self.where)
        except (SQLAlchemyError, OSError) as error:
            self.engine.dispose()
            raise StationError(
                f"The database {self.where} cannot be used: {cause(error)}. Start it, mend its address, or name "
                "another one."
            ) from error
        except BaseException:
            self.engine.dispose()
            raise
        self._identity = self._file_identity()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database. Raises `BusyError` if it cannot be reached."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._gone(error) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed and on the disk when the block ends well. Raises `BusyError` as `reading`."""
        try:
            with self.transaction() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._gone(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """As `writing`, with SQLAlchemy's own errors."""
        with self._writing:
            self.check()
            with self.engine.execution_options(writes=True).begin() as connection:
                yield connection

    def insert_new(self, connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows; one whose id is there already is left as it is."""
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(insert(table).on_conflict_do_nothing(), [dict(row) for row in rows])

    def check(self) -> None:
        """Raise `FileGone` if SQLite's file is not the one that was opened: what is written would go nowhere."""
        if self.file is not None and self._file_identity() != self._identity:
            raise FileGone(f"the file {self.file} was moved or replaced; put it back, or restart the station")

    def ping(self) -> None:
        """Raise SQLAlchemy's error if the database cannot be reached."""
        self.check()
        with self.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    def tidy(self) -> None:
        """Bring SQLite's log of writes into its file, beside what is being written; raises as `ping`.

        SQLite would do it now and then as part of a commit, and the decision would wait for it.
        """
        if self.file is None:
            return
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _file_identity(self) -> tuple[int, int] | None:
        if self.file is None:
            return None
        try:
            status = self.file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _gone(self, error: BaseException) -> BusyError:
        return BusyError(f"The database {self.where} cannot be reached now: {cause(error)}. Try again.", retry_after=2)


class FileGone(SQLAlchemyError):
    """The file of the database is not there any more."""


def cause(error: BaseException) -> str:
    """What went wrong, in one line."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(inner).strip().splitlines() or [type(inner).__name__])[0].rstrip(".")


def _address(url: str) -> URL:
    try:
        address = sa.make_url(url)
    except ArgumentError:
        raise StationError(
            "The address of the database is none. Write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    backend = address.get_backend_name()
    if backend == "postgresql":
        require("psycopg", "postgresql", "A record in PostgreSQL")
        return address.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not address.database or address.database == ":memory:":
        raise StationError(
            f"The record cannot be kept in {_shown(address)}. "
            "Use a file of SQLite (sqlite:///FILE) or PostgreSQL (postgresql://USER:PASSWORD@HOST/NAME)."
        )
    return address.set(drivername="sqlite+pysqlite")


def _shown(address: URL) -> str:
    """The address without its password; of SQLite just the file."""
    if address.get_backend_name() == "sqlite":
        return str(address.database)
    return address.render_as_string(hide_password=True).replace("+psycopg", "", 1)


def _engine(address: URL) -> sa.Engine:
    if address.get_backend_name() == "postgresql":
        options = {**_POSTGRESQL, **{key: value for key, value in address.query.items() if key in _POSTGRESQL}}
        if "options" in address.query:  # of the user, such as a search_path; ours stand behind, for they must hold
            options["options"] = f"{address.query['options']} {_POSTGRESQL['options']}"
        return sa.create_engine(address, pool_pre_ping=True, pool_size=8, max_overflow=24, connect_args=options)
    engine = sa.create_engine(address, pool_size=8, max_overflow=24, connect_args={"timeout": PATIENCE})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, below
    cursor = connection.cursor()
    with suppress(Exception):  # another program is at it: slower until the next time, as safe
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a decision outlives the power, too
    cursor.execute("PRAGMA wal_autocheckpoint = 8000")  # pages; before that there is `Store.tidy`
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA recursive_triggers = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    # A reader that turns writer can fail at once, whatever it would wait; a writer from the start waits its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
