"""Decisions to record, a PostgreSQL server of one's own, and a process that records until it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now
from onlygood.station.record import Record
from onlygood.station.settings import Limits

MODEL = "a" * 64


def made(**other: Any) -> Decision:
    """A decision with everything in it; what is given is otherwise."""
    table: dict[str, Any] = {
        "id": new_id(),
        "time": now(),
        "recipe": "plate",
        "model": MODEL,
        "source": "rest",
        "name": "part.png",
        "verdict": Verdict.OK,
        "score": 1.25,
        "p_value": 0.5,
        "thresholds": Thresholds(3.0, 2.0),
        "pixel_threshold": 1.5,
        "reason": "",
        "regions": ({"box": [1, 2, 3, 4], "area": 4, "peak": 2.5},),
        "width": 640,
        "height": 480,
        "digest": "d" * 64,
        "wait_ms": 0.5,
        "inspect_ms": 12.25,
        "picture": "",
        "map_picture": "",
    }
    return Decision(**{**table, **other})


def open_record(url: str, data: Path, **limits: int) -> Record:
    return Record.open(url, data, Limits(**limits), keep="all")


class Postgres:
    """A server in a folder of its own, reached by a Unix socket, run by somebody who is not root."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="onlygood-pg-", dir="/tmp"))  # short: socket names are bounded
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        make = [binaries / "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]
        subprocess.run([*make, "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/", **self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = 0

    def start(self) -> None:
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._user,
        )
        for _ in range(600):
            if self._connects():
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # at once, as if the power went
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The address of an empty schema, which is quicker to make than a database and as empty."""
        import psycopg

        self._schemas += 1
        name = f"record{self._schemas}"
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self._address()}&options=-csearch_path%3D{name}"

    def _address(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def _connects(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._address()).close()
        except psycopg.OperationalError:
            return False
        return True


def record_until_killed(url: str, data: str, answered: str) -> None:
    """Records with three threads; writes down each id once it may be answered. For a process of its own."""
    import threading

    from onlygood.station.record import store

    store.PATIENCE = 0.1
    record = open_record(url, Path(data))
    file = os.open(answered, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work() -> None:
        while True:
            decision = made()
            where = record.add(decision)
            os.write(file, f"{decision.id} {where}\n".encode())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
