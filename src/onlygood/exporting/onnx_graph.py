"""A fitted detector as one ONNX graph: resize, features, neighbours, scores, map and verdict (needs onnx)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import onlygood
from onlygood.calibration import Calibration
from onlygood.errors import ParameterError
from onlygood.exporting.nodes import Nodes, mean, whole
from onlygood.exporting.resizing import resized
from onlygood.exporting.scores import check_exportable, patch_scores
from onlygood.features.backbones import find_backbone
from onlygood.inspection import Verdict
from onlygood.methods import Detector, PaDiM
from onlygood.methods.anomaly_map import SMOOTHING, blur_matrix, enlarging_matrix
from onlygood.methods.bank import BankDetector

#: A file of this format cannot be larger than 2 GB; some is left for what is neither bank nor backbone.
MOST_BYTES = 2**31 - 2**26


def compose(detector: Detector, *, any_size: bool = True) -> bytes:
    """The graph of a fitted detector.

    Input `image`: uint8 RGB `(1, H, W, 3)`. Outputs: `score` float32 `(1,)`, `p_value` float32 `(1,)`, `verdict` int64
    `(1,)` (0 OK, 1 REVIEW, 2 NG) and, for methods that localise, `map` float32 `(size, size)`.

    Args:
        detector: Any method that `onlygood.exporting.scores` knows.
        any_size: Resize inside the graph, as the library does; otherwise H and W are the detector's input size.

    Returns:
        The serialised model.

    Raises:
        ParameterError: The method cannot be exported, or the bank is too large for one file.
    """
    check_exportable(detector)
    _check_size(detector)
    size = detector.graph_.spec.size
    features = onnx.load_from_string(detector.graph_.onnx)
    head, tail = Nodes("in/"), Nodes("out/")
    images = features.graph.input[0].name
    head.named(images, resized(head, "image", size) if any_size else "image")
    of_map, deciding = patch_scores(tail, detector, features.graph.output[0].name, images)
    score = _image_score(tail, deciding, detector)
    tail.named("score", score)
    _decide(tail, score, detector.calibration_)
    sides: tuple[Any, Any] = ("height", "width") if any_size else (size, size)
    outputs = [
        _value("score", TensorProto.FLOAT, [1], "raw image score; higher is more anomalous"),
        _value("p_value", TensorProto.FLOAT, [1], "share of good images at least this anomalous"),
        _value("verdict", TensorProto.INT64, [1], "0 OK, 1 REVIEW, 2 NG"),
    ]
    if detector.has_map:
        tail.named("map", _map_of(tail, of_map, detector))
        outputs.append(_value("map", TensorProto.FLOAT, [size, size], "anomaly map at the input size"))
    graph = helper.make_graph(
        [*head.nodes, *features.graph.node, *tail.nodes],
        "onlygood",
        [_value("image", TensorProto.UINT8, [1, *sides, 3], "one RGB image")],
        outputs,
        [*head.constants, *features.graph.initializer, *tail.constants],
    )
    model = helper.make_model(
        graph,
        opset_imports=features.opset_import,
        ir_version=features.ir_version,
        producer_name="onlygood",
        producer_version=onlygood.__version__,
    )
    helper.set_model_props(model, metadata(detector, any_size))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def metadata(detector: Detector, any_size: bool) -> dict[str, str]:
    """What is written into the file beside the graph; all values are text, lists and tables are JSON."""
    spec, calibration = detector.graph_.spec, detector.calibration_
    backbone = find_backbone(detector.backbone)
    table = {
        "method": detector.method,
        "version": onlygood.__version__,
        "input_size": spec.size,
        "resize": "inside" if any_size else "before",
        "input_mean": list(backbone.mean),
        "input_std": list(backbone.std),
        "verdicts": list(Verdict),
        "review_threshold": calibration.review_threshold,
        "ng_threshold": calibration.ng_threshold,
        "pixel_threshold": calibration.pixel_threshold,
        "false_reject": calibration.false_reject,
        "promise": str(calibration.promise),
        "backbone": spec.backbone,
        "weights_sha256": spec.weights_sha256,
        "weights_license": spec.weights_license,
        "fine_tuned": spec.fine_tuned,
        "precision": spec.precision,
        "parameters": {name: _plain(value) for name, value in detector.get_params().items()},
        "training_images": len(detector.training_.names),
        "fitted_on": detector.training_.date,
    }
    if isinstance(detector, BankDetector):
        table["vectors"] = len(detector.bank_)
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in table.items()}


def _check_size(detector: Detector) -> None:
    kept, fewer = 0, ""
    if isinstance(detector, BankDetector):
        kept, fewer = detector.bank_.vectors.nbytes, "Export fewer vectors."
    if isinstance(detector, PaDiM):
        kept, fewer = detector.gaussians_.whitening.nbytes, "Fit anew with stride=8 or a smaller d."
    if kept + len(detector.graph_.onnx) > MOST_BYTES:
        raise ParameterError(f"{kept / 1e9:.1f} GB are too much for one ONNX file (2 GB). {fewer}")


def _image_score(to: Nodes, scores: str, detector: Detector) -> str:
    """`onlygood.methods.anomaly_map.image_score`, float32 `(1,)`."""
    h, w = detector.score_grid
    if detector.image_score == "smoothed_max" and min(h, w) >= 3:
        smoothed = _both_sides(to, scores, blur_matrix(h, SMOOTHING), blur_matrix(w, SMOOTHING))
        scores = to.add("Slice", smoothed, whole(1, 1), whole(h - 1, w - 1))
    elif detector.image_score == "avgpool3_max" and min(h, w) >= 3:
        inside = to.add("Slice", scores, whole(0, 0), whole(h // 3 * 3, w // 3 * 3))
        scores = mean(to, to.add("Reshape", inside, whole(h // 3, 3, w // 3, 3)), (1, 3), 9)
    elif detector.image_score == "map_max":
        scores = _map_of(to, scores, detector)
    elif detector.image_score == "sum":
        return to.add("Reshape", to.add("ReduceSum", scores, keepdims=0), whole(1))
    return to.add("Reshape", to.add("ReduceMax", scores, keepdims=0), whole(1))


def _map_of(to: Nodes, scores: str, detector: Detector) -> str:
    """`onlygood.methods.anomaly_map.anomaly_map`."""
    h, w = detector.score_grid
    rows, columns = (enlarging_matrix(side, detector.size, detector.map_sigma, detector._taps) for side in (h, w))
    return _both_sides(to, scores, rows, columns)


def _both_sides(to: Nodes, values: str, left: Any, right: Any) -> str:
    """`left @ values @ right.T`."""
    return to.add("MatMul", to.add("MatMul", left, values), right.T)


def _decide(to: Nodes, score: str, calibration: Calibration) -> None:
    """`Calibration.p_values` and `Calibration.verdict`, with float64 thresholds as there."""
    wide = to.add("Cast", score, to=TensorProto.DOUBLE)
    at_least = to.add("GreaterOrEqual", np.append(calibration.scores, -np.inf), wide)
    weights = to.add("Where", at_least, np.append(calibration.weights, 0.0), np.zeros(1))
    share = to.add("Div", to.add("Add", to.add("ReduceSum", weights), np.ones(1)), np.array([1 + calibration.units]))
    to.named("p_value", to.add("Cast", to.add("Min", share, np.ones(1)), to=TensorProto.FLOAT))
    above = [
        to.add("Cast", to.add("Greater", wide, np.array([threshold])), to=TensorProto.INT64)
        for threshold in (calibration.review_threshold, calibration.ng_threshold)
    ]
    to.named("verdict", to.add("Add", *above))


def _value(name: str, kind: int, shape: list[Any], meaning: str) -> Any:
    return helper.make_tensor_value_info(name, kind, shape, meaning)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | list) else str(value)
