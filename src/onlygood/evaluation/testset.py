"""A labelled test set through a detector: what it says of each image, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError
from onlygood.evaluation.evaluate import Evaluation, evaluate, resize_mask
from onlygood.images import ImageSource, Sample, read_masks
from onlygood.inspection import Inspection
from onlygood.progress import Report, silent, track

if TYPE_CHECKING:
    from onlygood.methods import Detector


@dataclass(frozen=True)
class TestRun:
    """What a detector said of a labelled set.

    Attributes:
        samples: The images and what is true of them.
        inspections: One per image, with maps where the method makes them.
        masks: One per image: bool in the size of the map, or None.
        trained_on: Test images whose pixels the detector was fitted on; none unless that was allowed.
        ms_per_image: Milliseconds from file to verdict and map, on average.
    """

    __test__ = False  # of a test set; no test case

    samples: Sequence[Sample]
    inspections: list[Inspection]
    masks: list[NDArray[np.bool_] | None]
    trained_on: list[str]
    ms_per_image: float

    def evaluate(self, aupro_limit: float = 0.3) -> Evaluation:
        """All figures; those of pixels at the size of the maps, and only if there are masks."""
        return evaluate(
            self.inspections,
            [sample.label for sample in self.samples],
            self.masks if any(mask is not None for mask in self.masks) else None,
            types=[sample.defect for sample in self.samples],
            aupro_limit=aupro_limit,
        )


def run_test(
    detector: Detector,
    samples: Sequence[Sample],
    *,
    allow_training_images: bool = False,
    progress: Report | None = None,
) -> TestRun:
    """Inspect every image of a labelled set.

    Args:
        detector: Fitted.
        samples: Images and labels, as `find_labelled_images` finds them.
        allow_training_images: Go on where the detector was fitted on a test image.
        progress: Called as `progress(stage, done, total)`; None tells nobody.

    Raises:
        DataError: The detector was fitted on a test image: its score there says nothing of new images.
        ImageError: An image or mask cannot be read.
    """
    from onlygood.images.fingerprint import pixel_hash  # methods is a room above this one

    known = set(detector.training_.hashes)
    inspections: list[Inspection] = []
    masks: list[NDArray[np.bool_] | None] = []
    trained_on: list[str] = []
    seconds = 0.0
    for sample in track(samples, "inspect", len(samples), progress):
        started = time.perf_counter()
        name = str(sample.path)
        source = ImageSource.of_file(sample.path)
        image = source.read()
        seconds += time.perf_counter() - started
        if pixel_hash(image) in known:
            trained_on.append(name)
        if trained_on and not allow_training_images:
            continue  # the others are only read, to tell how many there are
        started = time.perf_counter()
        found = detector.inspect([replace(source, content=image)], progress=silent)[0]
        seconds += time.perf_counter() - started
        inspections.append(replace(found, maps={}))  # those of single branches would fill the memory for nothing
        masks.append(_mask(sample, found))
    if trained_on and not allow_training_images:
        shown = ", ".join(trained_on[:3]) + (", ..." if len(trained_on) > 3 else "")
        raise DataError(
            f"{len(trained_on)} of {len(samples)} test images are among the training images: {shown}. Figures "
            "measured on training images say nothing of new ones. Take them out of the test folder, or go on all the "
            "same with --allow-training-images (allow_training_images=True)."
        )
    return TestRun(samples, inspections, masks, trained_on, 1000 * seconds / max(1, len(samples)))


def _mask(sample: Sample, found: Inspection) -> NDArray[np.bool_] | None:
    if not sample.masks or found.map is None:
        return None
    return resize_mask(read_masks(sample.masks), (found.map.shape[0], found.map.shape[1]))
