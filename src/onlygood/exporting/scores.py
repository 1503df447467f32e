"""The patch scores of each method, written as nodes: `onlygood.memory.scores` and the methods' own compositions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from onlygood.errors import ParameterError
from onlygood.exporting.nodes import Nodes, mean, single, whole
from onlygood.exporting.search import nearest, rounded
from onlygood.memory.scores import LEAST
from onlygood.methods import BTF, BTM, DFM, GDE, KNN, LDKNN, LDOF, LOF, Detector, KthNN, PaDiM, PatchCore
from onlygood.methods.bank import BankDetector, NeighbourDetector
from onlygood.methods.trained import TrainedDetector

#: What a method's nodes give: patch scores `(q, 1)`; or these for the map, and others `(h, w)` that the image score is
#: made of, `(1, 1)` where it is that already.
Scores = str | tuple[str, str]


def patch_scores(to: Nodes, detector: Detector, patches: str, images: str) -> tuple[str, str]:
    """Patch scores float32 `(h, w)` of the feature graph's output `(1, h, w, D)`.

    Args:
        to: Where the nodes go.
        detector: A fitted detector.
        patches: Name of the features.
        images: Name of the feature graph's input.

    Returns:
        Names of the patch scores that the map is made of, and of those that the image score is made of: the same for
        most methods; `(1, 1)` where a method makes its image score by itself.

    Raises:
        ParameterError: The detector's method cannot be exported.
    """
    grid = whole(*detector.score_grid)
    if isinstance(detector, TrainedDetector):
        head = onnx.load_from_string(detector.head_.onnx).graph
        of_head = to.add("Reshape", to.embedded(head, {"features": patches, "images": images})[0], grid)
        return of_head, of_head
    write = _writer(detector)
    h, w = detector.graph_.spec.grid
    features = to.add("Reshape", patches, whole(h * w, detector.graph_.spec.dim))
    scores = write(to, detector, features)
    if isinstance(scores, tuple):
        return to.add("Reshape", scores[0], grid), scores[1]
    of_map = to.add("Reshape", scores, grid)
    return of_map, of_map


def check_exportable(detector: Detector) -> None:
    """Raise `ParameterError` unless the detector's method can be exported."""
    if not isinstance(detector, TrainedDetector):
        _writer(detector)


def _writer(detector: Detector) -> Callable[[Nodes, Any, str], Scores]:
    if detector.needs_points:
        raise ParameterError(
            f"This {detector.method} looks at the points of scans, which an exported graph does not take. Detectors of "
            "pictures alone can be exported (modality=rgb)."
        )
    for kind, write in WRITERS.items():
        # a method that scores in a way of its own is another method, whatever it inherits
        if isinstance(detector, kind) and type(detector)._patch_scores is kind._patch_scores and _same(detector, kind):
            return write
    known = sorted({kind.method for kind in WRITERS} | {"reb", "dn2", "simplenet", "ulsad"})
    raise ParameterError(f"The method {detector.method} cannot be exported to ONNX. These can: {', '.join(known)}.")


def _same(detector: Detector, kind: type[Detector]) -> bool:
    return all(getattr(type(detector), name, None) is getattr(kind, name, None) for name in ("_score", "_decide"))


def _neighbours(to: Nodes, detector: BankDetector, features: str, k: int) -> tuple[str, str, str]:
    """Name of the bank, and of the squared distances and rows `(q, k)` of the patches' neighbours in it."""
    vectors = detector.bank_.vectors
    bank = to.constant(vectors)
    h, w = detector.graph_.spec.grid
    return bank, *nearest(to, rounded(to, features, vectors.dtype), bank, vectors, k, h * w)


def _k_neighbours(to: Nodes, detector: NeighbourDetector, features: str) -> tuple[str, str, str]:
    """The same for the method's k; where the bank has fewer vectors, the farthest stands for the missing."""
    there = min(detector.k, len(detector.bank_))
    bank, squared, rows = _neighbours(to, detector, features, there)
    if there < detector.k:
        squared, rows = (_first(to, values, detector.k, there) for values in (squared, rows))
    return bank, squared, rows


def _ldknn(to: Nodes, detector: LDKNN, features: str) -> str:
    _, squared, rows = _neighbours(to, detector, features, 1)
    density = to.add("Gather", detector.stats_["density"].astype(np.float32), rows, axis=0)
    d = to.add("Sqrt", squared) if detector.distance == "euclidean" else squared
    if detector.form == "ratio":
        power = to.add("Pow", to.add("Max", density, single(LEAST)), single(detector.alpha_))
        return to.add("Div", d, power)
    return to.add("Sub", d, to.add("Mul", density, single(detector.alpha_)))


