"""Scores of golden images under a model, kept so that each is computed once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onlygood.files import replacing
from onlygood.images import ImageSource
from onlygood.images.fingerprint import pixel_hash
from onlygood.methods import Detector
from onlygood.progress import silent

_HASH = re.compile("[0-9a-f]{64}")


class Scored(NamedTuple):
    """What a model says of a golden image.

    Attributes:
        score: Raw image score.
        learned: Whether the model was fitted on the very same pixels: then a low score proves nothing.
    """

    score: float
    learned: bool


def score_files(
    detector: Detector, files: Mapping[str, Path], done: Callable[[int], None] | None = None
) -> dict[str, Scored]:
    """Score files by name; `done` is called with the number of those that are.

    Raises:
        ImageError: One cannot be read.
    """
    known = set(detector.training_.hashes)
    found = {}
    for number, (name, path) in enumerate(files.items(), 1):
        image = ImageSource(path.name, path).read()
        score = float(detector.score(ImageSource(path.name, image), progress=silent)[0])
        found[name] = Scored(score, pixel_hash(image) in known)
        if done:
            done(number)
    return found


class Scores:
    """Scores by model and image, one JSON file for each model; a file that cannot be read counts as none.

    Args:
        folder: Where they lie; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, model: str, digests: Iterable[str]) -> dict[str, Scored]:
        """Those that are known."""
        known = self._read(model)
        return {digest: known[digest] for digest in digests if digest in known}

    def add(self, model: str, scores: Mapping[str, Scored]) -> None:
        """Keep some."""
        path = self._path(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps({**self._read(model), **scores}), "utf-8")

    def _read(self, model: str) -> dict[str, Scored]:
        try:
            table: Any = json.loads(self._path(model).read_text("utf-8"))
            return {digest: Scored(float(score), bool(learned)) for digest, (score, learned) in table.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _path(self, model: str) -> Path:
        if not _HASH.fullmatch(model):
            raise ValueError("no SHA-256")
        return self._folder / f"{model}.json"
