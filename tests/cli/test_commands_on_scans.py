"""The program on a folder in the MVTec 3D-AD layout (made-up scans: behaviour only)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_scans import made_scan


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans") / "dome"
    for kind, count in (("train/good", 5), ("test/good", 2), ("test/dent", 2)):
        for part in ("rgb", "xyz", "gt"):
            (folder / kind / part).mkdir(parents=True)
        for i in range(count):
            made = made_scan(hash_of(kind) + i, "dent" if "dent" in kind else None)
            Image.fromarray(made.rgb).save(folder / kind / "rgb" / f"{i:03}.png")
            np.save(folder / kind / "xyz" / f"{i:03}.npy", made.xyz)
            Image.fromarray(made.mask.astype(np.uint8) * 255).save(folder / kind / "gt" / f"{i:03}.png")
    return folder


def hash_of(kind: str) -> int:
    return {"train/good": 0, "test/good": 100, "test/dent": 200}[kind]


def test_fit_inspect_and_evaluate_scans(og, scans: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    settings = ("--size", "64", "--set", "neighbours=24", "--set", "normal_neighbours=10", "--set", "radius=none")
    fit = og("fit", scans, "-o", "dome.og", "--method", "btm", *settings)
    assert fit.status == 0, fit.err
    assert "rgb+fpfh" in fit.out and "185 numbers" in fit.out
    found = og("inspect", "dome.og", scans / "test" / "dent", "--json", "--overlay", "marked")
    answers = json.loads(found.out)
    assert [Path(a["name"]).name for a in answers] == ["000.png", "001.png"] and not found.err
    assert len(list((tmp_path / "marked").rglob("*.png"))) == 2
    figures = json.loads(og("evaluate", "dome.og", scans, "--json").out)
    assert (figures["n_good"], figures["n_defect"]) == (2, 2)
    assert figures["image_auroc"] == 1 and figures["pixel_auroc"] > 0.8
    assert og("evaluate", "dome.og", scans, "--report", "r.html").status == 0


def test_geometry_alone(og, scans: Path) -> None:
    fit = og("fit", scans, "-o", "dome.og", "-m", "btm", "--size", "64", "--set", "modality=fpfh", "--preset", "quick")
    assert fit.status == 0, fit.err
    info = og("info", "dome.og")
    assert "none: geometry alone" in info.out and info.status == 0
    assert json.loads(og("info", "dome.og", "--json").out)["features"]["dim"] == 33
    assert og("evaluate", "dome.og", scans, "--report", "r.html").status == 0


def test_methods_for_pictures_take_the_pictures_of_scans(og, scans: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    assert og("fit", scans, "-o", "dome.og", "--method", "knn", "--size", "64").status == 0
    answers = json.loads(og("inspect", "dome.og", scans / "test" / "good", "--json").out)
    assert len(answers) == 2


def test_scans_and_pictures_do_not_mix(og, scans: Path, tmp_path: Path) -> None:
    Image.fromarray(made_scan(1).rgb).save(tmp_path / "plain.png")
    assert og("fit", scans, "-o", "dome.og", "-m", "btf", "--size", "64", "--set", "modality=fpfh").status == 0
    found = og("inspect", "dome.og", "plain.png")
    assert found.status == 2 and "plain.png is a picture without 3-D points" in found.err
