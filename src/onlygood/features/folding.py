"""The exported graph made smaller without another result (needs onnx; fitting only).

An exporter writes what depends on nothing but constants as chains of nodes, and padding as a node of its own.
Engines run both at each call: ONNX Runtime leaves its fast layout for every separate padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def fold(model: bytes) -> bytes:
    """The same graph with constants computed and zero padding moved into the convolutions that follow it."""
    proto = onnx.load_from_string(model)
    constants = _fold_constants(proto)
    _fold_padding(proto.graph, constants)
    used = {name for node in proto.graph.node for name in node.input}
    used |= {value.name for value in proto.graph.output}
    del proto.graph.value_info[:], proto.graph.initializer[:]
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, order="C"), name) for name, value in constants.items() if name in used
    )
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def attribute(node: Any, name: str, default: Any) -> Any:
    """The value of an attribute of a node, or the default where it is not written."""
    for one in node.attribute:
        if one.name == name:
            return helper.get_attribute_value(one)
    return default


def set_attribute(node: Any, name: str, value: Any) -> None:
    """Write an attribute of a node, in place of an older value."""
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _fold_constants(proto: Any) -> dict[str, Any]:
    """Take the nodes that depend on constants alone out of the graph; every constant by name."""
    graph = proto.graph
    opsets = {one.domain: one.version for one in proto.opset_import}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if all(name in constants for name in node.input if name):
            values = ReferenceEvaluator(node, opsets=opsets).run(None, {n: constants[n] for n in node.input if n})
            constants.update(zip(node.output, map(np.asarray, values)))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return constants


def _fold_padding(graph: Any, constants: dict[str, Any]) -> None:
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for node in [node for node in graph.node if node.op_type == "Pad"]:
        pads = _image_pads(node, constants)
        followers = users.get(node.output[0], [])
        if pads is None or any(one.op_type != "Conv" or one.input[0] != node.output[0] for one in followers):
            continue
        for conv in followers:
            own = attribute(conv, "pads", [0, 0, 0, 0])
            set_attribute(conv, "pads", [int(a + b) for a, b in zip(own, pads)])
            conv.input[0] = node.input[0]
        graph.node.remove(node)


def _image_pads(node: Any, constants: dict[str, Any]) -> list[int] | None:
    """`[top, left, bottom, right]`: rows and columns of zeros that a node adds; None if it does anything else."""
    if attribute(node, "mode", b"constant") != b"constant" or len(node.input) > 3 or node.input[1] not in constants:
        return None
    filler = constants.get(node.input[2]) if len(node.input) == 3 and node.input[2] else np.zeros(1)
    if filler is None or np.any(filler):
        return None
    pads = [int(value) for value in constants[node.input[1]]]
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0:
        return None
    return [pads[2], pads[3], pads[6], pads[7]]
