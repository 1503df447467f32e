"""The golden set of a recipe: images whose answer is known, kept by digest, scored once under each model."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from onlygood.errors import ImageError, ParameterError
from onlygood.files import replacing
from onlygood.images.reading import read_image
from onlygood.methods import Detector
from onlygood.station.decisions import Thresholds
from onlygood.station.errors import NotFoundError, RefusedError
from onlygood.station.learning.scoring import Scored, Scores, score_files
from onlygood.station.recipes import Recipes
from onlygood.station.record import Record

TRUTHS = ("good", "defect")
#: Images of a golden set, at most: all of them are scored under each candidate.
MOST = 2_000

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


class Golden:
    """The golden sets of a station.

    Args:
        data: The station's folder; pictures lie in `golden/`, scores in `golden/scores/`.
        record: Knows what is in the sets.
        duties: Knows the models on duty.
        pixels: Of one image at most.
    """

    def __init__(self, data: Path, record: Record, duties: Recipes, pixels: int) -> None:
        self._folder, self._kept = data / "golden", data / "pictures"
        self._record, self._duties, self._pixels = record, duties, pixels
        self.scores = Scores(self._folder / "scores")
        self._scoring = threading.Lock()

    def images(self, recipe: str) -> list[dict[str, Any]]:
        """The set as the record gives it; raises `UnknownRecipeError`."""
        return self._record.golden(self._duties.get(recipe).name)

    def add(
        self, recipe: str, data: bytes, truth: str, who: str, name: str = "", decision_id: str = ""
    ) -> dict[str, Any]:
        """Put an image file into the set; one that is in it already gets this truth.

        Raises:
            UnknownRecipeError, ImageError, ParameterError: As named.
            RefusedError: The set is full.
        """
        recipe = self._duties.get(recipe).name
        if truth not in TRUTHS:
            raise ParameterError(f"truth={truth!r}: use good or defect.")
        suffix = self._checked(data, name or "that was sent")
        digest = hashlib.sha256(data).hexdigest()
        images = {one["digest"]: one for one in self._record.golden(recipe)}
        if len(images) >= MOST and digest not in images:
            raise RefusedError(f"The golden set of {recipe} has {MOST} images, the most it may have. Take some out.")
        path = self._folder / f"{digest}{suffix}"
        if not path.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(data)
        return self._record.add_golden(recipe, digest, path.name, truth, who, name, decision_id)

    def add_decision(self, recipe: str, decision_id: str, truth: str, who: str) -> dict[str, Any]:
        """Put the image of a decision into the set.

        Raises:
            NotFoundError: There is no such decision of this recipe, or its picture was not kept.
        """
        recipe = self._duties.get(recipe).name
        decision = self._record.decision(decision_id)
        if decision["recipe"] != recipe:
            raise NotFoundError(f"The decision {decision_id} is none of {recipe}.")
        try:
            if not decision["picture"]:
                raise FileNotFoundError
            data = (self._kept / decision["picture"]).read_bytes()
        except OSError:
            raise NotFoundError(
                f"The picture of the decision {decision_id} is not kept. Send the image itself instead."
            ) from None
        return self.add(recipe, data, truth, who, decision["name"], decision_id)

    def remove(self, recipe: str, digest: str, who: str) -> dict[str, Any]:
        """Take an image out; its file stays, for the record names it. Raises `NotFoundError`."""
        return self._record.remove_golden(self._duties.get(recipe).name, digest, who)

    def file(self, recipe: str, digest: str) -> Path:
        """The picture of an image of the set; raises `NotFoundError`."""
        for image in self.images(recipe):
            if image["digest"] == digest:
                path = self.path(image)
                if path.is_file():
                    return path
        raise NotFoundError(f"The golden set of {recipe} has no such image.")

    def path(self, image: Mapping[str, Any]) -> Path:
        """Where the picture of an image of `images` lies."""
        return self._folder / str(image["picture"])

    def known(self, recipe: str, model: str) -> dict[str, Scored]:
        """Scores of the set under a model, by digest, as far as they are known."""
        return self.scores.get(model, [image["digest"] for image in self.images(recipe)])

    def scored(self, recipe: str, model: str, detector: Callable[[], Detector]) -> dict[str, Scored]:
        """Scores of the whole set under a model; missing ones are computed, one set at a time.

        Args:
            recipe: Name.
            model: SHA-256.
            detector: Gives the detector if it is needed.

        Raises:
            ImageError: A picture of the set is gone or damaged.
        """
        images = self.images(recipe)
        digests = [image["digest"] for image in images]
        if len(found := self.scores.get(model, digests)) < len(images):
            with self._scoring:
                found = self.scores.get(model, digests)
                missing = {one["digest"]: self.path(one) for one in images if one["digest"] not in found}
                if missing:
                    new = score_files(detector(), missing)
                    self.scores.add(model, new)
                    found = {**found, **new}
        return found

    def counts(self, recipe: str, limits: Mapping[str, Thresholds]) -> dict[str, dict[str, dict[str, int]]]:
        """Verdicts of the model on duty on the set: by truth, then by name of the thresholds, then by verdict."""
        duty = self._duties.get(recipe)
        scores = self.scored(recipe, duty.model, lambda: duty.detector)
        images = self.images(recipe)
        return {
            truth: {
                name: counted([scores[one["digest"]].score for one in images if one["truth"] == truth], thresholds)
                for name, thresholds in limits.items()
            }
            for truth in TRUTHS
        }

    def _checked(self, data: bytes, name: str) -> str:
        """Ending for the file of an image that can be read; its header is looked at before it is decoded."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                width, height, kind = image.width, image.height, (image.format or "").lower()
        except Exception as error:
            raise ImageError(f"The image {name} cannot be read: {error}. Send a PNG, JPEG, BMP or TIFF file.") from None
        if width * height > self._pixels:
            raise ImageError(f"The image {name} has {width} x {height} pixels; this station takes {self._pixels}.")
        read_image(data, name)
        suffix = f".{ {'jpeg': 'jpg', 'tiff': 'tif'}.get(kind, kind) }"
        return suffix if _SUFFIX.fullmatch(suffix) else ".image"


def counted(scores: list[float], thresholds: Thresholds) -> dict[str, int]:
    """How many of each verdict these scores get: `OK`, `REVIEW`, `NG`."""
    found = Counter(str(thresholds.verdict(score)) for score in scores)
    return {verdict: found[verdict] for verdict in ("OK", "REVIEW", "NG")}
