"""The demo on real solar cells."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import onlygood


def test_the_demo_from_good_cells_to_a_report(tmp_path: Path) -> None:
    pytest.importorskip("elpv_dataset", reason="the demo needs the package elpv-dataset")
    pytest.importorskip("torch")
    pytest.importorskip("jinja2")
    from onlygood.demo import run_demo

    said: list[str] = []
    made = run_demo("mono", tmp_path / "out", images=6, most_good=3, most_defective=3, method="knn", say=said.append)
    assert (made.evaluation.n_good, made.evaluation.n_defect) == (3, 3)
    assert not {sample.path.name for sample in made.run.samples} & {
        Path(name).name for name in made.detector.training_.names
    }
    assert len(onlygood.load(made.model).training_.names) == 6
    assert "ELPV" in made.report.read_text("utf-8")
    assert len(said) == 2


def test_without_the_data_the_error_says_how_to_get_it(og, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "elpv_dataset" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    done = og("demo")
    assert done.status == 2 and "pip install 'onlygood[demo]'" in done.err and not Path("demo-output").exists()
