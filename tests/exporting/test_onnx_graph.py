"""The exported graph against the detector it was made of: methods, forms, precisions, sizes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onlygood
from onlygood.errors import DataWarning, ParameterError
from onlygood.exporting.onnx_graph import compose
from onlygood.exporting.parity import ORDER
from onlygood.images import resize
from onlygood.memory import ExactIndex
from onlygood.methods.registry import METHODS

#: Methods and the forms their scores can take.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in METHODS if name != "spade"},
    "ldknn, ratio": ("ldknn", {"form": "ratio"}),
    "ldknn, euclidean": ("ldknn", {"distance": "euclidean", "density": "bank"}),
    "ldknn, euclidean ratio": ("ldknn", {"distance": "euclidean", "form": "ratio", "alpha": 0.3}),
    "ldknn, released": ("ldknn", {"image_score": "avgpool3_max", "aggregator": "adaptive", "self_in_k": True}),
    "knn, maximum of the map": ("knn", {"image_score": "map_max"}),
    "knn, maximum of five": ("knn", {"k": 5, "image_score": "max", "map_sigma": 2.0}),
    "knn, coreset": ("knn", {"coreset": 0.2}),
    "kth_nn, euclidean": ("kth_nn", {"distance": "euclidean"}),
    "patchcore, paper": ("patchcore", {"b": 9, "distance": "euclidean", "image_score": "max", "coreset": 1.0}),
    "patchcore beyond the bank": (
        "patchcore",
        {"b": 9, "distance": "euclidean", "image_score": "max", "coreset": 0.01},
    ),
    "padim, released": ("padim", {"image_score": "map_max", "d": 20}),
    "dfm, released": ("dfm", {"image_score": "sum", "map_sigma": 0.0, "pool": 1}),
    "dfm, likelihood": ("dfm", {"form": "nll", "components": 3}),
    "kth_nn beyond the bank": ("kth_nn", {"k": 9, "coreset": 0.01}),
    "btf, maximum": ("btf", {"image_score": "max", "coreset": 1.0}),
    "btm, paper": ("btm", {"image_score": "max", "k": 5, "k_image": 2}),
    "btm, euclidean": ("btm", {"distance": "euclidean", "map_taps": None, "aggregator": "btm"}),
    "btm beyond the bank": ("btm", {"k": 9, "coreset": 0.01}),
    "lof, released": ("lof", {"mode": "reb"}),
    "lof beyond the bank": ("lof", {"k": 9, "coreset": 0.01}),
    "reb, graph index": ("reb", {"index": "graph"}),
    "ulsad, local branch": ("ulsad", {"consistency": "none"}),
    "ulsad, released": ("ulsad", {"variant": "released", "image_score": "map_max"}),
    "ulsad, int8": ("ulsad", {"precision": "int8"}),
    "reb, int8": ("reb", {"precision": "int8"}),
}


def fitted(case: str, good: list[np.ndarray], **more: Any) -> Any:
    name, parameters = CASES[case]
    small: dict[str, Any] = {"k": 4} if name in ("kth_nn", "lof", "ldof") else {}
    if name == "simplenet":
        small = {"epochs": 60, "updates": 1, "patches": 1.0}
    if name == "ulsad":
        small = {"width": 0.25, "epochs": 8, "threads": 1}
    return METHODS[name](size=64, **{**small, **parameters, **more}).fit(good)


def agree(detector: Any, outputs: dict[str, np.ndarray], image: np.ndarray) -> None:
    expected = detector.inspect([image])[0]
    scale = max(abs(detector.calibration_.ng_threshold), abs(expected.score), 1e-6)
    score = float(outputs["score"][0])
    assert abs(score - expected.score) <= 1e-4 * scale
    assert ORDER[int(outputs["verdict"][0])] == expected.verdict == detector.calibration_.verdict(score)
    assert outputs["p_value"][0] == pytest.approx(detector.calibration_.p_values([score])[0], abs=1e-6)
    if expected.map is None:
        assert "map" not in outputs
    else:
        assert outputs["map"].dtype == np.float32 and outputs["map"].shape == expected.map.shape
        assert np.abs(outputs["map"] - expected.map).mean() <= 1e-4 * scale


@pytest.mark.parametrize("case", CASES)
def test_the_graph_says_what_the_detector_says(good, unseen, opened, gde, case) -> None:
    detector = gde if case == "gde" else fitted(case, good)
    graph = opened(compose(detector))
    verdicts = set()
    for image in (*unseen[:6], *unseen[-2:], *good[:2]):
        outputs = graph(image)
        agree(detector, outputs, image)
        verdicts.add(int(outputs["verdict"][0]))
    assert len(verdicts) > 1, "images with the same verdict compare little"


def test_every_size_of_image(good, unseen, opened) -> None:
    detector = onlygood.REB(size=64, false_reject=0.12, review=0.25).fit(good)
    graph = opened(compose(detector))
    for image in unseen:
        agree(detector, graph(image), image)


def test_without_the_resize_it_takes_images_of_the_input_size(good, unseen, opened) -> None:
    detector = onlygood.REB(size=64).fit(good)
    graph = opened(compose(detector, any_size=False))
    assert graph.session.get_inputs()[0].shape == [1, 64, 64, 3]
    for image in unseen:
        agree(detector, graph(resize(image, 64)), image)
    with pytest.raises(Exception, match="invalid dimensions"):
        graph(unseen[2])


def test_another_engine_runs_it(good, unseen) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    from onlygood.features.engines import _openvino

    detector = onlygood.REB(size=64).fit(good)
    core = _openvino().Core()
    model = core.read_model(compose(detector, any_size=False))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for image in unseen[:4]:
        outputs = compiled({0: resize(image, 64)[None]})
        expected = detector.inspect([image])[0]
        scale = max(abs(detector.calibration_.ng_threshold), abs(expected.score))
        assert abs(float(outputs["score"][0]) - expected.score) <= 1e-3 * scale
        assert ORDER[int(outputs["verdict"][0])] == expected.verdict


def test_nothing_calibrated_is_review(good, opened) -> None:
    with pytest.warns(DataWarning, match="single image"):
        detector = onlygood.KNN(size=64).fit(good[:1])
    outputs = opened(compose(detector))(good[3])
    assert (int(outputs["verdict"][0]), float(outputs["p_value"][0])) == (1, 1.0)


def test_other_rates_are_the_rates_of_the_file(good, unseen, opened) -> None:
    detector = onlygood.KNN(size=64).fit(good)
    detector.calibration_ = detector.calibration_.at(0.5, 0.8)
    graph = opened(compose(detector))
    for image in unseen:
        agree(detector, graph(image), image)


def test_the_file_says_where_it_comes_from(good) -> None:
    detector = onlygood.LDKNN(size=64, k=3).fit(good)
    session = onnxruntime.InferenceSession(compose(detector))
    said = session.get_modelmeta().custom_metadata_map
    assert (said["method"], said["version"]) == ("ldknn", onlygood.__version__)
    assert float(said["ng_threshold"]) == detector.calibration_.ng_threshold
    assert float(said["review_threshold"]) == detector.calibration_.review_threshold
    assert float(said["pixel_threshold"]) == detector.calibration_.pixel_threshold
    assert said["promise"] == str(detector.calibration_.promise)
    assert json.loads(said["input_size"]) == 64 and json.loads(said["vectors"]) == len(detector.bank_)
    assert len(json.loads(said["input_mean"])) == len(json.loads(said["input_std"])) == 3
    assert json.loads(said["verdicts"]) == ["OK", "REVIEW", "NG"]
    assert said["weights_license"] == "Apache-2.0"
    assert json.loads(said["parameters"])["k"] == 3


def test_a_bank_too_large_for_the_format(good, monkeypatch) -> None:
    monkeypatch.setattr("onlygood.exporting.onnx_graph.MOST_BYTES", 100_000)
    with pytest.raises(ParameterError, match="fewer vectors"):
        compose(onlygood.KNN(size=64).fit(good))


def test_the_same_detector_gives_the_same_bytes(good) -> None:
    detector = onlygood.LDKNN(size=64).fit(good)
    assert compose(detector) == compose(detector)


def test_a_method_that_scores_in_its_own_way_is_refused(good) -> None:
    class Own(onlygood.KNN):
        method = "own"

        def _score(self, squared, rows):
            return super()._score(squared, rows) * 2

    with pytest.raises(ParameterError, match=r"own cannot be exported.*gde, knn.*reb"):
        compose(Own(size=64).fit(good))


def test_the_search_in_two_steps_is_refused(good) -> None:
    with pytest.raises(ParameterError, match=r"spade cannot be exported.*padim"):
        compose(onlygood.SPADE(size=64).fit(good))


def test_a_bank_of_one_vector_has_nothing_to_weigh_with(good, unseen, opened) -> None:
    detector = onlygood.BTF(size=64).fit(good)
    detector.bank_ = detector.bank_.subset(np.array([7]))
    detector.index_ = ExactIndex(detector.bank_.vectors)
    graph = opened(compose(detector))
    for image in unseen[:3]:
        agree(detector, graph(image), image)


def test_detectors_of_scans_are_refused(good) -> None:
    from made_scans import made_scan

    scans = [onlygood.images.ImageSource(f"scan {i}", m.rgb, m.xyz) for i, m in enumerate(map(made_scan, range(2)))]
    for parameters in ({"modality": "fpfh"}, {"modality": "rgb", "foreground": 0.003}):
        detector = onlygood.BTM(size=64, neighbours=12, normal_neighbours=8, **parameters).fit(scans)
        with pytest.raises(ParameterError, match="points of scans"):
            compose(detector)
