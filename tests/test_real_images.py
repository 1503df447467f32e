"""Real photographs end to end: from a folder of good images to verdicts that are worth something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import onlygood
from onlygood.evaluation.testset import run_test
from onlygood.images import find_good_images, find_labelled_images
from onlygood.images.datasets.elpv import load_elpv

#: Sets in the MVTec AD layout, not part of the project.
DATA = Path(os.environ.get("ONLYGOOD_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="module")
def cells():
    pytest.importorskip("elpv_dataset", reason="the package elpv-dataset is not installed")
    return load_elpv("mono")


def test_solar_cells(cells, tmp_path):
    train = [str(path) for path in cells.train[::8]]
    test = [s for s in cells.test if s.label == 0][::3] + [s for s in cells.test if s.label == 1][::8]
    detector = onlygood.REB().fit(train)
    figures = run_test(detector, test).evaluate()
    assert figures.image_auroc > 0.85
    assert figures.false_reject_rate.value < 0.2
    detector.save(tmp_path / "cells.og")
    names = [str(s.path) for s in test[:4]]
    assert (onlygood.load(tmp_path / "cells.og").score(names) == detector.score(names)).all()


@pytest.mark.parametrize(("name", "auroc", "aupro"), [("hazelnut", 0.9, 0.85), ("cookie", 0.95, 0.8)])
def test_objects(name, auroc, aupro):
    if not (DATA / name).is_dir():
        pytest.skip(f"the data set {name} is not in {DATA}; set ONLYGOOD_DATA")
    detector = onlygood.REB(size=192).fit([str(p) for p in find_good_images(DATA / name)])
    figures = run_test(detector, find_labelled_images(DATA / name)).evaluate()
    assert figures.image_auroc > auroc
    assert figures.aupro > aupro
