"""The few-shot protocol: which training images a draw takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from onlygood.errors import DataError

#: Numbers of shots of the few-shot protocol.
SHOTS = (1, 2, 5, 10, 16, 20, 50)


def draw_shots(hashes: Sequence[str], fingerprint: str, shots: int, draw: int) -> list[int]:
    """Places of the images of a draw, ascending.

    Every image is given a number by SHA-256 from the data's fingerprint, the shots, the draw and its own contents;
    those with the smallest are taken. So a draw is the same on every machine and with every version of NumPy, wherever
    the files lie and whatever they are called. Copies of an image are one: the first stands for all.

    Args:
        hashes: Of the contents of each training image, in order of path.
        fingerprint: Of the data.
        shots: Images to take.
        draw: Number of the draw.

    Raises:
        DataError: There are fewer different images than that.
    """
    first: dict[str, int] = {}
    for place, one in enumerate(hashes):
        first.setdefault(one, place)
    if shots > len(first):
        raise DataError(f"{shots} shots cannot be drawn of {len(first)} different training images. Ask for fewer.")
    order = sorted(first, key=lambda one: hashlib.sha256(f"{fingerprint} {shots} {draw} {one}".encode()).digest())
    return sorted(first[one] for one in order[:shots])
