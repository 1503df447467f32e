"""Post-training quantisation of a feature graph to int8 (needs onnx; fitting only).

Done before the bank is made, so that the bank and all that is calibrated on it live in the quantised space.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from onlygood.features.folding import attribute
from onlygood.features.graph import FeatureGraph

#: Training images that the ranges of the activations are measured on, at most.
CALIBRATION_IMAGES = 64

#: Convolutions at the input that stay in float32, but at most a quarter of all. Chosen on training images with
#: EfficientNet-Lite0, where it brought the mean cosine between int8 and float32 features from 0.95 to 0.995: errors
#: made early go through everything behind.
FLOAT_HEAD = 6

#: What may stand between a convolution and the rounding of its output without a rounding of its own.
ACTIVATIONS = ("Clip", "Relu")


def quantized(graph: FeatureGraph, images: NDArray[np.uint8]) -> FeatureGraph:
    """The graph with its backbone's convolutions in int8; normalisation, pooling and output stay in float32.

    Weights have a scale for each channel and seven bits: with eight, processors without VNNI instructions overflow,
    and would score otherwise than those with. Activations have eight bits, with ranges from `images`.

    Args:
        graph: An exported float32 graph.
        images: uint8 `(n, size, size, 3)` training images.

    Returns:
        A graph whose specification says `precision="int8"`. The same images give the same bytes.
    """
    model = onnx.load_from_string(graph.onnx)
    _name_nodes(model.graph)
    _pool_by_convolution(model)
    nodes = _to_quantize(model.graph)
    with tempfile.TemporaryDirectory() as folder, _Quiet():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            target,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", *ACTIVATIONS],
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        content = target.read_bytes()
    return FeatureGraph(content, replace(graph.spec, precision="int8"), graph.threads)


class _Reader(CalibrationDataReader):
    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._rest: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._rest, None)
        return None if image is None else {"images": image[None]}


class _Quiet:
    """The tool advises on the root logger to prepare the graph by a way of its own; ours is prepared."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *error: Any) -> None:
        logging.disable(self._level)


def _name_nodes(graph: Any) -> None:
    for number, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


def _to_quantize(graph: Any) -> list[str]:
    """Names of the backbone's convolutions behind the first few, and of the activations that follow them."""
    convolutions = [node for node in graph.node if node.op_type == "Conv" and not _of_aggregator(node)]
    chosen = convolutions[min(FLOAT_HEAD, len(convolutions) // 4) :]
    outputs = {node.output[0] for node in chosen}
    activations = [node for node in graph.node if node.op_type in ACTIVATIONS and node.input[0] in outputs]
    return [node.name for node in (*chosen, *activations)]


def _of_aggregator(node: Any) -> bool:
    return node.name.startswith("/aggregator/")


def _pool_by_convolution(model: Any) -> None:
    """Write the 3x3 means, whose padding counts, as convolutions.

    OpenVINO moves the zero point of quantised maps behind a mean, where the zeros of the padding get it, too: border
    patches would be wrong.
    """
    graph = model.graph
    shapes = {
        value.name: value.type.tensor_type.shape for value in shape_inference.infer_shapes(model).graph.value_info
    }
    for node in [node for node in graph.node if node.op_type == "AveragePool" and _of_aggregator(node)]:
        channels = shapes[node.input[0]].dim[1].dim_value
        kernel = list(attribute(node, "kernel_shape", None))
        weights = np.full((channels, 1, *kernel), 1 / np.prod(kernel), np.float32)
        graph.initializer.append(numpy_helper.from_array(weights, f"{node.name}/mean"))
        mean = helper.make_node(
            "Conv",
            [node.input[0], f"{node.name}/mean"],
            list(node.output),
            name=node.name,
            group=channels,
            kernel_shape=kernel,
            strides=list(attribute(node, "strides", [1, 1])),
            pads=list(attribute(node, "pads", [0, 0, 0, 0])),
        )
        node.CopyFrom(mean)
