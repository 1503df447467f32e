"""Pictures of where: the anomaly map over the image, and the two side by side under the verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from onlygood.errors import ParameterError
from onlygood.files import replacing
from onlygood.inspection import REASONS, Inspection
from onlygood.reports.colours import RAMP, VERDICT_COLOURS, VERDICT_INK

# Where the colour starts it must be seen at once, so it starts at this part of the full opacity.
_START = 0.5
_MIN_PANEL, _MAX_PANEL = 360, 1024


def overlay(
    image: NDArray[np.uint8], anomaly_map: ArrayLike, *, low: float, high: float, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """The image with its anomaly map drawn over it, from `low` upwards.

    Below `low` the image stays as it is. From `low` to `high` the colour goes from violet to pale yellow and
    covers more of the image; a white line with a dark one inside it follows the edge of the area.

    Args:
        image: uint8 `(H, W, 3)`.
        anomaly_map: `(h, w)`, finite, of any size; brought to the image's size bilinearly.
        low: Score at which colour starts: the detector's pixel threshold.
        high: Score that gets the last colour. The same for all images that are to be compared.
        opacity: Share of the colour at `high`, 0 to 1.

    Returns:
        uint8 `(H, W, 3)`, a new array.

    Raises:
        ParameterError: A shape, type or value is not as above.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ParameterError(f"The image must be uint8 (H, W, 3), not {image.dtype} {image.shape}.")
    if not 0 <= opacity <= 1:
        raise ParameterError(f"The opacity must lie in 0 to 1, not {opacity}.")
    if not np.isfinite([low, high]).all():
        raise ParameterError(f"The ends of the colour scale must be finite, not {low} and {high}.")
    scores = resize_map(anomaly_map, image.shape[:2])
    shown = scores >= low
    if not shown.any():
        return image.copy()
    # With no room between the ends everything shown is at the top.
    part = (scores - low) / (high - low) if high > low else np.ones_like(scores)
    part = np.clip(part, 0, 1)
    colour = RAMP[(part * 255).astype(np.uint8)].astype(np.float32)
    alpha = np.where(shown, opacity * (_START + (1 - _START) * part), 0)[..., None]
    mixed = np.rint(image * (1 - alpha) + colour * alpha).astype(np.uint8)
    thickness = max(1, round(max(image.shape[:2]) / 360))
    draw_outline(mixed, shown, (255, 255, 255), thickness, inner=(30, 16, 46))
    return mixed


