"""A worker: inspects the images of a part, one by one, and writes their rows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood.bulk.listing import BulkImage, Part
from onlygood.bulk.results import Results
from onlygood.errors import ImageError, OnlyGoodError
from onlygood.images import ImageSource
from onlygood.parallel import in_order
from onlygood.reports.pictures import Pictures

if TYPE_CHECKING:
    from onlygood.methods import Detector

#: Images read at a time from a store, which answers each with a delay.
READERS = 8


class Worker:
    """Inspects parts.

    Args:
        detector: A fitted one.
        into: Folder or URI of the results.
        pictures: What is drawn.
    """

    def __init__(self, detector: Detector, into: str, pictures: Pictures) -> None:
        self._detector, self._pictures = detector, pictures
        self._results = Results(into)

    def do(self, part: Part) -> None:
        """Inspect the images of a part and write the file of their rows."""
        sources = in_order(_source, part.images, READERS if part.images[0].store else 1)
        rows = [self._row(image, source) for image, source in zip(part.images, sources, strict=True)]
        self._results.write(part.name, rows)

    def _row(self, image: BulkImage, source: ImageSource | ImageError) -> dict[str, Any]:
        if isinstance(source, ImageError):
            return {"path": image.path, "error": str(source)}
        try:
            found = self._pictures.inspect(self._detector, source, image.pictures)
        except OnlyGoodError as error:
            return {"path": image.path, "error": str(error)}
        drawn = self._detector.has_map and (self._pictures.maps or self._pictures.overlay)
        return {
            "path": image.path,
            "verdict": str(found.verdict),
            "score": float(found.score),
            "p_value": float(found.p_value),
            "width": found.size[0],
            "height": found.size[1],
            "regions": json.dumps([region.as_dict() for region in found.regions]),
            "pictures": image.pictures if drawn else None,
        }


def _source(image: BulkImage) -> ImageSource | ImageError:
    """The image, from a store with what it holds; or why it cannot be had."""
    if not image.store:
        return ImageSource.of_file(Path(image.path))
    try:
        with _store(image.store).open_input_stream(image.path) as file:
            return ImageSource(image.path, file.read())
    except OSError as error:
        return ImageError(f"{image.path} cannot be read: {error}")


@cache
def _store(uri: str) -> Any:
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(uri)[0]
