"""Folding makes the graph smaller and computes the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from onlygood.features.export import build_feature_graph  # noqa: E402
from onlygood.features.folding import fold  # noqa: E402


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def padded(pads: list[int], mode: str = "constant", filler: float = 0.0) -> bytes:
    """Padding, whose amount is the sum of two constants, before a convolution that pads by itself, too."""
    rng = np.random.default_rng(0)
    values = {
        "half": np.array([p // 2 for p in pads], np.int64),
        "rest": np.array([p - p // 2 for p in pads], np.int64),
        "filler": np.array(filler, np.float32),
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Add", ["half", "rest"], ["pads"]),
        helper.make_node("Pad", ["x", "pads", "filler"], ["p"], mode=mode),
        helper.make_node("Conv", ["p", "w"], ["y"], pads=[1, 0, 0, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("pads", "mode", "filler", "folds"),
    [
        ([0, 0, 0, 1, 0, 0, 2, 1], "constant", 0.0, True),
        ([0, 0, 1, 1, 0, 0, 1, 1], "constant", 1.0, False),
        ([0, 0, 1, 1, 0, 0, 1, 1], "reflect", 0.0, False),
        ([0, 0, -1, 0, 0, 0, 0, 0], "constant", 0.0, False),
    ],
)
def test_only_zero_padding_moves_into_the_convolution(pads, mode, filler, folds) -> None:
    before = padded(pads, mode, filler)
    after = fold(before)
    kinds = [node.op_type for node in onnx.load_from_string(after).graph.node]
    assert kinds == (["Conv"] if folds else ["Pad", "Conv"])
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(run(after, x), run(before, x), rtol=1e-5, atol=1e-5)


def test_an_exported_graph_keeps_neither_constants_nor_padding() -> None:
    model = onnx.load_from_string(build_feature_graph(size=64, weights="random").onnx)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Constant"] == kinds["Pad"] == 0
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


def test_a_constant_without_dimensions_keeps_none() -> None:
    torch = pytest.importorskip("torch")
    from onlygood.features.export import to_onnx

    class Rows(torch.nn.Module):
        def forward(self, x):
            n, h, w, d = x.shape  # its reshape gathers each of these with a constant of no dimension
            return x.reshape(n * h * w, d)

    model = to_onnx(Rows(), {"x": torch.zeros(1, 2, 3, 4)}, ["y"])
    x = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    assert np.array_equal(run(model, x), x.reshape(12, 4))