def resize_map(anomaly_map: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A float map brought to `(H, W)` bilinearly, half-pixel centres.

    Raises:
        ParameterError: It is not `(h, w)` and finite.
    """
    values = np.ascontiguousarray(anomaly_map, dtype=np.float32)
    if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
        raise ParameterError(f"An anomaly map must be (h, w) and finite; this one has shape {values.shape}.")
    if values.shape == tuple(shape):
        return values
    resized = Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def draw_outline(
    image: NDArray[np.uint8],
    area: NDArray[np.bool_],
    colour: tuple[int, int, int],
    thickness: int,
    inner: tuple[int, int, int] | None = None,
) -> None:
    """Draw the inside edge of `area` on the image, in place; nothing outside the area is touched.

    Args:
        image: uint8 `(H, W, 3)`.
        area: bool `(H, W)`.
        colour: Of the line.
        thickness: In pixels.
        inner: Colour of a second line of half the thickness inside the first, if any, so that one of the two
            is seen on any ground.
    """
    core = _shrink(area, thickness)
    if inner is not None:
        image[core & ~_shrink(core, (thickness + 1) // 2)] = inner
    image[area & ~core] = colour


def _shrink(area: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The pixels of the area more than `steps` side steps from its edge; the image's rim is no edge."""
    for _ in range(steps):
        padded = np.pad(area, 1, mode="edge")
        area = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return area


def side_by_side(
    image: NDArray[np.uint8],
    inspection: Inspection,
    *,
    low: float,
    high: float | None = None,
    opacity: float = 0.6,
) -> NDArray[np.uint8]:
    """Image and overlay beside each other under a bar with the verdict, score and p-value.

    Maps of single branches, where the method has them, follow in a second row. Their colours start where the branch
    goes beyond what it reaches in good images, and end at twice that or at the map's peak.

    Small images are enlarged and large ones reduced, so that each of the two is 360 to 1024 pixels on
    its longer side and the letters can be read.

    Args:
        image: uint8 `(H, W, 3)`.
        inspection: What the detector said, with the map.
        low: Score at which colour starts: the detector's pixel threshold.
        high: Score that gets the last colour; if None, twice the threshold or the map's peak, whichever
            is more.
        opacity: As for `overlay`.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ParameterError: As for `overlay`, or the inspection has no map.
    """
    if inspection.map is None:
        raise ParameterError(f"{inspection.name} was inspected without a map, so there is nothing to draw.")
    if high is None:
        high = max(float(np.max(inspection.map)), low + abs(low))
    image = fit_size(image, _MIN_PANEL, _MAX_PANEL)
    drawn = overlay(image, inspection.map, low=low, high=high, opacity=opacity)
    gap = max(4, image.shape[1] // 100)
    width = max(2 * image.shape[1] + gap, 480)
    bar_height = min(72, max(40, width // 18))
    line = bar_height // 2
    panels = [("", image), ("", drawn)]
    for name, one in inspection.maps.items():
        title = f"{name}: {REASONS[name]}" if name in REASONS else name
        level = inspection.levels.get(name, low)
        top = max(float(one.max()), level + abs(level))
        panels.append((title, overlay(image, one, low=level, high=top, opacity=opacity)))
    rows = -(-len(panels) // 2)
    page = Image.new("RGB", (width, bar_height + rows * image.shape[0] + (rows - 1) * line), (24, 26, 30))
    left = (width - 2 * image.shape[1] - gap) // 2
    for number, (title, panel) in enumerate(panels):
        row, column = divmod(number, 2)
        place = (left + column * (image.shape[1] + gap), bar_height + row * (image.shape[0] + line))
        page.paste(Image.fromarray(panel), place)
        if title:
            font = ImageFont.load_default(size=line * 0.6)
            ImageDraw.Draw(page).text(
                (place[0], place[1] - line / 2), title, font=font, fill=(255, 255, 255), anchor="lm"
            )
    _caption(page, bar_height, inspection)
    return np.asarray(page)


def save_overlay(
    path: str | Path,
    image: NDArray[np.uint8],
    inspection: Inspection,
    *,
    low: float,
    high: float | None = None,
    opacity: float = 0.6,
) -> None:
    """Write `side_by_side` as a PNG file; arguments and errors are the same.

    The file appears whole or not at all.
    """
    page = Image.fromarray(side_by_side(image, inspection, low=low, high=high, opacity=opacity))
    with replacing(path) as temporary:
        page.save(temporary, format="PNG")


def fit_size(image: NDArray[np.uint8], smallest: int, largest: int) -> NDArray[np.uint8]:
    """The image with its longer side brought into `smallest` to `largest` pixels, keeping its shape."""
    longer = max(image.shape[:2])
    wanted = min(max(longer, smallest), largest)
    if wanted == longer:
        return image
    size = [max(1, round(side * wanted / longer)) for side in (image.shape[1], image.shape[0])]
    return np.asarray(Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.LANCZOS))


def _caption(page: Image.Image, height: int, inspection: Inspection) -> None:
    """A sign with the verdict's word and colour, and the figures in white."""
    draw = ImageDraw.Draw(page)
    word = str(inspection.verdict)
    large, small = ImageFont.load_default(size=height * 0.5), ImageFont.load_default(size=height * 0.34)
    margin = height // 3
    sign = draw.textlength(word, font=large) + 2 * margin
    draw.rectangle((0, 0, sign, height - 1), fill=VERDICT_COLOURS[inspection.verdict])
    middle = height / 2
    draw.text((margin, middle), word, font=large, fill=VERDICT_INK[inspection.verdict], anchor="lm")
    figures = f"score {inspection.score:.4g}    p-value {inspection.p_value:.3g}"
    draw.text((sign + margin, middle), figures, font=small, fill=(255, 255, 255), anchor="lm")
    # The name gets what room is left, cut from the left so that the telling end stays.
    room = page.width - sign - 3 * margin - draw.textlength(figures, font=small)
    name = "".join(letter if letter.isprintable() else "?" for letter in Path(inspection.name).name)
    shown = name
    while len(shown) > 4 and draw.textlength(shown, font=small) > room:
        name = name[1:]
        shown = "…" + name
    if draw.textlength(shown, font=small) <= room:
        draw.text((page.width - margin, middle), shown, font=small, fill=(170, 176, 186), anchor="rm")
