"""Every engine gives the same features; what cannot be had is said in one sentence."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from onlygood.errors import MissingDependencyError, ModelFileError, ParameterError
from onlygood.features import FeatureGraph, engines
from onlygood.images import resize

pytest.importorskip("torch")

from onlygood.features.export import build_feature_graph

SIZE = 96
#: Of the largest feature. Both compute in float32; only the order of additions differs.
TOLERANCE = 1e-4

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the optional engine openvino is not installed"
)


def photos(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return np.stack([resize(np.kron(image, np.ones((4, 4, 1), np.uint8)), SIZE) for image in coarse])


@pytest.fixture(scope="module")
def graph() -> FeatureGraph:
    return build_feature_graph(size=SIZE, weights="random", threads=1)


def on(graph: FeatureGraph, engine: str | None, **arguments) -> FeatureGraph:
    return FeatureGraph(graph.onnx, graph.spec, 1, engine, **arguments)


@needs_openvino
@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("aggregator", ["concat", "adaptive", "pooled"])
def test_openvino_and_onnxruntime_give_the_same_features(backbone: str, aggregator: str) -> None:
    graph = build_feature_graph(backbone, size=SIZE, weights="random", aggregator=aggregator, threads=1)
    images = photos(3)
    expected, found = on(graph, "onnxruntime")(images), on(graph, "openvino")(images)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@needs_openvino
def test_openvino_computes_in_float32_on_the_threads_given(graph: FeatureGraph) -> None:
    compiled = on(graph, "openvino").engine.compiled
    assert "float32" in str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("NUM_STREAMS") == 1


@needs_openvino
def test_openvino_is_safe_from_several_threads(graph: FeatureGraph) -> None:
    fresh, images = on(graph, "openvino"), photos(4)
    alone = [fresh(images[i : i + 1]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(lambda i: fresh(images[i % 4 : i % 4 + 1]), range(16))):
            np.testing.assert_array_equal(found, alone[number % 4])
    np.testing.assert_array_equal(fresh(images), np.concatenate(alone))


@needs_openvino
def test_openvino_tells_nobody_and_brings_no_torch(graph: FeatureGraph, tmp_path) -> None:
    (tmp_path / "g.onnx").write_bytes(graph.onnx)
    code = (
        "import sys, pathlib, numpy as np\n"
        "from onlygood.features.engines import make_engine\n"
        f"engine = make_engine('openvino', pathlib.Path({str(tmp_path / 'g.onnx')!r}).read_bytes(), 1)\n"
        f"engine.run(np.zeros((1, {SIZE}, {SIZE}, 3), np.uint8))\n"
        "print([m for m in ('torch', 'openvino_telemetry', 'onnxruntime') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_onnxruntime_keeps_nothing_to_tell_its_maker(graph: FeatureGraph, tmp_path) -> None:
    """Its telemetry begins with an identifier of the machine and a database of events in the user's cache."""
    (tmp_path / "g.onnx").write_bytes(graph.onnx)
    code = (
        "import sys, pathlib, numpy as np\n"
        "from onlygood.features.engines import make_engine\n"
        f"engine = make_engine('onnxruntime', pathlib.Path({str(tmp_path / 'g.onnx')!r}).read_bytes(), 1)\n"
        f"engine.run(np.zeros((1, {SIZE}, {SIZE}, 3), np.uint8))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    free = {
        name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    subprocess.run([sys.executable, "-c", code], env={**free, "HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("threads", [1, 2, None])
def test_threads_are_those_asked_for(graph: FeatureGraph, threads: int | None) -> None:
    session = FeatureGraph(graph.onnx, graph.spec, threads).engine.session
    options = session.get_session_options()
    assert options.intra_op_num_threads == (threads or 0)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_no_number_of_threads(threads) -> None:
    with pytest.raises(ParameterError, match="threads"):
        engines.check_engine("onnxruntime", "cpu", threads)


def test_unknown_names(graph: FeatureGraph) -> None:
    with pytest.raises(ParameterError, match=r"tensorrt.*onnxruntime, openvino"):
        on(graph, "tensorrt")(photos(1))
    with pytest.raises(ParameterError, match=r"tpu.*cpu, cuda"):
        on(graph, "onnxruntime", device="tpu")(photos(1))
    with pytest.raises(ParameterError, match="CPU only"):
        engines.check_engine("openvino", "cuda")


def test_an_engine_that_is_not_installed_names_its_mend(graph: FeatureGraph, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[openvino\]"):
        on(graph, "openvino")(photos(1))


def test_cuda_that_is_not_there_names_its_mend(graph: FeatureGraph, monkeypatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingDependencyError, match=r"pip install onnxruntime-gpu.*device='cpu'"):
        on(graph, "onnxruntime", device="cuda")(photos(1))


def test_cuda_that_does_not_start_is_no_silent_cpu(graph: FeatureGraph, monkeypatch) -> None:
    import onnxruntime

    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is there")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with pytest.warns(UserWarning), pytest.raises(MissingDependencyError, match="cannot be"):
        on(graph, "onnxruntime", device="cuda")(photos(1))


def test_a_recorded_engine_that_is_missing_is_replaced(graph: FeatureGraph, monkeypatch) -> None:
    images = photos(2)
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "onnxruntime")
    for spec, device in ((replace(graph.spec, engine="of a later version"), "cpu"), (graph.spec, "cuda")):
        moved = FeatureGraph(graph.onnx, spec, 1, device=device)
        np.testing.assert_array_equal(moved(images), graph(images))
        assert (moved.engine.name, moved.engine.device) in (("onnxruntime", "cpu"), ("onnxruntime", "cuda"))


@needs_openvino
def test_a_damaged_graph_is_a_model_file_error(graph: FeatureGraph) -> None:
    with pytest.raises(ModelFileError, match="OpenVINO"):
        FeatureGraph(graph.onnx[:500], graph.spec, 1, "openvino")(photos(1))


def test_timing_covers_what_is_installed_and_favours_the_default(graph: FeatureGraph) -> None:
    times = engines.time_engines(graph.onnx, photos(3), 1)
    assert set(times) == {name for name in engines.ENGINES if engines.is_installed(name)}
    assert all(value > 0 for value in times.values())
    assert engines.fastest({"onnxruntime": 10.0}) == "onnxruntime"
    assert engines.fastest({"onnxruntime": 10.0, "openvino": 9.5}) == "onnxruntime"
    assert engines.fastest({"onnxruntime": 10.0, "openvino": 8.0}) == "openvino"


@pytest.mark.parametrize("name", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_named_inputs_and_outputs(name: str) -> None:
    import torch

    from onlygood.features.export import to_onnx

    class Both(torch.nn.Module):
        def forward(self, a, b):
            return a + b, a * b, b.mean(dim=1)

    example = torch.zeros(1, 4)
    engine = engines.make_engine(name, to_onnx(Both(), {"a": example, "b": example}, ["sum", "product", "mean"]), 1)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)).astype(np.float32)
    found = engine.run_named({"b": b, "a": a})
    assert list(found) == ["sum", "product", "mean"]
    for value, expected in zip(found.values(), (a + b, a * b, b.mean(axis=1))):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
