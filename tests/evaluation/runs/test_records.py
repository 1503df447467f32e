"""The file of records: whole whatever is killed, shared by several writers, never overwritten by worse."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from onlygood.errors import DataError
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.spec import RunSpec

SPEC = RunSpec("tiles", "blue", "knn", parameters={"k": 3})
GOOD = Record(
    SPEC, "ok", "2026-01-01", "2026-01-02", "f0", {"image_auroc": 0.1 + 0.2, "aupro": None}, {"ms": 1.5}, {"host": "a"}
)
BAD = Record(SPEC, "failed", "2026-01-01", "2026-01-02", "f0", error="no room", traceback="line 1\nline 2")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    records = Records(tmp_path / "runs.sqlite")
    assert records.all() == [] and records.get(SPEC) is None and records.statuses([SPEC]) == {}
    other = replace(BAD, spec=replace(SPEC, seed=1))
    records.add(GOOD)
    records.add(other)
    again = Records(records.path)
    assert again.all() == [GOOD, other] or again.all() == [other, GOOD]
    assert again.get(SPEC) == GOOD
    assert again.statuses([SPEC, replace(SPEC, seed=2)]) == {SPEC.key: "ok"}
    assert again.fingerprints("tiles", "blue") == {"f0"} and again.fingerprints("tiles", "red") == set()
    json.dumps([record.as_dict() for record in again.all()])


def test_a_finished_run_stays_and_a_failed_one_is_replaced(tmp_path: Path) -> None:
    records = Records(tmp_path / "runs.sqlite")
    records.add(BAD)
    records.add(replace(BAD, error="still no room"))
    assert records.all() == [replace(BAD, error="still no room")]
    records.add(GOOD)
    records.add(BAD)
    records.add(replace(GOOD, figures={"image_auroc": 0.9}))
    assert records.all() == [GOOD]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"

    def write(writer: int) -> None:
        records = Records(path)
        for seed in range(5):
            records.add(replace(GOOD, spec=replace(SPEC, seed=100 * writer + seed)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert {record.spec.seed for record in Records(path).all()} == {100 * w + s for w in range(6) for s in range(5)}


WRITER = """
import sys
from dataclasses import replace
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.spec import RunSpec
records = Records(sys.argv[1])
for seed in range(10**6):
    spec = RunSpec("tiles", "blue", "knn", seed=seed)
    records.add(Record(spec, "ok", "", "", "f0", {"long": "x" * 20000}))
    print(seed, flush=True)
"""


def test_killed_at_any_time_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    told = 20 + len(writer.stdout.read().split())
    writer.wait()
    seeds = [record.spec.seed for record in Records(path).all()]
    assert sorted(seeds) == list(range(len(seeds))) and len(seeds) >= told
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    Records(path).add(GOOD)
    assert Records(path).get(SPEC) == GOOD


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("This is no database at all. " * 50)
    with pytest.raises(DataError, match=r"text\.sqlite cannot be used: file is not a database"):
        Records(text)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = foreign.read_bytes()
    with pytest.raises(DataError, match="a database of something else"):
        Records(foreign)
    assert foreign.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    Records(newer).add(GOOD)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="newer version of onlygood"):
        Records(newer)
    with pytest.raises(DataError, match="is a folder"):
        Records(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        Records(tmp_path / "none" / "runs.sqlite")
