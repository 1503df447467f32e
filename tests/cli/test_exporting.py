"""Exporting, from file to file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import onlygood
from onlygood.exporting import TOLERANCE

pytest.importorskip("onnx", reason="exporting needs onnx")


def test_export_writes_a_graph_and_says_what_was_seen(og, model: Path, part: Path) -> None:
    done = og("export", model, "--to", "onnx", "-o", "plate.onnx", "--images", part, "--vectors", 100)
    assert done.status == 0 and not done.err
    rows = dict(line.split("  ", 1) for line in done.out.splitlines())
    assert "100 of 512 patch vectors" in rows["memory bank"]
    assert "8 images: verdicts equal 8/8" in rows["compared"] and "allowed 0.0001" in rows["compared"]
    assert re.search(r"8 are training images", rows["these images"])
    assert re.search(r"whole bank for \d/8, rank correlation of the scores 0\.\d+", rows["left out"])
    assert "cannot be promised with 8" in rows["promise"] and "plate.onnx" in rows["written"]
    reduced = onlygood.load(model).reduced(100)  # type: ignore[attr-defined]
    assert f"{reduced.calibration_.ng_threshold:.4g}" in rows["NG above"]
    session = onnxruntime.InferenceSession("plate.onnx")
    for path in sorted((part / "test").rglob("*.png")):
        image = np.asarray(Image.open(path).convert("RGB"))
        verdict = session.run(["verdict"], {"image": image[None]})[0][0]
        assert ("OK", "REVIEW", "NG")[verdict] == reduced.inspect([image])[0].verdict


def test_the_whole_bank_at_the_input_size(og, model: Path, part: Path) -> None:
    done = og("export", model, "-o", "plate.onnx", "--images", part / "test", "--share", 1, "--input-size-only")
    assert done.status == 0 and "3 images" in done.out  # the good ones
    assert "all 512 patch vectors" in done.out and "left out" not in done.out
    assert onnxruntime.InferenceSession("plate.onnx").get_inputs()[0].shape == [1, 64, 64, 3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--vectors", 9, "--share", 0.5), "vectors and share"),
        (("--fidelity", 2), "fidelity=2"),
        (("--vectors", 100, "--tolerance", 0), "allowed is 0"),
        (("-o", "none/plate.onnx"), "no folder none"),
    ],
)
def test_what_is_refused_leaves_nothing(og, model: Path, part: Path, tmp_path: Path, words, expected: str) -> None:
    done = og("export", model, "-o", "plate.onnx", "--images", part, *words)
    assert done.status == 2 and not done.out
    assert done.err.startswith("Error: ") and expected in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_the_package_onnx_the_error_names_the_extra(og, model: Path, part: Path, monkeypatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnx" else find(name, *more))
    done = og("export", model, "-o", "plate.onnx", "--images", part)
    assert done.status == 2 and "onlygood[fit]" in done.err and done.err.count("\n") == 1


def test_help_names_the_default_of_the_library(og) -> None:
    assert f"{TOLERANCE:.4f}" in og("export", "--help").out
