"""Exact nearest neighbours inside the graph: `onlygood.memory.ExactIndex`, written as nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from onlygood.exporting.nodes import Nodes, single, whole
from onlygood.memory.index import SPARE, centre_of

#: Distances held at once, 32 MB: the bank is searched in blocks of this many over the number of patches.
BLOCK = 2**23


def rounded(to: Nodes, features: str, dtype: np.dtype) -> str:
    """Queries `(q, D)` rounded as the bank's vectors are (`onlygood.memory.bank.halved`), in float32."""
    if dtype != np.float16:
        return features
    most = float(np.finfo(np.float16).max)
    short = to.add("Cast", to.add("Clip", features, single(-most), single(most)), to=TensorProto.FLOAT16)
    return to.add("Cast", short, to=TensorProto.FLOAT)


def nearest(to: Nodes, queries: str, bank: str, vectors: NDArray[np.floating], k: int, patches: int) -> tuple[str, str]:
    """Nodes that find the `k` nearest vectors of each query; equal distances are in order of rows.

    Candidates come from the matrix product |v|^2 - 2 q v, which loses digits where distances are small against the
    vectors' lengths. So the bank's mean is subtracted from both sides before, a few candidates more than k are kept,
    and their distances are computed again by direct subtraction.

    Args:
        to: Where the nodes go.
        queries: Name of the float32 queries `(q, D)`.
        bank: Name of the constant that holds the vectors.
        vectors: The same, float16 or float32 `(N, D)`.
        k: Neighbours, at most N.
        patches: q.

    Returns:
        Names of the squared distances float32 `(q, k)`, ascending, and of the rows int64 `(q, k)`.
    """
    rows = _candidates(to, queries, bank, vectors, min(k + SPARE, len(vectors)), patches)
    found = to.add("Cast", to.add("Gather", bank, rows, axis=0), to=TensorProto.FLOAT)
    difference = to.add("Sub", to.add("Unsqueeze", queries, whole(1)), found)
    squared = to.add("ReduceSum", to.add("Mul", difference, difference), whole(2), keepdims=0)
    squared, places = to.several("TopK", 2, squared, whole(k), axis=1, largest=0)
    return squared, to.add("GatherElements", rows, places, axis=1)


def _candidates(to: Nodes, queries: str, bank: str, vectors: NDArray[np.floating], keep: int, patches: int) -> str:
    """Rows int64 `(q, keep)` of the nearest by the product form, in order of rows."""
    centre = centre_of(vectors)[0]
    moved = to.add("Sub", queries, centre)
    # depends on constants alone: an engine computes it once, when it loads the graph
    moved_bank = to.add("Sub", to.add("Cast", bank, to=TensorProto.FLOAT), centre)
    block = max(keep, BLOCK // patches)
    values, rows = [], []
    for start in range(0, len(vectors), block):
        part = vectors[start : start + block].astype(np.float32) - centre
        norms = np.einsum("nd,nd->n", part, part)
        of_block = moved_bank
        if block < len(vectors):
            of_block = to.add("Slice", moved_bank, whole(start), whole(start + len(part)), whole(0))
        rough = to.add("Gemm", moved, of_block, norms, alpha=-2.0, transB=1)
        value, row = to.several("TopK", 2, rough, whole(min(keep, len(part))), axis=1, largest=0)
        values.append(value)
        rows.append(row if start == 0 else to.add("Add", row, whole(start)))
    if len(rows) > 1:
        together = to.add("Concat", *rows, axis=1)
        _, places = to.several("TopK", 2, to.add("Concat", *values, axis=1), whole(keep), axis=1, largest=0)
        rows = [to.add("GatherElements", together, places, axis=1)]
    return to.several("TopK", 2, rows[0], whole(keep), axis=1, largest=0)[0]
