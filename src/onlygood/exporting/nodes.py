"""Writing an ONNX graph node by node (needs onnx)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Nodes:
    """Nodes and constants of a graph that is being written.

    Args:
        prefix: Goes before every name, so that none is one of another part of the graph.

    Attributes:
        nodes: Nodes in order.
        constants: Tensors that the nodes refer to.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = f"onlygood/{prefix}"
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        """Keep a constant; returns its name."""
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, kind: str, *inputs: str | NDArray[Any], **attributes: Any) -> str:
        """Append a node with one output; returns the output's name. Arrays become constants."""
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, outputs: int, *inputs: str | NDArray[Any], **attributes: Any) -> list[str]:
        """Append a node with several outputs."""
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        place = f"{self.prefix}{kind}{len(self.nodes)}"
        results = [place if number == 0 else f"{place}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, results, name=place, **attributes))
        return results

    def embedded(self, graph: Any, inputs: Mapping[str, str]) -> list[str]:
        """Append a whole graph under names of its own; returns the names of its outputs.

        Args:
            graph: Without nodes that hold graphs themselves.
            inputs: What its inputs are called here.
        """
        place = f"{self.prefix}graph{len(self.nodes)}/"
        names = {"": "", **inputs}
        for tensor in graph.initializer:
            copied = onnx.TensorProto()
            copied.CopyFrom(tensor)
            copied.name = names[tensor.name] = place + tensor.name
            self.constants.append(copied)
        for node in graph.node:
            names.update({name: place + name for name in node.output if name})
        for number, node in enumerate(graph.node):
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = f"{place}{number}"
            copied.input[:] = [names[name] for name in node.input]
            copied.output[:] = [names[name] for name in node.output]
            self.nodes.append(copied)
        return [names[value.name] for value in graph.output]

    def named(self, name: str, source: str) -> None:
        """Give a value the name it has as an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [source], [name], name=f"{self.prefix}{name}"))


def whole(*numbers: int) -> NDArray[np.int64]:
    """Sizes, axes or indices, int64 `(n,)`."""
    return np.array(numbers, np.int64)


def single(number: float) -> NDArray[np.float32]:
    """A float32 constant."""
    return np.array(number, np.float32)


def mean(to: Nodes, values: str, axes: tuple[int, ...], count: int) -> str:
    """Mean of float32 values over axes that hold `count` of them together; the axes stay, with length 1.

    ReduceMean takes its axes otherwise from opset 18 on, and the feature graph's opset is what it is.
    """
    return to.add("Mul", to.add("ReduceSum", values, whole(*axes)), single(1 / count))
