"""The resize inside the graph, against the library's."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onlygood.exporting.nodes import Nodes
from onlygood.exporting.resizing import resized
from onlygood.images import resize


def resizer(size: int) -> onnxruntime.InferenceSession:
    to = Nodes("test/")
    to.named("square", resized(to, "image", size))
    graph = helper.make_graph(
        to.nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 3])],
        [helper.make_tensor_value_info("square", TensorProto.UINT8, [1, size, size, 3])],
        to.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString())


SESSIONS = {size: resizer(size) for size in (64, 96)}


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 400), st.integers(8, 400), st.sampled_from(sorted(SESSIONS)), st.booleans(), st.integers(0, 9))
def test_every_pixel_is_the_same(height: int, width: int, size: int, extreme: bool, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    if extreme:  # black and white overshoot and are clipped
        image = image // 128 * np.uint8(255)
    square = SESSIONS[size].run(None, {"image": image[None]})[0]
    assert square.dtype == np.uint8
    np.testing.assert_array_equal(square[0], resize(image, size))


@pytest.mark.parametrize("shape", [(2000, 1500), (64, 64), (96, 64), (8, 400), (1000, 37)])
@pytest.mark.parametrize("size", sorted(SESSIONS))
def test_large_long_and_unchanged_images(rng, shape: tuple[int, int], size: int) -> None:
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    np.testing.assert_array_equal(SESSIONS[size].run(None, {"image": image[None]})[0][0], resize(image, size))