def _knn(to: Nodes, detector: KNN, features: str) -> str:
    return mean(to, _distances(to, detector, features), (1,), detector.k)


def _kth_nn(to: Nodes, detector: KthNN, features: str) -> str:
    return _last(to, _distances(to, detector, features))


def _distances(to: Nodes, detector: KNN | KthNN, features: str) -> str:
    squared = _k_neighbours(to, detector, features)[1]
    return to.add("Sqrt", squared) if detector.distance == "euclidean" else squared


def _lof(to: Nodes, detector: LOF, features: str) -> str:
    _, squared, rows = _k_neighbours(to, detector, features)
    if detector.mode == "standard":
        theirs = to.add("Gather", detector.stats_["k_distance"].astype(np.float32), rows, axis=0)
        reach = mean(to, to.add("Max", to.add("Sqrt", squared), theirs), (1,), detector.k)
    else:
        reach = _last(to, squared)
    own = to.add("Reciprocal", to.add("Max", reach, single(LEAST)))
    density = to.add("Gather", detector.stats_["reachability"].astype(np.float32), rows, axis=0)
    return to.add("Div", mean(to, density, (1,), detector.k), own)


def _ldof(to: Nodes, detector: LDOF, features: str) -> str:
    bank, squared, rows = _k_neighbours(to, detector, features)
    found = to.add("Cast", to.add("Gather", bank, rows, axis=0), to=TensorProto.FLOAT)
    sums = []
    for column in range(detector.k):  # one neighbour at a time: all pairs at once would take gigabytes
        difference = to.add("Sub", found, to.add("Gather", found, whole(column), axis=1))
        apart = to.add("Sqrt", to.add("ReduceSum", to.add("Mul", difference, difference), whole(2), keepdims=0))
        sums.append(to.add("ReduceSum", apart, whole(1)))
    inner = to.add("Div", to.add("Sum", *sums), single(detector.k * (detector.k - 1)))
    outer = mean(to, to.add("Sqrt", squared), (1,), detector.k)
    return to.add("Div", outer, to.add("Max", inner, single(LEAST)))


def _gde(to: Nodes, detector: GDE, features: str) -> str:
    """In double precision, as the detector computes it."""
    wide = to.add("Cast", features, to=TensorProto.DOUBLE)
    length = to.add("Sqrt", to.add("ReduceSum", to.add("Mul", wide, wide), whole(1)))
    unit = to.add("Div", wide, to.add("Max", length, np.array(1e-12)))
    difference = to.add("Sub", unit, detector.mean_)
    product = to.add("Mul", to.add("MatMul", difference, detector.precision_), difference)
    squared = to.add("Max", to.add("ReduceSum", product, whole(1)), np.array(0.0))
    return to.add("Cast", to.add("Sqrt", squared), to=TensorProto.FLOAT)


def _btm(to: Nodes, detector: BTM, features: str) -> Scores:
    there = min(detector._k, len(detector.bank_))
    squared = _neighbours(to, detector, features, there)[1]
    distances = to.add("Sqrt", squared)
    of_map = distances if detector.distance == "euclidean" else squared
    deciding = mean(to, _first(to, distances, detector.k_image, there), (1,), detector.k_image)
    return (
        mean(to, _first(to, of_map, detector.k, there), (1,), detector.k),
        to.add("Reshape", deciding, whole(*detector.score_grid)),
    )


def _btf(to: Nodes, detector: BTF, features: str) -> Scores:
    bank, squared, rows = _neighbours(to, detector, features, 1)
    distances = to.add("Sqrt", squared)
    if detector.image_score != "reweighted":
        return distances
    scale = detector.bank_.vectors.shape[1] ** 0.5
    return distances, _reweighted(to, detector, features, (bank, distances, rows), detector.b, 1, scale)


def _patchcore(to: Nodes, detector: PatchCore, features: str) -> Scores:
    if not detector.b:
        return _knn(to, detector, features)
    bank, squared, rows = _neighbours(to, detector, features, 1)
    distances = to.add("Sqrt", squared)
    return distances, _reweighted(to, detector, features, (bank, distances, rows), detector.b, 0, 1.0)


