"""Engine, device and precision of a detector: chosen at fit, recorded, and another one when it is loaded."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest

import onlygood
from onlygood.errors import MissingDependencyError, ParameterError
from onlygood.features import engines

#: Of the highest score, between engines in float32.
TOLERANCE = 1e-4
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="the optional engine openvino is not installed")


def knn(**parameters):
    return onlygood.KNN(size=64, threads=1, **parameters)


@pytest.fixture(scope="module")
def model(good, tmp_path_factory):
    path = tmp_path_factory.mktemp("engines") / "part.og"
    knn().fit(good).save(path)
    return path


@needs_openvino
def test_scores_are_the_same_whichever_engine(good, bad, model, tmp_path):
    expected = onlygood.load(model).score(bad)
    other = onlygood.load(model, engine="openvino")
    assert other.graph_.engine.name == "openvino"
    assert np.abs(other.score(bad) - expected).max() <= TOLERANCE * expected.max()
    fitted = knn(engine="openvino").fit(good)
    assert np.abs(fitted.score(bad) - expected).max() <= TOLERANCE * expected.max()
    fitted.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert again.graph_.engine.name == "openvino"
    assert np.array_equal(again.score(bad), fitted.score(bad))


def test_auto_chooses_times_and_records(good, bad, tmp_path, monkeypatch):
    fitted = knn(engine="auto").fit(good)
    chosen = fitted.training_.notes["engine"]
    assert chosen == fitted.graph_.spec.engine == fitted.graph_.engine.name
    assert set(fitted.training_.notes["engine_ms"]) == {n for n in engines.ENGINES if engines.is_installed(n)}
    fitted.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert again.graph_.engine.name == chosen and again.engine == "auto"
    assert np.array_equal(again.score(bad), fitted.score(bad))
    again.add([np.roll(good[0], 9, axis=0)])
    assert again.training_.notes["engine"] == chosen


def test_a_recorded_engine_that_is_not_installed_is_replaced_at_load(good, bad, model, monkeypatch):
    path = model
    if HAS_OPENVINO:
        path = model.with_name("openvino.og")
        knn(engine="openvino").fit(good).save(path)
    expected = onlygood.load(path).score(bad)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    moved = onlygood.load(path)
    assert moved.graph_.engine.name == "onnxruntime"
    assert np.abs(moved.score(bad) - expected).max() <= TOLERANCE * expected.max()
    with pytest.raises(MissingDependencyError, match=r"onlygood\[openvino\]"):
        onlygood.load(path, engine="openvino")


def test_threads_at_load(model):
    detector = onlygood.load(model, threads=2)
    assert detector.graph_.engine.session.get_session_options().intra_op_num_threads == 2
    assert onlygood.load(model).graph_.engine.session.get_session_options().intra_op_num_threads == 1


def test_int8_is_recorded_and_survives_the_file_to_the_last_bit(good, bad, tmp_path):
    fitted = knn(precision="int8").fit(good)
    assert fitted.graph_.spec.precision == "int8"
    fitted.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert again.precision == again.graph_.spec.precision == "int8"
    assert np.array_equal(again.score(bad), fitted.score(bad))
    assert np.array_equal(knn(precision="int8").fit(good).score(bad), fitted.score(bad))
    assert again.score(bad).min() > np.median(fitted.calibration_.scores)


def test_int8_with_the_released_aggregation_and_one_image(good):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = knn(precision="int8", aggregator="adaptive").fit(good[:1])
    assert np.isfinite(fitted.score(good)).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"engine": "tensorrt"},
        {"device": "tpu"},
        {"precision": "int4"},
        {"threads": 0},
        {"engine": "openvino", "device": "cuda"},
    ],
)
def test_bad_parameters(good, parameters):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        onlygood.KNN(size=64, **parameters).fit(good)


def test_bad_arguments_of_load(model):
    for arguments in ({"engine": "auto"}, {"engine": "tensorrt"}, {"device": "tpu"}, {"threads": 0}):
        with pytest.raises(ParameterError, match=r"Known are|threads"):
            onlygood.load(model, **arguments)


def test_cuda_that_is_missing_stops_the_fit_but_not_the_inspection(good, bad, model, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingDependencyError, match="onnxruntime-gpu"):
        knn(device="cuda").fit(good)
    with pytest.raises(MissingDependencyError, match="onnxruntime-gpu"):
        onlygood.load(model, device="cuda")
    fitted = knn().fit(good)
    fitted.device = "cuda"  # as if it had been fitted there
    fitted.save(model.with_name("cuda.og"))
    moved = onlygood.load(model.with_name("cuda.og"))
    assert moved.graph_.engine.device == "cpu"
    assert np.array_equal(moved.score(bad), fitted.score(bad))
