"""Shared features: the same bits as without, whoever computed them, whatever became of their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onlygood.evaluation.runs.features import SharedFeatures, folder_size
from onlygood.methods import find_method


def fitted_scores(method: str, tiles: Path) -> list[np.ndarray]:
    """Scores and maps of a detector fitted anew, and what it was calibrated with."""
    small = {"epochs": 4, "updates": 1} if method == "simplenet" else {}
    detector = find_method(method)(size=64, threads=1, **small).fit(tiles / "blue", progress=lambda *_: None)
    found = detector.inspect(tiles / "blue" / "test", progress=lambda *_: None)
    maps = [one.map for one in found if one.map is not None]
    return [np.array([one.score for one in found]), *maps, detector.calibration_.scores]


@pytest.mark.parametrize("method", ["knn", "spade", "simplenet"])
def test_scores_are_bit_equal_with_and_without(method: str, tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    alone = fitted_scores(method, tiles)
    first, second = SharedFeatures(tmp_path), SharedFeatures(tmp_path)
    for shared in (first, second):
        with shared.used():
            for one, other in zip(alone, fitted_scores(method, tiles), strict=True):
                np.testing.assert_array_equal(one, other)
    assert first.computed == 6 + 6  # each image once, though held-out ones are looked at again
    assert second.computed == 0 and second.found == first.found + 12
    np.testing.assert_array_equal(fitted_scores(method, tiles)[0], alone[0])


def test_what_is_damaged_or_deleted_is_computed_again(tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    with SharedFeatures(tmp_path).used():
        alone = fitted_scores("knn", tiles)
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == 12 and folder_size(tmp_path) == sum(path.stat().st_size for path in files)
    files[0].write_bytes(files[0].read_bytes()[:-5])
    files[1].write_bytes(b"")
    files[2].unlink()
    np.save(files[3], np.zeros((8, 8), np.int64))
    shared = SharedFeatures(tmp_path)
    with shared.used():
        np.testing.assert_array_equal(fitted_scores("knn", tiles)[0], alone[0])
    assert (shared.found, shared.computed) == (8, 4)
    with shared.used(), shared.paused():
        np.testing.assert_array_equal(fitted_scores("knn", tiles)[0], alone[0])
    assert (shared.found, shared.computed) == (8, 4)


def test_a_folder_that_cannot_be_written_to_costs_nothing_but_time(tiles: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fitting needs torch")
    (tmp_path / "file").write_text("in the way")
    shared = SharedFeatures(tmp_path / "file")
    with shared.used():
        fitted_scores("knn", tiles)
    assert shared.found == 0 and shared.computed == 12
