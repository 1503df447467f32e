"""The process is killed at any moment: whatever it had answered is in the record, once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from record_making import open_record, record_until_killed

from onlygood.station.record import Query, Record

KILLS = 12


def everything(record: Record) -> list[str]:
    ids: list[str] = []
    query = Query(order="oldest", limit=500)
    while page := record.decisions(query):
        ids += [one["id"] for one in page]
        query = query.behind(page[-1]["seq"])
    return ids


# the journal's own path is the same with both; SQLite's database can be locked
@pytest.mark.parametrize(
    ("url", "path"), [("sqlite", "database"), ("sqlite", "journal"), ("postgresql", "database")], indirect=["url"]
)
def test_nothing_that_was_answered_is_lost_when_the_process_is_killed(url: str, tmp_path: Path, path: str) -> None:
    data, answered = tmp_path / "data", tmp_path / "answered"
    answered.touch()
    draw = random.Random(url[:4] + path)
    open_record(url, data).close()
    blocking: sqlite3.Connection | None = None
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["onlygood.station.record", "record_making"])
    for _ in range(KILLS):
        before = len(answered.read_bytes().splitlines())
        process = processes.Process(target=record_until_killed, args=(url, str(data), str(answered)))
        process.start()
        end = time.monotonic() + 120
        while len(answered.read_bytes().splitlines()) < before + 3:  # it is at work
            assert time.monotonic() < end and process.is_alive()
            time.sleep(0.002)
        if path == "journal":
            blocking = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
            blocking.execute("BEGIN IMMEDIATE")
            while not answered.read_bytes().endswith(b"journal\n"):
                assert time.monotonic() < end and process.is_alive()
                time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.05))
        if blocking is not None and draw.random() < 0.5:  # while it catches up
            blocking.rollback()
            time.sleep(draw.uniform(0, 0.6))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if blocking is not None:
            blocking.close()
    said = [line.split() for line in answered.read_text().splitlines()]
    record = open_record(url, data)
    try:
        assert record.state["journal"] == 0
        found = everything(record)
        assert len(set(found)) == len(found)
        assert {one for one, _ in said} <= set(found)
        # what was recorded and not answered any more: at most what three threads had under way at each kill
        assert len(found) <= len(said) + 3 * KILLS
        assert path in {where for _, where in said}
        assert record.verify_audit().whole
    finally:
        record.close()
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
