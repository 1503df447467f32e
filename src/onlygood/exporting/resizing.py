"""The library's resize inside the graph, to the last bit.

A patch near two good patches takes the density of the nearer one. A single grey level can change which one that is,
so a resize that is nearly the same gives scores that are not: with ONNX's own cubic Resize, which rounds one pixel in
ten thousand to another level, scores moved by up to 0.6 % of the NG threshold. Pillow's arithmetic is therefore done
again, in 22-bit fixed point as there; the numbers are whole and small enough for float64 to hold exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from onlygood.exporting.nodes import Nodes, whole

#: Bits behind the point of a coefficient.
BITS = 22
#: Output pixels computed by one matrix product; each sees only its own stretch of the input.
GROUP = 32


def resized(to: Nodes, image: str, size: int) -> str:
    """Nodes that do what `onlygood.images.resize` does: antialiased cubic, rows first, then columns.

    Args:
        to: Where the nodes go.
        image: Name of the image uint8 `(1, H, W, 3)`.
        size: Side of the result.

    Returns:
        Name of the result, uint8 `(1, size, size, 3)`.
    """
    shape = to.add("Shape", image)
    # the pixels are turned, not the factors of a product: up to 1.24 at least, ONNX Runtime fuses turning and product
    # into an operator that it has in single precision alone
    turned = to.add("Transpose", image, perm=[0, 3, 2, 1])
    narrow = to.add("Transpose", _pass(to, turned, to.add("Gather", shape, whole(2)), size), perm=[0, 1, 3, 2])
    square = _pass(to, narrow, to.add("Gather", shape, whole(1)), size)
    return to.add("Transpose", square, perm=[0, 2, 3, 1])


def _pass(to: Nodes, planes: str, length: str, size: int) -> str:
    """One pass along the third axis, of this length, of planes uint8 `(1, 3, length, n)`; rounded to uint8."""
    taps, first, last = _coefficients(to, length, size)
    groups = []
    for start in range(0, size, GROUP):
        stop = min(start + GROUP, size)
        begin, end = to.add("Gather", first, whole(start)), to.add("Gather", last, whole(stop - 1))
        own = to.add("Slice", to.add("Slice", taps, whole(start), whole(stop), whole(0)), begin, end, whole(1))
        seen = to.add("Cast", to.add("Slice", planes, begin, end, whole(2)), to=TensorProto.DOUBLE)
        groups.append(to.add("MatMul", own, seen))
    sums = to.add("Concat", *groups, axis=2)
    levels = to.add("Floor", to.add("Mul", to.add("Add", sums, _float(2 ** (BITS - 1))), _float(2.0**-BITS)))
    return to.add("Cast", to.add("Clip", levels, _float(0), _float(255)), to=TensorProto.UINT8)


def _coefficients(to: Nodes, length: str, size: int) -> tuple[str, str, str]:
    """Cubic convolution with a = -0.5, stretched where the image shrinks.

    Args:
        to: Where the nodes go.
        length: Name of the input's length L, int64 `(1,)`.
        size: Output pixels.

    Returns:
        Names of the coefficients float64 `(size, L)`, whole numbers that stand for 2^-22 each, and of the first input
        pixel that each output pixel sees and the one behind its last, int64 `(size,)`.
    """
    long = to.add("Cast", length, to=TensorProto.DOUBLE)
    scale = to.add("Div", long, _float(size))
    stretch = to.add("Max", scale, _float(1))
    support = to.add("Mul", stretch, _float(2))
    centre = to.add("Mul", np.arange(size) + 0.5, scale)
    half = _float(0.5)
    first = to.add("Max", _cut(to, to.add("Add", to.add("Sub", centre, support), half)), whole(0))
    last = to.add("Min", _cut(to, to.add("Add", to.add("Add", centre, support), half)), length)

    pixel = to.add("Range", np.array(0, np.int64), to.add("Squeeze", length), np.array(1, np.int64))
    column = whole(1)
    inside = to.add(
        "And",
        to.add("GreaterOrEqual", pixel, to.add("Unsqueeze", first, column)),
        to.add("Less", pixel, to.add("Unsqueeze", last, column)),
    )
    place = to.add("Sub", to.add("Cast", pixel, to=TensorProto.DOUBLE), to.add("Unsqueeze", centre, column))
    x = to.add("Abs", to.add("Mul", to.add("Add", place, half), to.add("Div", _float(1), stretch)))
    near = _polynomial(to, x, 1.5, -2.5, 0, 1)
    far = _polynomial(to, x, -0.5, 2.5, -4, 2)
    weight = to.add("Where", to.add("Less", x, _float(2)), far, _float(0))
    weight = to.add("Where", to.add("Less", x, _float(1)), near, weight)
    weight = to.add("Where", inside, weight, _float(0))
    weight = to.add("Div", weight, to.add("ReduceSum", weight, whole(1)))
    fixed = to.add("Mul", weight, _float(2**BITS))
    size_of = to.add("Floor", to.add("Add", to.add("Abs", fixed), half))  # halves away from zero
    return to.add("Mul", size_of, to.add("Sign", fixed)), first, last


def _polynomial(to: Nodes, x: str, *factors: float) -> str:
    """Horner's scheme, highest power first."""
    value = to.add("Mul", x, _float(factors[0]))
    for factor in factors[1:-1]:
        value = to.add("Mul", to.add("Add", value, _float(factor)), x)
    return to.add("Add", value, _float(factors[-1]))


def _cut(to: Nodes, value: str) -> str:
    """The whole part, int64, as a cast in C has it."""
    return to.add("Cast", value, to=TensorProto.INT64)


def _float(number: float) -> NDArray[np.float64]:
    return np.array(number, np.float64)
