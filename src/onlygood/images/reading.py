"""One image in, one uint8 RGB array out, whatever the file format, mode or bit depth."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from onlygood.errors import ImageError
from onlygood.images.cifar10_batches import is_image_path, read_image_path

#: File name endings that a folder is searched for (lower case).
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

#: Larger images are refused before they are decoded: a small file may unpack to gigabytes.
MAX_PIXELS = 120_000_000

#: The decoders that are tried; others (EPS, PDF...) are no photographs and some start other programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")

RGB = NDArray[np.uint8]


def read_image(source: str | Path | BinaryIO | bytes | NDArray[np.generic], name: str | None = None) -> RGB:
    """Read one image as 8-bit RGB.

    Grey images are repeated on three channels, an alpha channel is dropped (the colours under it are kept),
    palettes are resolved, EXIF orientation is applied. 16-bit images are scaled by 65535, so two
    images of one camera stay comparable (no stretching to the darkest and brightest pixel).

    Args:
        source: A path, bytes or a binary file of PNG, JPEG, BMP, TIFF or WebP; the path of an image inside a file of
            CIFAR-10 (`data_batch_1.bin/00017`); or an array, `(h, w)`, `(h, w, 1)`, `(h, w, 3)` or `(h, w, 4)` of
            uint8, uint16, bool or floats in [0, 1].
        name: What to call the image in errors; the path or `image` if not given.

    Returns:
        uint8 array `(h, w, 3)`.

    Raises:
        ImageError: The image cannot be read, is too large, or the array is not an image.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "image")
    name = name or (str(source) if isinstance(source, str | Path) else "image")
    if isinstance(source, str | Path) and is_image_path(Path(source)):
        return read_image_path(Path(source))
    with opened(source, name) as image:
        return _to_rgb(image, name)


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a ground-truth mask: True `(h, w)` where any channel of the file is above 0.

    Raises:
        ImageError: The file cannot be read.
    """
    with opened(path, str(path)) as image:
        try:
            if image.mode in {"P", "PA", "RGBA"}:
                image = image.convert("RGB")
            pixels = np.asarray(image.convert("L") if image.mode == "LA" else image)
        except Exception as error:  # Pillow raises almost anything on damage
            raise ImageError(f"Cannot decode the mask {path}: {error}. Replace the file.") from error
    return pixels.max(axis=2) > 0 if pixels.ndim == 3 else pixels > 0


def read_masks(paths: Sequence[str | Path]) -> NDArray[np.bool_]:
    """The union `(h, w)` of the masks of one image, one at least; raises `ImageError`, also if their sizes differ."""
    union = read_mask(paths[0])
    for path in paths[1:]:
        mask = read_mask(path)
        if mask.shape != union.shape:
            raise ImageError(
                f"The mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, but {paths[0]} of the same image is "
                f"{union.shape[1]} x {union.shape[0]}. Copy both again."
            )
        union |= mask
    return union


_filtering = threading.Lock()


def opened(source: str | Path | BinaryIO | bytes, name: str) -> Image.Image:
    """A picture file, opened and not yet decoded; raises `ImageError` as `read_image`."""
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise ImageError(f"There is no image file {name}. Check the path.")
        if path.stat().st_size == 0:
            raise ImageError(f"The image file {name} is empty (0 bytes). Copy it again or remove it.")
    try:
        # our own limit below says it more clearly than Pillow's warning; filters are those of all threads
        with _filtering, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name, "more pixels than Pillow opens")) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not an image this library reads (PNG, JPEG, BMP, TIFF, WebP). Remove or convert it."
        ) from None
    except Exception as error:  # Pillow raises almost anything on damage
        raise ImageError(f"Cannot read the image {name}: {error}. Replace or remove the file.") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ImageError(_too_large(name, f"{image.width} x {image.height} pixels"))
    return image


def _too_large(name: str, size: str) -> str:
    return (
        f"The image {name} has {size}; the limit is {MAX_PIXELS // 1_000_000} million. "
        "Crop or shrink it before inspection."
    )


def _to_rgb(image: Image.Image, name: str) -> RGB:
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "F" or image.mode.startswith("I"):
            return _from_array(_deep_grey(image, name), name)
        return np.array(image.convert("RGBA" if "transparency" in image.info else "RGB"))[..., :3].copy()
    except ImageError:
        raise
    except Exception as error:  # Pillow raises almost anything on damage
        raise ImageError(f"The image {name} is damaged or cut short ({error}). Copy it again or remove it.") from error


def _deep_grey(image: Image.Image, name: str) -> NDArray[np.generic]:
    """16- and 32-bit integer and float grey images as uint16 or float32."""
    pixels = np.asarray(image)
    if image.mode == "F":
        return pixels.astype(np.float32)
    if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
        raise ImageError(f"{name} has pixel values outside 0..65535. Save it as an 8- or 16-bit image.")
    return pixels.astype(np.uint16)


def _from_array(array: NDArray[np.generic], name: str) -> RGB:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ImageError(
            f"{name} has shape {array.shape}; an image is (height, width), or has 1, 3 or 4 channels last."
        )
    array = array[..., :3]
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        array = (array.astype(np.uint32) * 255 + 32767) // 65535
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ImageError(f"{name} holds NaN or infinite values. Fill or crop them before inspection.")
        if array.min() < 0 or array.max() > 1:
            raise ImageError(f"{name} is a float image with values outside [0, 1]. Scale it, or pass uint8.")
        array = np.rint(array.astype(np.float64) * 255)
    elif array.dtype != np.uint8:
        raise ImageError(f"{name} has dtype {array.dtype}; pass uint8, uint16, bool or floats in [0, 1].")
    rgb = np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array
    return np.ascontiguousarray(rgb, dtype=np.uint8)
