"""Saliency: the part of each image in which a defect may be centred."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from onlygood.errors import DataError, ParameterError
from onlygood.images.sources import spread
from onlygood.synthesis.arrays import ImageArray, MaskArray, check_image
from onlygood.synthesis.foreground import estimate_foreground

SaliencyMode: TypeAlias = Literal["auto", "whole", "foreground", "files"]

#: Images looked at, evenly spread over the set, to choose between whole image and foreground.
JURY = 16
#: Share of the jury that must show an object on a plain background for the foreground to be used.
MAJORITY = 0.75


def saliency_path(image: Path) -> Path:
    """Where the saliency map of an image file lies: `<stem>_saliency.jpg` beside it."""
    return image.with_name(f"{image.stem}_saliency.jpg")


def read_saliency(path: Path, height: int, width: int) -> MaskArray:
    """Read a saliency map, resize it to the image and keep what is above 127 of 255.

    The released code keeps everything above 0, which takes the ringing of JPEG around the object for salient.

    Raises:
        DataError: the file cannot be read, or nothing in it is salient.
    """
    try:
        with Image.open(path) as picture:
            grey = picture.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    except OSError as error:
        raise DataError(f"{path}: the saliency map cannot be read ({error}). Make it again or delete it.") from error
    salient = np.asarray(grey) > 127
    if not salient.any():
        raise DataError(f"{path}: no pixel is above 127, so no defect could be placed. Make the map again.")
    return salient


class Saliency:
    """Saliency of a set of images, chosen once for the whole set.

    "whole" means every pixel, "foreground" an estimate (`estimate_foreground`), "files" the maps beside the
    images. "auto" takes the files if every image has one; else the foreground if at least three quarters of
    16 images, evenly spread over the set, show an object on a plain background (`Foreground.is_object`);
    else the whole image. So a part that reaches the image's border counts as a texture: ask for
    "foreground" where it should not. An image whose own foreground fails the test gets what most of the 16
    agree on.

    Args:
        images: uint8 RGB arrays.
        mode: see above.
        paths: the files the images came from, in the same order; needed for "files".

    Attributes:
        mode: what was chosen: "whole", "foreground" or "files".
        votes: share of the 16 images that show an object, or None where nobody asked.
    """

    def __init__(
        self,
        images: Sequence[ImageArray],
        mode: SaliencyMode = "auto",
        paths: Sequence[str | Path] | None = None,
    ) -> None:
        if mode not in get_args(SaliencyMode):
            raise ParameterError(f"saliency is {mode!r}; it must be one of {', '.join(get_args(SaliencyMode))}.")
        if paths is not None and len(paths) != len(images):
            raise DataError(f"There are {len(images)} images and {len(paths)} paths; give one path for each image.")
        self._images = images
        self._files = [saliency_path(Path(p)) for p in paths or ()]
        self._cache: dict[int, MaskArray] = {}
        self._agreed: MaskArray | None = None
        self.votes: float | None = None
        self.mode: SaliencyMode = mode
        missing = next((p for p in self._files if not p.is_file()), None)
        if mode == "files":
            if not self._files:
                raise ParameterError("saliency='files' needs `paths`, the files the images came from.")
            if missing:
                raise DataError(f"{missing}: the saliency map is missing. Make it, or use saliency='auto'.")
        elif mode == "auto" and self._files and not missing:
            self.mode = "files"
        elif mode in ("auto", "foreground"):
            self._ask_jury(automatic=mode == "auto")

    def _ask_jury(self, automatic: bool) -> None:
        count = len(self._images)
        chosen = spread(count, JURY)
        jury = [estimate_foreground(self._images[i]) for i in chosen]
        accepted = [f for f in jury if f.is_object]
        self.votes = len(accepted) / len(jury)
        if automatic:
            self.mode = "foreground" if self.votes >= MAJORITY else "whole"
        if accepted:
            shape = accepted[0].mask.shape
            agreed = np.mean([_resize(f.mask, *shape) for f in accepted], axis=0) >= 0.5
            self._agreed = agreed if agreed.any() else None

    def __call__(self, index: int) -> MaskArray | None:
        """Saliency of image `index`, bool (H, W), or None for the whole image."""
        if self.mode == "whole":
            return None
        if index not in self._cache:
            image = self._images[index]
            self._cache[index] = (
                read_saliency(self._files[index], *image.shape[:2]) if self.mode == "files" else self.estimate(image)
            )
        return self._cache[index]

    def estimate(self, image: ImageArray) -> MaskArray:
        """Foreground of any image of the same kind, bool (H, W), never empty."""
        found = estimate_foreground(check_image(image))
        mask = found.mask
        if not found.is_object and self._agreed is not None:
            mask = self._agreed
        salient = _resize(mask, *image.shape[:2])
        return salient if salient.any() else np.ones(image.shape[:2], dtype=bool)


def _resize(mask: MaskArray, height: int, width: int) -> MaskArray:
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grey) > 127
