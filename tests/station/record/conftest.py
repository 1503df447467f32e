"""The record over SQLite and over a real PostgreSQL: every test that takes `url` runs with both."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the record needs the extra 'station' (SQLAlchemy)")
pytest.importorskip("alembic", reason="the record needs the extra 'station' (Alembic)")

from record_making import Postgres, open_record

from onlygood.station.record import Record


def _why_no_postgres() -> tuple[Path | None, str]:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return None, "the Python package psycopg is absent (extra 'postgresql')"
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        return None, "no PostgreSQL server under /usr/lib/postgresql/*/bin (Debian's package postgresql)"
    try:
        if os.getuid() == 0:
            pwd.getpwnam("postgres")
    except KeyError:
        return None, "PostgreSQL does not run as root, and there is no user 'postgres'"
    return found[-1].parent, ""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server; skips where there is none."""
    binaries, reason = _why_no_postgres()
    if binaries is None:
        pytest.skip(reason)
    server = Postgres(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'record.sqlite'}"
    return str(request.getfixturevalue("postgres").new_database())


Opening = Callable[..., Record]


@pytest.fixture
def opening(url: str, tmp_path: Path) -> Iterator[Opening]:
    """Opens the record of that database in `data`, and closes it in the end."""
    opened: list[Record] = []

    def opening(**limits: int) -> Record:
        opened.append(open_record(url, tmp_path / "data", **limits))
        return opened[-1]

    yield opening
    for record in opened:
        record.close()


@pytest.fixture
def record(opening: Opening) -> Record:
    """The record, empty."""
    return opening()
