"""The database is locked, stopped, moved or full: decisions go to the journal, the state says so, and it catches up."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from record_making import Postgres, made, open_record

from onlygood.station.errors import BusyError, NotRecordedError, StationError
from onlygood.station.record import Query, Record, store, writing
from onlygood.station.record import journal as journal_module


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits less, so that the tests are quick."""
    monkeypatch.setattr(store, "PATIENCE", 0.2)
    monkeypatch.setattr(writing, "RETRY", 0.05)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Outage:
    """Takes a database away and gives it back."""

    def __init__(self, url: str, server: Postgres | None) -> None:
        self._server, self._url = server, url
        self._connection: sqlite3.Connection | None = None

    def begin(self) -> None:
        if self._server is not None:
            self._server.stop()
            return
        self._connection = sqlite3.connect(self._url.removeprefix("sqlite:///"), isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        if self._server is not None:
            self._server.start()
        elif self._connection is not None:
            self._connection.rollback()
            self._connection.close()
        self._connection = None


@pytest.fixture
def outage(request: pytest.FixtureRequest, url: str) -> Iterator[Outage]:
    server = request.getfixturevalue("postgres") if url.startswith("postgresql") else None
    outage = Outage(url, server)
    yield outage
    if server is not None:
        server.stop()
    outage.end()


def caught_up(record: Record) -> bool:
    return record.state == {"database": "ok", "journal": 0, "message": ""}


def test_decisions_go_to_the_journal_and_into_the_database_in_order(record: Record, outage: Outage) -> None:
    decisions = [made(name=f"{i}.png") for i in range(12)]
    where = [record.add(one) for one in decisions[:4]]
    outage.begin()
    where += [record.add(one) for one in decisions[4:9]]
    state = record.state
    assert state["database"] == "gone" and state["journal"] == 5 and state["message"]
    with pytest.raises(BusyError, match="cannot be reached now"):
        record.answer(decisions[0].id, "OK", "eva")
    with pytest.raises(BusyError):
        record.answer(decisions[4].id, "OK", "eva")
    outage.end()
    where += [record.add(one) for one in decisions[9:]]
    until(lambda: caught_up(record), "never caught up")
    assert where[:9] == ["database"] * 4 + ["journal"] * 5
    assert [one["name"] for one in record.decisions(Query(order="oldest"))] == [f"{i}.png" for i in range(12)]
    record.answer(decisions[4].id, "OK", "eva")
    assert record.add(made()) == "database"
    assert record.add(decisions[5]) == "database" and len(record.decisions()) == 13  # known by its id


def test_what_waits_in_the_journal_is_recorded_at_the_next_start(
    record: Record, opening, outage: Outage, url: str, tmp_path: Path
) -> None:
    outage.begin()
    decisions = [made(name=f"{i}.png") for i in range(6)]
    assert {record.add(one) for one in decisions} == {"journal"}
    record.close()
    if url.startswith("postgresql"):
        with pytest.raises(StationError, match="cannot be used"):
            open_record(url, tmp_path / "data")
    outage.end()
    again = opening()
    assert caught_up(again)
    assert [one["id"] for one in again.decisions(Query(order="oldest"))] == [one.id for one in decisions]


def test_the_bound_of_the_journal_is_told_and_it_goes_on_afterwards(opening, outage: Outage) -> None:
    record = opening(journal_bytes=3000)
    outage.begin()
    taken = []
    with pytest.raises(NotRecordedError, match=r"the journal 'The journal .* is full") as refusal:
        for _ in range(50):
            decision = made()
            assert record.add(decision) == "journal"
            taken.append(decision.id)
    assert refusal.value.retry_after > 0 and 2 <= len(taken) < 10
    assert "not answered" in record.state["message"] and record.state["journal"] == len(taken)
    outage.end()
    until(lambda: caught_up(record), "never caught up")
    last = made()
    assert record.add(last) == "database"
    assert [one["id"] for one in record.decisions(Query(order="oldest"))] == [*taken, last.id]


def test_a_server_that_was_restarted_between_two_decisions_is_not_noticed(postgres: Postgres, tmp_path: Path) -> None:
    record = open_record(postgres.new_database(), tmp_path / "data")
    try:
        record.add(made())
        postgres.stop()
        postgres.start()
        assert record.add(made()) == "database"
        assert len(record.decisions()) == 2
    finally:
        record.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_file_that_was_moved_away_gets_nothing_written_beside_it(
    record: Record, opening, url: str, tmp_path: Path
) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    record.add(made())
    file.rename(tmp_path / "away")
    decision = made()
    assert record.add(decision) == "journal"
    assert "was moved or replaced" in record.state["message"] and record.state["database"] == "gone"
    (tmp_path / "away").rename(file)
    until(lambda: caught_up(record), "never caught up")
    assert record.decisions()[0]["id"] == decision.id


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_neither_database_nor_journal(
    record: Record, outage: Outage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    outage.begin()
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full)
        for _ in range(2):
            with pytest.raises(NotRecordedError, match="No space left on device"):
                record.add(made())
        assert (tmp_path / "data" / "journal").stat().st_size == 0
        assert "not answered" in record.state["message"]
    decision = made()
    assert record.add(decision) == "journal"
    outage.end()
    until(lambda: caught_up(record), "never caught up")
    assert [one["id"] for one in record.decisions()] == [decision.id]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system can only be mounted by root")
    folder = Path(f"/tmp/onlygood-small-{os.getpid()}")
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip(f"no small file system: {mounted.stderr.decode(errors='replace').strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        folder.rmdir()


def test_a_full_disk_refuses_keeps_what_was_answered_and_goes_on_once_there_is_room(small_disk: Path) -> None:
    record = open_record("", small_disk)
    ballast = small_disk / "ballast"
    answered: list[str] = []
    try:
        for _ in range(5):
            answered.append(made().id)
            record.add(made(id=answered[-1]))
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        refused = 0
        for _ in range(200):
            decision = made(name="x" * 3000)
            try:
                record.add(decision)
                answered.append(decision.id)
            except NotRecordedError as error:
                assert "make room on the disk" in str(error)
                refused += 1
                if refused == 20:
                    break
        assert refused == 20 and record.state["database"] == "gone" and record.state["message"]
        ballast.unlink()
        last = made()
        record.add(last)
        answered.append(last.id)
        until(lambda: record.state["journal"] == 0, "never caught up")
        assert [one["id"] for one in record.decisions(Query(order="oldest", limit=500))] == answered
    finally:
        record.close()
    with sqlite3.connect(small_disk / "record.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
