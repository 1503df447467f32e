"""Worker processes: killed ones cost a try, not the sweep; none outlives the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from onlygood.evaluation.runs.local import LocalEngine
from onlygood.evaluation.runs.records import Records
from onlygood.evaluation.runs.running import run_sweep
from onlygood.evaluation.runs.sweep import Candidate, Sweep, plan
from onlygood.parallel import THREAD_VARIABLES

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def small_sweep(tiles: Path, seeds: int) -> Sweep:
    return plan([tiles], [Candidate("knn", parameters={"size": 64})], categories=["blue"], seeds=range(seeds))


class Killer(threading.Thread):
    """Kills the first so many workers that an engine starts."""

    def __init__(self, engine: LocalEngine, victims: int) -> None:
        super().__init__(daemon=True)
        self.engine, self.victims = engine, victims
        self.killed: set[int] = set()
        self.over = False

    def run(self) -> None:
        while len(self.killed) < self.victims and not self.over:
            for pid in set(self.engine.pids()) - self.killed:
                os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)
            time.sleep(0.01)


def test_killed_workers_do_not_end_the_sweep(tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    engine = LocalEngine(1, 1)
    killer = Killer(engine, 3)  # both tries of the first run, one of the second
    killer.start()
    records = Records(tmp_path / "runs.sqlite")
    sweep = small_sweep(tiles, 3)
    outcome = run_sweep(sweep, records, engine)
    killer.over = True
    assert len(killer.killed) == 3 and not engine.pids()
    first, second, third = (records.get(spec) for spec in sweep.specs)
    assert first is not None and second is not None and third is not None
    assert first.error.startswith("The worker was killed (SIGKILL), 2 times.") and outcome.failed == [first]
    assert (second.status, second.circumstances["tries"]) == ("ok", 2)
    assert (third.status, third.circumstances["tries"], third.circumstances["workers"]) == ("ok", 1, 1)


class Counting(LocalEngine):
    """Counts the workers that it starts."""

    started = 0

    def _start(self):
        self.started += 1
        return super()._start()


@pytest.mark.parametrize(("fresh", "expected"), [(True, 2), (False, 1)])
def test_a_run_has_a_process_of_its_own_if_asked_for(tiles: Path, tmp_path: Path, fresh: bool, expected: int) -> None:
    engine = Counting(1, 1, fresh=fresh)
    # more shots than images: over at once
    sweep = plan([tiles], [Candidate("knn")], categories=["blue"], seeds=[0, 1], shots=[50])
    outcome = run_sweep(sweep, Records(tmp_path / "runs.sqlite"), engine)
    assert ["50 shots cannot be drawn" in record.error for record in outcome.failed] == [True, True]
    assert engine.started == expected and not engine.pids()


SWEEP = """
import sys
from onlygood.evaluation.runs.local import LocalEngine
from onlygood.evaluation.runs.records import Records
from onlygood.evaluation.runs.running import run_sweep
from onlygood.evaluation.runs.sweep import Candidate, plan
sweep = plan([sys.argv[1]], [Candidate("knn", parameters={"size": 64})], seeds=range(100))
engine = LocalEngine(1, 1)
if __name__ == "__main__":
    run_sweep(sweep, Records(sys.argv[2]), engine, told=lambda record: print(*engine.pids(), record.status, flush=True))
"""


def test_workers_end_with_the_process_that_started_them(tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    program = subprocess.Popen(
        [sys.executable, "-c", SWEEP, tiles, tmp_path / "a.sqlite"], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pid, status = program.stdout.readline().split()
    program.kill()
    program.stdout.read()
    assert status == "ok" and [record.status for record in Records(tmp_path / "a.sqlite").all()][:1] == ["ok"]
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            break  # ended; whoever adopted it has not looked yet
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_starting_workers_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREAD_VARIABLES[0], "7")
    monkeypatch.delenv(THREAD_VARIABLES[1], raising=False)
    engine = LocalEngine(1, 1)
    engine._start()
    engine._stop()
    assert os.environ[THREAD_VARIABLES[0]] == "7" and THREAD_VARIABLES[1] not in os.environ and not engine.pids()
