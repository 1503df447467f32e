"""Images recognised by their pixels: copies in a folder, test images that were trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """First 16 digits of the SHA-256 of an image's pixels and shape."""
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:16]


def copies(hashes: Sequence[str]) -> NDArray[np.int64]:
    """Group number of each image by its pixels: exact copies share one."""
    return np.unique(np.asarray(hashes), return_inverse=True)[1].astype(np.int64)
