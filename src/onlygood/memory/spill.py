"""Large arrays that fitting needs for a while: in memory, or past a budget in a temporary file mapped into memory."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from onlygood.errors import DataError

#: Bytes up to which an array is kept in memory.
IN_MEMORY = 2**28


def roomy(shape: tuple[int, ...], dtype: DTypeLike, what: str, in_memory: int | None = None) -> NDArray[Any]:
    """An array that is not filled, for as long as it is used.

    The temporary file has no name of its own (on systems that allow it) and vanishes with the array. Its pages are the
    operating system's to write out when memory gets short.

    Args:
        shape, dtype: Of the array.
        what: What it holds, plural, for the error.
        in_memory: Bytes up to which memory is used; beyond it a file in the system's folder for temporary files
            (`TMPDIR`). None for `IN_MEMORY`.

    Raises:
        DataError: The folder for temporary files has no room.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= (IN_MEMORY if in_memory is None else in_memory):
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="onlygood-") as file:
            if hasattr(os, "posix_fallocate"):  # a mapping that runs out of room later would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"The {what} of the training images need {size / 1e9:.1f} GB in {tempfile.gettempdir()}: "
            f"{error.strerror or error}. Make room there, name another folder with TMPDIR, or take fewer images or a "
            "smaller size."
        ) from error
