"""Anomaly maps as small grey pictures that overlays can be drawn from later, and thumbnails."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.images.reading import opened, read_image
from onlygood.reports.colours import RAMP
from onlygood.station.decisions import finite

#: Kept maps have at most this side; a larger one is reduced, and every peak stays.
LARGEST_MAP = 1024
#: Side of an overlay, at most; the page stretches it over the image.
LARGEST_OVERLAY = 1024
#: Grey level of the pixel threshold. Only what is above the threshold is brighter.
AT_THRESHOLD = 128


def map_to_png(anomaly_map: NDArray[np.float32], pixel_threshold: float) -> bytes | None:
    """A map as 8-bit grey PNG.

    With t the threshold, grey is 128 at t, 0 at t - |t| or below (for t above 0: at map value 0) and 255 at t + |t| or
    above (twice the threshold). Values above t are at least 129, all others at most 128.

    Args:
        anomaly_map: float32 `(h, w)`, finite.
        pixel_threshold: In the map's units.

    Returns:
        The file; None without a finite threshold, for then there is nothing to tell apart.
    """
    if finite(pixel_threshold) is None:
        return None
    single = _reduced(np.asarray(anomaly_map, dtype=np.float32))
    values = single.astype(np.float64)
    scale = AT_THRESHOLD / (abs(pixel_threshold) or 1.0)
    grey = np.rint(AT_THRESHOLD + (values - pixel_threshold) * scale).clip(0, 255)
    above = single > np.float32(pixel_threshold)  # as the regions were found
    grey = np.where(above, np.maximum(grey, AT_THRESHOLD + 1), np.minimum(grey, AT_THRESHOLD))
    return _grey_png(grey.astype(np.uint8))


def overlay_png(kept_map: bytes, width: int, height: int) -> bytes:
    """What to lay over an image: transparent up to the threshold, above it the colours of the reports' maps.

    Args:
        kept_map: Of `map_to_png`.
        width: Of the image, pixels; the overlay has its shape, and at most 1024 pixels on its longer side.
        height: Likewise.

    Returns:
        RGBA PNG. Its opacity is whole above the threshold; the page sets its own.

    Raises:
        ImageError: The kept map cannot be read.
    """
    part = min(1.0, LARGEST_OVERLAY / max(width, height))
    size = (max(1, round(width * part)), max(1, round(height * part)))
    grey = Image.fromarray(read_image(kept_map, "the kept map")[..., 0]).resize(size, Image.Resampling.BILINEAR)
    levels = np.asarray(grey).astype(np.int64)
    above = levels > AT_THRESHOLD
    colour = RAMP[((levels - AT_THRESHOLD - 1) * 255 // (254 - AT_THRESHOLD)).clip(0, 255)]
    alpha = np.where(above, 255, 0).astype(np.uint8)
    picture = np.dstack([np.where(above[..., None], colour, 0).astype(np.uint8), alpha])
    return _saved(Image.fromarray(picture), "PNG", compress_level=1)


def thumbnail_jpeg(data: bytes, side: int) -> bytes:
    """The image with its longer side brought to at most `side` pixels; raises `ImageError`."""
    with opened(data, "the kept image") as image:
        if image.format == "JPEG" and image.getexif().get(0x0112, 1) == 1:
            image.draft("RGB", (2 * side, 2 * side))  # decodes at an eighth of the size where that is enough
            if max(image.size) < 4096:
                return _thumbnail(np.asarray(image.convert("RGB")), side)
    return _thumbnail(read_image(data, "the kept image"), side)


def displayable(data: bytes) -> bytes:
    """The image as PNG, for what browsers do not show (TIFF); raises `ImageError`."""
    return _saved(Image.fromarray(read_image(data, "the kept image")), "PNG", compress_level=1)


def _thumbnail(image: NDArray[np.uint8], side: int) -> bytes:
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _saved(picture, "JPEG", quality=85)


def _reduced(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest value of each block, if the map is larger than needed."""
    step = -(-max(values.shape) // LARGEST_MAP)
    if step == 1:
        return values
    pad = [(0, -side % step) for side in values.shape]
    padded = np.pad(values, pad, mode="edge")
    h, w = padded.shape
    return padded.reshape(h // step, step, w // step, step).max(axis=(1, 3))


def _grey_png(grey: NDArray[np.uint8]) -> bytes:
    """8-bit grey PNG. The line waits for it, and Pillow, which tries each filter for each row, takes twice as long."""
    h, w = grey.shape
    rows = np.empty((h, w + 1), np.uint8)
    rows[:, 0] = 2  # filter "up": each row as its difference to the one above
    rows[0, 1:] = grey[0]
    np.subtract(grey[1:], grey[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", deflate.compress(rows.tobytes()) + deflate.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()
