"""Fine-tunings that runs share: the same figures as without, one file for all that are tuned alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiles_and_engine import InThisProcess

from onlygood.evaluation.runs.measuring import make_detector
from onlygood.evaluation.runs.records import Records
from onlygood.evaluation.runs.running import run_sweep
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.sweep import Candidate, plan
from onlygood.evaluation.runs.tunings import share_tuning

TUNED = RunSpec("tiles", "blue", "reb", parameters={"fine_tune": "quick", "size": 64})


def file_of(spec: RunSpec, folder: Path, fingerprint: str = "data") -> Path:
    detector = make_detector(spec)
    assert not share_tuning(detector, spec, fingerprint, folder)
    return detector.checkpoint  # type: ignore[attr-defined,no-any-return]


def test_only_what_is_tuned_alike_has_the_same_file(tmp_path: Path) -> None:
    def changed(**parameters: Any) -> RunSpec:
        return replace(TUNED, parameters={**TUNED.parameters, **parameters})

    same = [TUNED, changed(alpha=0.0), changed(k=3), changed(coreset=0.5), replace(TUNED, preset="quick")]
    assert len({file_of(spec, tmp_path) for spec in same}) == 1
    others = [
        TUNED,
        changed(size=96),
        changed(fine_tune="released"),
        changed(backbone="efficientnet_lite1"),
        changed(weights="mine.pt"),
        replace(TUNED, seed=1),
        replace(TUNED, most_train=5),
        replace(TUNED, shots=5),
        replace(TUNED, shots=5, draw=1),
    ]
    files = {*(file_of(spec, tmp_path) for spec in others), file_of(TUNED, tmp_path, "other data")}
    assert len(files) == len(others) + 1 and {path.parent for path in files} == {tmp_path}


def test_what_is_not_tuned_has_none(tmp_path: Path) -> None:
    for spec in (RunSpec("tiles", "blue", "knn"), RunSpec("tiles", "blue", "reb")):
        detector = make_detector(spec)
        assert not share_tuning(detector, spec, "data", tmp_path)
        assert getattr(detector, "checkpoint", None) is None


def test_figures_are_the_same_and_a_backbone_is_tuned_once(
    tiles: Path, tmp_path: Path, here: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onlygood.synthesis import pretext, recipes

    tiny = replace(recipes.Recipe.QUICK, updates=2, warmup=1, passes=1, sources=2, size=64)
    monkeypatch.setattr(pretext, "recipe", lambda name: tiny)
    candidates = [Candidate("reb", parameters={**TUNED.parameters, "alpha": alpha}) for alpha in (0.5, 0.0)]
    sweep = plan([tiles], candidates, categories=["blue"])
    alone, sharing = Records(tmp_path / "alone.sqlite"), Records(tmp_path / "sharing.sqlite")
    run_sweep(sweep, alone, here)
    run_sweep(sweep, sharing, here, tunings=tmp_path / "tuned")
    found = [(alone.get(spec), sharing.get(spec)) for spec in sweep.specs]
    for one, other in found:
        assert one is not None and other is not None and one.status == "ok", one
        assert one.figures == other.figures and not one.costs["fit_shared_tuning"]
    assert [other.costs["fit_shared_tuning"] for _, other in found if other is not None] == [False, True]
    assert len(list((tmp_path / "tuned").iterdir())) == 1
