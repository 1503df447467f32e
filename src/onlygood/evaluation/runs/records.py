"""The records of runs: one SQLite file, one row per run, written as the run ends.

SQLite's write-ahead log keeps the file whole when a writer is killed, and lets several sweeps write to it. Its locks
do not hold on network file systems: keep the file on a disk of the machine that starts the sweep.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from onlygood.errors import DataError
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.files import check_writable

#: Marks a file as ours ("ogrn") and says how its table is made.
APPLICATION_ID, VERSION = 0x6F67726E, 1
#: Seconds that a writer waits for another one.
PATIENCE = 60.0

_SCHEMA = """
CREATE TABLE runs (
    key TEXT PRIMARY KEY,        -- RunSpec.key
    dataset TEXT NOT NULL,
    category TEXT NOT NULL,
    method TEXT NOT NULL,
    spec TEXT NOT NULL,          -- JSON, RunSpec.as_dict
    status TEXT NOT NULL CHECK (status IN ('ok', 'failed')),
    error TEXT,                  -- of a failed run: one line
    traceback TEXT,              -- its last lines
    figures TEXT NOT NULL,       -- JSON: what depends on data and specification alone
    costs TEXT NOT NULL,         -- JSON: times, memory, sizes
    circumstances TEXT NOT NULL, -- JSON: host, machine, versions, threads, hashes
    data TEXT NOT NULL,          -- fingerprint of the data
    started TEXT NOT NULL,       -- ISO 8601, UTC
    ended TEXT NOT NULL
)
"""
_COLUMNS = (
    "key",
    "dataset",
    "category",
    "method",
    "spec",
    "status",
    "error",
    "traceback",
    "figures",
    "costs",
    "circumstances",
    "data",
    "started",
    "ended",
)


@dataclass(frozen=True)
class Record:
    """What became of a run.

    Attributes:
        spec: The run.
        status: `ok` or `failed`.
        started: ISO 8601 in UTC.
        ended: ISO 8601 in UTC.
        data: Fingerprint of the data (`runs.data`).
        figures: Figures of merit and the counts behind them, as `runs.measuring` lists them; empty if it failed.
        costs: Times, memory and sizes; empty if it failed.
        circumstances: Host, machine, versions, threads and hashes.
        error: Of a failed run, one line; else empty.
        traceback: Its last lines.
    """

    spec: RunSpec
    status: Literal["ok", "failed"]
    started: str
    ended: str
    data: str
    figures: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)
    circumstances: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "key": self.spec.key,
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "spec": self.spec.as_dict(),
        }


class Records:
    """A file of records; made at the first one, if it is not there.

    Several programs may write to it at once. A finished run is never replaced; a failed one is by a later try.

    Args:
        path: The file.

    Raises:
        DataError: The file is no such file, is newer than this version, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            with self._connected():
                pass
        else:
            check_writable(self.path, "runs.sqlite")

    def add(self, record: Record) -> None:
        """Write a record, whole and for good before this returns."""
        spec = record.spec
        values = (
            spec.key,
            spec.dataset,
            spec.category,
            spec.method,
            _json(spec.as_dict()),
            record.status,
            record.error or None,
            record.traceback or None,
            *map(_json, (record.figures, record.costs, record.circumstances)),
            record.data,
            record.started,
            record.ended,
        )
        updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
        with self._connected() as connection, connection:
            connection.execute(
                f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
                f"ON CONFLICT (key) DO UPDATE SET {updates} WHERE runs.status = 'failed'",
                values,
            )

    def get(self, spec: RunSpec) -> Record | None:
        """The record of a run; None if there is none."""
        return next(iter(self._read("WHERE key = ?", (spec.key,))), None)

    def all(self) -> list[Record]:
        """All records, in order of data set, category, method and specification."""
        return self._read("ORDER BY dataset, category, method, spec")

    def statuses(self, specs: Iterable[RunSpec]) -> dict[str, str]:
        """`ok` or `failed` by key, of those of these runs that have a record."""
        wanted = {spec.key for spec in specs}
        if not self.path.exists():
            return {}
        with self._connected() as connection:
            return {key: status for key, status in connection.execute("SELECT key, status FROM runs") if key in wanted}

    def fingerprints(self, dataset: str, category: str) -> set[str]:
        """Fingerprints of the data on which finished runs of a category were measured."""
        if not self.path.exists():
            return set()
        question = "SELECT DISTINCT data FROM runs WHERE dataset = ? AND category = ? AND status = 'ok'"
        with self._connected() as connection:
            return {row[0] for row in connection.execute(question, (dataset, category))}

    def _read(self, rest: str, values: tuple[Any, ...] = ()) -> list[Record]:
        if not self.path.exists():
            return []
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM runs {rest}", values).fetchall()
        return [_record(dict(zip(_COLUMNS, row))) for row in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: a connection must not be shared by processes, and opening takes no time."""
        try:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as connection:
                connection.execute("PRAGMA synchronous = FULL")  # a record outlives the power, too
                self._prepare(connection)
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    with suppress(sqlite3.OperationalError):  # others are at it: slower until the next time, as safe
                        connection.execute("PRAGMA journal_mode = WAL")
                yield connection
        except sqlite3.DatabaseError as error:
            raise DataError(f"The file of records {self.path} cannot be used: {error}. Name another file.") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if _mark(connection) == (APPLICATION_ID, VERSION):
            return
        connection.execute("BEGIN IMMEDIATE")  # of several programs one makes the table; the others look again
        mark, version = _mark(connection)
        if (mark, version) == (APPLICATION_ID, VERSION):
            connection.rollback()
            return
        if mark == APPLICATION_ID:
            raise DataError(
                f"{self.path} was written by a newer version of onlygood (format {version}; this one reads {VERSION}). "
                "Update onlygood, or name another file."
            )
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise DataError(f"{self.path} is a database of something else. Name another file for the records.")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()


def _mark(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is, and of which format."""
    mark, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    return int(mark), int(version)


def _record(row: dict[str, Any]) -> Record:
    return Record(
        RunSpec.from_dict(json.loads(row["spec"])),
        row["status"],
        row["started"],
        row["ended"],
        row["data"],
        json.loads(row["figures"]),
        json.loads(row["costs"]),
        json.loads(row["circumstances"]),
        row["error"] or "",
        row["traceback"] or "",
    )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)
