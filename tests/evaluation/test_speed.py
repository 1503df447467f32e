"""What is measured is there and is what it says; how long anything takes is no matter of a test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood
from made_scans import made_scan
from onlygood.errors import ImageError, NotFittedError, ParameterError
from onlygood.evaluation.machine import machine, versions
from onlygood.evaluation.speed import (
    STAGES,
    WARM_UP,
    Timing,
    exact_distances,
    is_nearest,
    measure_speed,
    recall_of,
    timed_load,
)
from onlygood.memory import ExactIndex, GraphIndex


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    paths = [folder / f"{number}.png" for number in range(6)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def model(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="fitting needs torch")
    path = tmp_path_factory.mktemp("model") / "a.og"
    onlygood.KNN(size=64, weights="random").fit(pictures[:4]).save(path)
    return path


def test_every_step_is_timed_for_every_image_and_round(model: Path, pictures: list[Path]) -> None:
    detector, seconds = timed_load(model)
    speed = measure_speed(detector, pictures, repeats=2, recall_patches=50)
    assert seconds > 0 and speed.first_ms > 0 and speed.images_per_second > 0
    assert list(speed.stages) == list(STAGES)
    assert all(timing.runs == 12 and 0 < timing.median_ms <= timing.p95_ms for timing in speed.stages.values())
    assert (speed.images, speed.repeats, speed.warm_up) == (6, 2, WARM_UP)
    assert speed.whole_over_backbone == speed.stages["whole"].median_ms / speed.stages["backbone"].median_ms
    assert speed.recall is not None and speed.recall.patches == 50
    table = json.loads(json.dumps(speed.as_dict()))
    assert table["stages"]["search"].keys() == {"median_ms", "p95_ms", "runs"} and table["whole_over_backbone"] > 0


def test_the_steps_together_say_what_inspecting_says(model: Path, pictures: list[Path]) -> None:
    """The steps are timed apart from `inspect`, so they must not drift from it."""
    detector = onlygood.load(model)
    for picture in pictures:
        whole = detector.inspect(picture)[0]
        features, size = detector.graph_.features(onlygood.images.ImageSource(str(picture), picture))
        patches = detector._scores_from(*detector._neighbours_of(features), features.shape[:2])
        parts = detector._judge(whole.name, patches, size)
        assert parts.as_dict() == whole.as_dict() and np.array_equal(parts.map, whole.map)


@pytest.mark.parametrize("method", [onlygood.BTF, onlygood.BTM])
def test_methods_that_look_at_the_neighbours_again_are_timed_whole(method, pictures: list[Path]) -> None:
    pytest.importorskip("torch")
    detector = method(size=64, backbone="resnet18", weights="random").fit(pictures[:3])
    assert list(measure_speed(detector, pictures[4:], repeats=1).stages) == list(STAGES)


@pytest.mark.parametrize("modality", ["rgb+fpfh", "fpfh"])
def test_scans_are_timed_with_their_geometry(modality: str) -> None:
    pytest.importorskip("torch")
    made = [made_scan(seed) for seed in range(5)]
    scans = [onlygood.images.ImageSource(f"scan {i}", one.rgb, one.xyz) for i, one in enumerate(made)]
    quick = {"size": 64, "neighbours": 24, "normal_neighbours": 10}
    detector = onlygood.BTM(modality=modality, backbone="resnet18", weights="random", **quick).fit(scans[:3])
    speed = measure_speed(detector, scans[3:], repeats=1)
    assert list(speed.stages) == [name for name in STAGES if name != "backbone" or "rgb" in modality]
    assert (speed.whole_over_backbone is None) == (modality == "fpfh")
    assert speed.recall is not None and speed.recall.vectors == len(detector.bank_)


def test_a_method_without_a_bank_has_no_search(pictures: list[Path]) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    detector = onlygood.GDE(size=64, backbone="resnet18", weights="random").fit(pictures[:2])
    speed = measure_speed(detector, pictures[4:], repeats=1)
    assert list(speed.stages) == [name for name in STAGES if name != "search"]
    assert speed.recall is None and speed.as_dict()["recall"] is None


def test_exact_search_has_recall_1(model: Path, pictures: list[Path]) -> None:
    detector = onlygood.load(model)
    assert detector.index_.kind == "exact"
    recall = recall_of(detector, pictures[4:], 40)
    assert (recall.value, recall.deciding, recall.patches) == (1.0, 1.0, 40)
    assert recall.vectors == len(detector.bank_)


def test_recall_is_the_share_of_true_nearest_neighbours(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((5000, 8)).astype(np.float32)
    queries = rng.standard_normal((200, 8)).astype(np.float32)
    squared = ((queries[:, None].astype(np.float64) - vectors) ** 2).sum(-1)
    assert exact_distances(vectors, queries) == pytest.approx(squared.min(axis=1), rel=1e-4)
    poor = GraphIndex(vectors, links=2, build_beam=4, search_beam=1)
    expected = (poor.search(queries, 1)[1][:, 0] == squared.argmin(axis=1)).mean()

    def recall(index: GraphIndex) -> float:
        return is_nearest(vectors, queries, index.search(queries, 1)[1][:, 0]).mean()

    assert recall(poor) == expected < 0.9
    assert recall(GraphIndex(vectors)) > 0.97


def test_recall_counts_equal_vectors_and_half_precision_banks_as_what_they_are(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((300, 5)).astype(np.float16)
    vectors[150:] = vectors[:150]
    queries = rng.standard_normal((50, 5)).astype(np.float32)
    rows = ExactIndex(vectors).search(queries, 1)[1][:, 0]
    assert is_nearest(vectors, queries, rows % 150).all() and is_nearest(vectors, queries, rows % 150 + 150).all()
    assert not is_nearest(vectors, queries, (rows + 1) % 150).any()
    assert not is_nearest(vectors, queries, np.full(50, -1)).any()


def test_timing_of_single_times() -> None:
    timing = Timing.of([0.001, 0.003, 0.002])
    assert (timing.median_ms, timing.runs) == (pytest.approx(2), 3)
    assert timing.p95_ms == pytest.approx(np.percentile([1, 3, 2], 95))


@pytest.mark.parametrize("given", [{"repeats": 0}, {"recall_patches": 0}])
def test_nothing_is_measured_of_nothing(model: Path, pictures: list[Path], given: dict[str, int]) -> None:
    with pytest.raises(ParameterError, match=next(iter(given))):
        measure_speed(onlygood.load(model), pictures, **given)


def test_bad_images_and_unfitted_detectors_are_named(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ImageError, match=r"a\.png"):
        measure_speed(onlygood.load(model), tmp_path)
    with pytest.raises(NotFittedError):
        measure_speed(onlygood.KNN(), tmp_path / "a.png")


def test_machine_and_versions_are_named() -> None:
    here = machine()
    assert here["cpu"] and here["cores"] >= 1 and here["system"]
    assert versions()["onlygood"] == onlygood.__version__ and "numpy" in versions()
