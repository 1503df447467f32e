"""The files of CIFAR-10, many images in each, and paths that stand for one of them.

Krizhevsky, "Learning multiple layers of features from tiny images" (2009): 60,000 colour images of 32 x 32
pixels in ten classes. Both published forms are read: the binary one (`cifar-10-batches-bin`) and the Python one
(`cifar-10-batches-py`), whose pickles are read without letting them name anything that would be run.
"""

from __future__ import annotations

import io
import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)


def batch_files(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The files of training and of test images of the version that is there, in a folder or the one around it.

    Raises:
        DataError: There is neither version.
    """
    folder, ending = _found(Path(folder))
    return [folder / f"{name}{ending}" for name in TRAIN], [folder / f"{name}{ending}" for name in TEST]


def batch_labels(path: Path) -> NDArray[np.integer]:
    """Class number of each image of a file, in order; raises `DataError` if it is damaged."""
    return _checked(_kept(path)[1], path)


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images uint8 `(n, 32, 32, 3)`, RGB, and class number `(n,)` of each; raises `DataError` if it is damaged."""
    pixels, classes = _read(path)
    return _as_rgb(pixels), _checked(classes, path)


def image_path(batch: Path, number: int) -> Path:
    """A path that stands for one image of a file: `data_batch_1.bin/00017`; `read_image` takes it."""
    return batch / f"{number:05d}"


def is_image_path(path: Path) -> bool:
    """Whether a path stands for an image inside a file of CIFAR-10."""
    return path.name.isdigit() and path.parent.stem in (*TRAIN, *TEST) and path.parent.is_file()


def read_image_path(path: Path) -> NDArray[np.uint8]:
    """The image that a path stands for: uint8 `(32, 32, 3)`, RGB; raises `DataError` if there is none."""
    pixels = _kept(path.parent)[0]
    number = int(path.name)
    if number >= len(pixels):
        raise DataError(f"{path.parent} holds {len(pixels)} images, so there is none with the number {number}.")
    return _as_rgb(pixels[number : number + 1])[0]


def _found(folder: Path) -> tuple[Path, str]:
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for ending in (".bin", ""):
            if (place / f"{TEST[0]}{ending}").is_file():
                return place, ending
    raise DataError(
        f"{folder} holds no CIFAR-10: expected {TEST[0]}.bin (binary version) or {TEST[0]} (Python version). "
        "Unpack the archive and name its folder."
    )


def _as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From `(n, 3072)`, plane by plane (red, green, blue), each row by row, to `(n, 32, 32, 3)`."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _checked(classes: NDArray[np.integer], path: Path) -> NDArray[np.integer]:
    if len(classes) and not 0 <= classes.min() <= classes.max() < len(CLASSES):
        raise DataError(f"{path}: a CIFAR-10 label is not from 0 to 9. The file is damaged; unpack it again.")
    return classes


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    return _read_binary(path) if path.suffix == ".bin" else _read_python(path)


_kept = lru_cache(maxsize=2)(_read)  # images are asked for one by one, mostly in order


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Unpack the archive again.") from error


def _read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Records of one label byte and 3,072 pixels."""
    data = np.frombuffer(_bytes_of(path), np.uint8)
    length = 1 + 3 * SIDE * SIDE
    if not len(data) or len(data) % length:
        raise DataError(f"{path} holds no whole CIFAR-10 records of {length} bytes. Unpack the archive again.")
    records = data.reshape(-1, length)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """A pickled table with `data` uint8 `(n, 3072)` and `labels`."""
    try:
        table = _Harmless(io.BytesIO(_bytes_of(path)), encoding="bytes").load()
        plain = {key.decode() if isinstance(key, bytes) else key: value for key, value in table.items()}
        pixels = plain["data"].array()
        classes = np.array(plain["labels"], np.int64)
        if pixels.shape != (len(classes), 3 * SIDE * SIDE):
            raise ValueError(f"data of shape {pixels.shape} for {len(classes)} labels")
    except DataError:
        raise
    except Exception as error:  # a damaged pickle fails in every way there is
        raise DataError(f"{path} is no CIFAR-10 batch of the Python version ({error}). Unpack it again.") from error
    return pixels, classes


class _Array:
    """Stands in for a NumPy array while unpickling and keeps what the pickle says of it."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        """The array, if it is one of bytes."""
        _, shape, dtype, by_columns, content = self.state
        if not isinstance(dtype, _Type) or dtype.code not in ("u1", b"u1") or not isinstance(content, bytes):
            raise ValueError("its data are not bytes")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Type:
    """Stands in for a NumPy data type."""

    def __init__(self, code: Any, *arguments: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, which bytes have none of."""


def _encoded(text: Any, encoding: Any) -> bytes:
    """Stands in for `codecs.encode`, by which newer pickles of an old protocol keep bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise ValueError("its data are not bytes")
    return text.encode("latin1")


class _Harmless(pickle.Unpickler):
    """Makes nothing but plain tables, lists, numbers and the stand-ins above, whatever a pickle asks for."""

    _stand_ins: ClassVar[dict[tuple[str, str], Any]] = {
        ("multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
        ("_codecs", "encode"): _encoded,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global name; anything unknown is an error."""
        place = "multiarray" if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        if (place, name) not in self._stand_ins:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of CIFAR-10 needs")
        return self._stand_ins[place, name]