def _reweighted(
    to: Nodes, detector: BankDetector, features: str, found: tuple[str, str, str], b: int, first: int, scale: float
) -> str:
    """`onlygood.memory.scores.reweighted` of the highest patch, `(1, 1)`.

    Args:
        found: Names of the bank, and of each patch's distance and row `(q, 1)`.
        b: Bank vectors around m*, itself counted.
        first: 0 if m* counts in the sum, 1 if not.
        scale: Of the exponents.
    """
    bank, distances, rows = found
    vectors = detector.bank_.vectors
    around = min(b, len(vectors))
    highest = to.add("Reshape", to.add("ArgMax", distances, axis=0), whole(1))
    nearest_distance = to.add("Gather", distances, highest, axis=0)
    if around <= first:  # a bank of one vector: nothing stands around it
        return nearest_distance
    row = to.add("Reshape", to.add("Gather", rows, highest, axis=0), whole(1))
    centre = to.add("Cast", to.add("Gather", bank, row, axis=0), to=TensorProto.FLOAT)
    places = to.add("Slice", nearest(to, centre, bank, vectors, around, 1)[1], whole(first), whole(around), whole(1))
    others = to.add("Cast", to.add("Gather", bank, to.add("Reshape", places, whole(-1)), axis=0), to=TensorProto.FLOAT)
    patch = to.add("Gather", rounded(to, features, vectors.dtype), highest, axis=0)
    difference = to.add("Sub", others, patch)
    apart = to.add("Sqrt", to.add("ReduceSum", to.add("Mul", difference, difference), whole(1)))
    exponents = to.add("Div", to.add("Sub", apart, nearest_distance), single(scale))
    weight = to.add("Sub", single(1), to.add("Reciprocal", to.add("ReduceSum", to.add("Exp", exponents), whole(0))))
    return to.add("Mul", weight, nearest_distance)


def _padim(to: Nodes, detector: PaDiM, features: str) -> str:
    gaussians = detector.gaussians_
    kept = to.add("Gather", features, detector.channels_.astype(np.int64), axis=1)
    difference = to.add("Reshape", to.add("Sub", kept, gaussians.mean), whole(*gaussians.mean.shape, 1))
    white = to.add("Reshape", to.add("MatMul", gaussians.whitening, difference), whole(*gaussians.mean.shape))
    return to.add("Sqrt", to.add("ReduceSum", to.add("Mul", white, white), whole(1)))


def _dfm(to: Nodes, detector: DFM, features: str) -> str:
    subspace, pool = detector.subspace_, detector.pool
    h, w = detector.graph_.spec.grid
    dim = detector.graph_.spec.dim
    cells = to.add("Reshape", features, whole(h // pool, pool, w // pool, pool, dim))
    flat = to.add("Reshape", mean(to, cells, (1, 3), pool**2), whole(1, -1))
    off = to.add("Sub", flat, subspace.mean)
    coordinates = to.add("MatMul", off, subspace.axes.T)
    if detector.form == "nll":
        z = to.add("Cast", coordinates, to=TensorProto.DOUBLE)
        squares = to.add("Div", to.add("Mul", z, z), subspace.variances)
        score = to.add("Add", to.add("ReduceSum", squares, whole(1)), np.array(np.log(subspace.variances).sum()))
        return to.add("Cast", score, to=TensorProto.FLOAT)
    outside = to.add("Reshape", to.add("Sub", off, to.add("MatMul", coordinates, subspace.axes)), whole(-1, dim))
    return to.add("ReduceSum", to.add("Mul", outside, outside), whole(1))


def _first(to: Nodes, values: str, k: int, there: int) -> str:
    """The first k of `there` columns; the last stands for the missing."""
    if k == there:
        return values
    return to.add("Gather", values, whole(*np.minimum(np.arange(k), there - 1)), axis=1)


def _last(to: Nodes, values: str) -> str:
    """The last column `(q, 1)`."""
    return to.add("Gather", values, whole(-1), axis=1)


#: How each method is written; those that only set parameters (REB, DN2) come with the one they inherit from.
WRITERS: dict[type[Any], Callable[[Nodes, Any, str], Scores]] = {
    LDKNN: _ldknn,
    KNN: _knn,
    KthNN: _kth_nn,
    PatchCore: _patchcore,
    PaDiM: _padim,
    DFM: _dfm,
    LOF: _lof,
    LDOF: _ldof,
    GDE: _gde,
    BTF: _btf,
    BTM: _btm,
}
