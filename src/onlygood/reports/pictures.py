"""Pictures of many inspections in folders: named after the images, and laid out as these are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from onlygood.errors import ParameterError
from onlygood.files import replacing
from onlygood.progress import silent
from onlygood.reports.overlay import save_overlay

if TYPE_CHECKING:
    from onlygood.images import ImageSource
    from onlygood.inspection import Inspection
    from onlygood.methods import Detector


@dataclass(frozen=True)
class Pictures:
    """What is drawn of each inspection, and where to; of an image-level method, which has no map, nothing is.

    Attributes:
        overlay: Folder of the overlays, PNG; None for none.
        maps: Folder of the anomaly maps, 32-bit TIFF, and of those of single branches beside them; None for none.
        original_size: Maps in the size of each image, not in the detector's.

    Raises:
        ParameterError: A size of the maps is asked for, but no maps.
    """

    overlay: Path | None = None
    maps: Path | None = None
    original_size: bool = False

    def __post_init__(self) -> None:
        """What is asked for must go together."""
        if self.original_size and self.maps is None:
            raise ParameterError(
                "original_size (--original-size) is that of the maps; name their folder, too (--maps)."
            )

    def inspect(self, detector: Detector, source: ImageSource, name: str | Path) -> Inspection:
        """Inspect one image and write its pictures; the map is dropped then, so that many images fit into memory.

        Args:
            detector: A fitted one.
            source: The image.
            name: Of its pictures within their folders, without an ending.

        Raises:
            OnlyGoodError: As of `Detector.inspect`.
            OSError: A picture cannot be written.
        """
        if self.overlay is not None:
            source = replace(source, content=source.read())  # it is drawn, too
        found = detector.inspect([source], original_size=self.original_size, progress=silent)[0]
        if found.map is not None and self.overlay is not None:
            low = float(detector.calibration_.pixel_threshold)
            # above the peak where nothing was calibrated, so that nothing is drawn
            low = low if math.isfinite(low) else float(found.map.max()) + 1
            save_overlay(_room_for(self.overlay, name, ".png"), source.content, found, low=low)
        if found.map is not None and self.maps is not None:
            for branch, one in {"": found.map, **found.maps}.items():
                path = _room_for(self.maps, name, f".{branch}.tiff" if branch else ".tiff")
                with replacing(path) as partial:
                    Image.fromarray(one).save(partial, format="TIFF")
        return replace(found, map=None, maps={})


class PictureNames:
    """Names for the pictures of images, no two alike.

    Args:
        taken: Names that are given away already.
    """

    def __init__(self, taken: Iterable[Path] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[Path, int] = {}

    def take(self, image: Path) -> Path:
        """A name for the pictures of an image: the image's, without its ending; `-2` and so on where it is taken."""
        stem = image.with_suffix("")
        name, number = stem, self._last.get(stem, 1)
        while name in self._taken:
            number += 1
            name = stem.with_name(f"{stem.name}-{number}")
        self._last[stem] = number
        self._taken.add(name)
        return name


def _room_for(folder: Path, name: str | Path, ending: str) -> Path:
    path = folder / f"{name}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
