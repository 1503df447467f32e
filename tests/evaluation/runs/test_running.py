"""A sweep: what is recorded, what is done again, what a failure costs, what a record says."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tiles_and_engine import InThisProcess

import onlygood
from onlygood.errors import DataError, ParameterError
from onlygood.evaluation.runs.data import read_contents
from onlygood.evaluation.runs.measuring import Task, training_images
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.running import run_sweep, share_cores
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.sweep import Candidate, plan
from onlygood.parallel import cores

SMALL = {"size": 64}
KNN = Candidate("knn", parameters=SMALL)


class NeverAsked:
    """An engine for sweeps that have nothing left to do."""

    threads = 1

    def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
        assert not list(tasks)
        return iter(())


def test_a_sweep_is_all_combinations_none_twice(tiles: Path) -> None:
    sweep = plan([tiles], [KNN, Candidate("reb", "quick", seeds=[7])], seeds=[0, 1], shots=[2, None], draws=3)
    assert len(sweep.specs) == 2 * (3 + 1) * (2 + 1) == len(set(sweep.specs))
    assert {spec.category for spec in sweep.specs} == {"blue", "red"}
    assert {(s.method, s.preset, s.seed) for s in sweep.specs} == {
        ("knn", None, 0),
        ("knn", None, 1),
        ("reb", "quick", 7),
    }
    assert {(s.shots, s.draw) for s in sweep.specs} == {(2, 0), (2, 1), (2, 2), (None, 0)}
    assert plan([tiles], [KNN, KNN], categories=["red"], seeds=[0, 0]).specs == (
        RunSpec("tiles", "red", "knn", parameters=SMALL),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"candidates": [Candidate("magic")]}, "Unknown method 'magic'"),
        ({"candidates": [Candidate("knn", "magic")]}, "no preset 'magic'"),
        ({"candidates": [Candidate("knn", parameters={"alpha": 1})]}, "knn has no parameter alpha"),
        ({"candidates": [Candidate("knn", parameters={"k": 0})]}, "k=0"),
        ({"candidates": []}, "at least one method"),
        ({"categories": ["green"]}, "no category 'green'"),
        ({"draws": 0}, "draws=0"),
        ({"seeds": []}, "at least one seed"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is(tiles: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        plan([tiles], **{"candidates": [KNN], **changes})


def test_two_sets_of_one_name_are_refused(tiles: Path, tmp_path: Path) -> None:
    shutil.copytree(tiles, tmp_path / "tiles")
    with pytest.raises(DataError, match="both called 'tiles'"):
        plan([tiles, tmp_path / "tiles"], [KNN])


def test_figures_are_those_of_the_scores_by_scikit_learn(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    records = Records(tmp_path / "runs.sqlite")
    run_sweep(plan([tiles], [KNN], categories=["blue"]), records, here)
    (record,) = records.all()
    assert record.status == "ok" and not record.error
    kept = record.figures["scores"]
    scores, truth = np.array(kept["score"]), np.array([kind != "good" for kind in kept["defect"]])
    assert sorted(kept["name"]) == sorted(f"{kind}/{i}.png" for kind in ("blot", "good") for i in range(3))
    assert record.figures["image_auroc"] == pytest.approx(roc_auc_score(truth, scores))
    assert record.figures["average_precision"] == pytest.approx(average_precision_score(truth, scores))
    detector = onlygood.KNN(size=64, threads=1).fit(tiles / "blue")
    for percent in (1, 5):
        detector.calibration_ = detector.calibration_.at(percent / 100, max(percent / 100, 0.05))
        verdicts = [
            str(one.verdict) for one in detector.inspect([tiles / "blue" / "test" / name for name in kept["name"]])
        ]
        is_ng = np.array([verdict == "NG" for verdict in verdicts])
        assert record.figures[f"false_reject_{percent}"] == is_ng[~truth].mean()
        assert record.figures[f"escape_{percent}"] == 1 - is_ng[truth].mean()
    (kind,) = record.figures["per_type"]
    assert (kind["name"], kind["total"], kind["escape_1"]) == ("blot", 3, record.figures["escape_1"])
    assert [record.figures[name] for name in ("n_train", "n_good", "n_defect", "n_without_mask")] == [6, 3, 3, 0]
    detector.save(tmp_path / "a.og")
    assert record.costs["model_bytes"] == pytest.approx((tmp_path / "a.og").stat().st_size, rel=0.01)
    assert min(record.costs[name] for name in ("fit_seconds", "ms_per_image", "peak_bytes", "fit_peak_bytes")) > 0
    told = record.circumstances
    assert told["threads"] == 1 and told["versions"]["onlygood"] == onlygood.__version__
    assert len(told["weights_sha256"]) == 64 and told["host"] and record.started < record.ended


def test_a_stopped_sweep_goes_on_where_it_was(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    sweep = plan([tiles], [KNN], seeds=[0, 1])
    records = Records(tmp_path / "runs.sqlite")

    def stop(record: Record) -> None:
        if len(here.given) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, records, here, features=tmp_path / "features", told=stop)
    first = records.all()
    assert [record.spec for record in first] == list(sweep.specs[:2])
    told: list[tuple[str, int, int]] = []
    outcome = run_sweep(sweep, records, here, features=tmp_path / "features", progress=lambda *step: told.append(step))
    assert (outcome.done, outcome.before, outcome.failed) == (2, 2, [])
    assert [task.spec for task in here.given] == list(sweep.specs)
    assert [step for step in told if step[0] == "runs"] == [("runs", done, 4) for done in (2, 3, 4)]
    assert set(map(repr, first)) <= set(map(repr, records.all()))
    assert all(records.get(spec).costs["fit_shared_images"] == 6 for spec in sweep.specs[2:])  # type: ignore[union-attr]
    assert run_sweep(sweep, records, NeverAsked()).before == 4


def test_a_failure_is_recorded_and_the_others_go_on(tiles: Path, tmp_path: Path, here: InThisProcess) -> None:
    records = Records(tmp_path / "runs.sqlite")
    sweep = plan([tiles], [KNN], categories=["blue"], shots=[50, 2])
    outcome = run_sweep(sweep, records, here)
    assert outcome.done == 1 and [record.spec.shots for record in outcome.failed] == [50]
    failed = records.get(sweep.specs[0])
    assert failed is not None and failed.status == "failed" and not failed.figures
    assert failed.error == "DataError: 50 shots cannot be drawn of 6 different training images. Ask for fewer."
    assert "draw_shots" in failed.traceback and failed.circumstances["host"]
    again = run_sweep(sweep, records, NeverAsked())
    assert (again.done, again.before, again.failed) == (0, 1, [failed])
    run_sweep(sweep, records, here, retry=True)
    assert [task.spec.shots for task in here.given] == [50, 2, 50]


def test_a_run_that_another_sweep_finished_meanwhile_is_not_done(tiles: Path, tmp_path: Path) -> None:
    sweep = plan([tiles], [KNN], categories=["blue"], seeds=[0, 1])
    records = Records(tmp_path / "runs.sqlite")

    class Slow:
        threads = 1

        def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
            for task in tasks:
                done = Record(sweep.specs[1], "ok", "", "", task.contents.fingerprint)
                records.add(done)  # by the other one, while this engine is busy with the first
                yield replace(done, spec=task.spec)

    outcome = run_sweep(sweep, records, Slow())
    assert (outcome.done, outcome.before) == (1, 1)


def test_other_images_under_the_same_name_are_refused(tiles: Path, tmp_path: Path) -> None:
    shutil.copytree(tiles, tmp_path / "tiles")
    sweep = plan([tmp_path / "tiles"], [KNN], categories=["blue"], seeds=[0, 1])
    records = Records(tmp_path / "runs.sqlite")
    fingerprint = read_contents(sweep.data["tiles"].category("blue")).fingerprint
    assert fingerprint == read_contents(plan([tiles], [KNN]).data["tiles"].category("blue")).fingerprint
    records.add(Record(sweep.specs[0], "ok", "", "", fingerprint))
    shutil.copy(tiles / "red" / "train" / "good" / "0.png", tmp_path / "tiles" / "blue" / "train" / "good" / "0.png")
    with pytest.raises(DataError, match="runs on other images of tiles/blue"):
        run_sweep(sweep, records, NeverAsked())


def test_shots_and_most_train_choose_the_images(tiles: Path) -> None:
    contents = read_contents(plan([tiles], [KNN]).data["tiles"].category("blue"))

    def names(**choice: int) -> list[str]:
        return [path.stem for path in training_images(RunSpec("tiles", "blue", "knn", **choice), contents)]  # type: ignore[arg-type]

    assert names() == list("012345") and names(most_train=3) == list("025") and names(most_train=9) == list("012345")
    assert len({tuple(names(shots=3, draw=draw)) for draw in range(10)}) > 5
    assert all(set(names(shots=3, draw=draw)) < set("012345") for draw in range(10))


def test_cores_are_shared_never_exceeded() -> None:
    for workers, threads in ((None, None), (1, None), (None, 1), (1, 1)):
        w, t = share_cores(workers, threads)
        assert w >= 1 and t >= 1 and w * t <= cores() and workers in (None, w) and threads in (None, t)
    with pytest.raises(ParameterError, match="more than the"):
        share_cores(cores() + 1, 1)
    with pytest.raises(ParameterError, match="workers=0"):
        share_cores(0, None)
