"""Fine-tunings done once and shared by runs: the checkpoint of each in a folder, gone on with where one was stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood.evaluation.runs.spec import RunSpec

if TYPE_CHECKING:
    from onlygood.methods import Detector

#: The folder's usual name, in that of shared features.
TUNED = "tuned"
#: Parameters of a detector that the fine-tuned backbone follows from, besides the images and the seed.
_PARAMETERS = ("backbone", "weights", "size", "device", "fine_tune")


def share_tuning(detector: Detector, spec: RunSpec, fingerprint: str, folder: Path) -> bool:
    """Name a file of the folder as the detector's checkpoint, if it is one that fine-tunes its backbone.

    Runs whose backbones are tuned alike are given the same file; the checkpoint itself makes sure that it is of the
    same recipe, seed, weights and images.

    Args:
        detector: Of the run, not fitted yet.
        spec: The run.
        fingerprint: Of the data.
        folder: Made at the first checkpoint.

    Returns:
        Whether there is such a file already, so that fitting takes less time.
    """
    if getattr(detector, "fine_tune", "none") == "none":
        return False
    about = [str(getattr(detector, name)) for name in _PARAMETERS]
    images = [fingerprint, spec.shots, spec.draw, spec.most_train, spec.seed]
    name = hashlib.sha256(json.dumps([*about, *images]).encode()).hexdigest()[:32]
    path = folder / f"{name}.checkpoint"
    detector.checkpoint = path  # type: ignore[attr-defined]
    return path.exists()
