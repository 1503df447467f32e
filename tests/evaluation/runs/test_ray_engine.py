"""The engine `ray`: the same records as in this process, bit for bit; a killed worker costs a try."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest
from tiles_and_engine import InThisProcess

from onlygood.errors import MissingDependencyError
from onlygood.evaluation.runs.measuring import Task
from onlygood.evaluation.runs.ray_engine import RayEngine
from onlygood.evaluation.runs.records import Records
from onlygood.evaluation.runs.running import run_sweep
from onlygood.evaluation.runs.sweep import Candidate, plan

HERE = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HERE, reason="Ray is not installed (extra ray)")


@pytest.mark.skipif(HERE, reason="Ray is installed")
def test_without_ray_the_error_says_how_to_get_it() -> None:
    with pytest.raises(MissingDependencyError, match=r"onlygood\[ray\]"):
        RayEngine(1)


@needs_ray
def test_records_are_those_of_this_process(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    small = {"size": 64}
    trained = Candidate("simplenet", parameters={**small, "epochs": 2, "updates": 1}, seeds=[0])
    sweep = plan([tiles], [Candidate("knn", parameters=small), trained], categories=["blue"], shots=[4, 50])
    one, other = Records(tmp_path / "here.sqlite"), Records(tmp_path / "ray.sqlite")
    run_sweep(sweep, one, here)
    run_sweep(sweep, other, RayEngine(1, workers=1), features=tmp_path / "features")
    assert len(one.all()) == len(sweep.specs)
    for first, second in zip(one.all(), other.all(), strict=True):
        for name in ("spec", "status", "data", "figures", "error"):
            assert getattr(first, name) == getattr(second, name)


@needs_ray
def test_a_killed_worker_does_not_end_the_sweep(tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = plan([tiles], [Candidate("knn", parameters={"size": 64})], categories=["blue"], seeds=[0, 1])
    mine = os.getpid()

    def kill(task: Task):  # defined here, so that it is sent to the workers as it is
        if task.spec.seed == 0 and os.getpid() != mine:
            os.kill(os.getpid(), signal.SIGKILL)
        from onlygood.evaluation.runs.records import Record

        return Record(task.spec, "ok", "", "", task.contents.fingerprint)

    monkeypatch.setattr("onlygood.evaluation.runs.ray_engine.measure", kill)
    records = Records(tmp_path / "runs.sqlite")
    outcome = run_sweep(sweep, records, RayEngine(1, workers=1))
    assert outcome.done == 1 and [record.spec.seed for record in outcome.failed] == [0]
    assert outcome.failed[0].error.startswith("The worker was killed, 2 times.")
    assert records.statuses(sweep.specs) == {sweep.specs[0].key: "failed", sweep.specs[1].key: "ok"}
