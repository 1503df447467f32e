"""MVTec LOCO AD: structural and logical anomalies, a mask for each defect, and how much of it must be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError, ImageError
from onlygood.images.datasets.base import Category, Layout, Problems, Saturation
from onlygood.images.datasets.published import published_counts
from onlygood.images.datasets.trees import (
    GOOD,
    category_folders,
    good_images,
    images_below,
    name_of,
    sample_of,
    subfolders,
    test_folders,
    why_no_categories,
)
from onlygood.images.layouts import Sample
from onlygood.images.reading import opened

NATURES = {"logical_anomalies": "logical", "structural_anomalies": "structural"}
CONFIG = "defects_config.json"


def read_saturations(path: Path) -> tuple[Saturation, ...]:
    """The entries of a `defects_config.json`, in order of pixel value.

    Raises:
        DataError: The file is missing, no such list, or gives a pixel value twice or a threshold out of range.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Unpack the data set again.") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}). Unpack the data set again.") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} holds no list of defects. Unpack the data set again.")
    found = [_saturation(entry, path) for entry in entries]
    values = [one.pixel_value for one in found]
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise DataError(f"{path} gives the pixel value {twice[0]} to two defects. Unpack the data set again.")
    return tuple(sorted(found, key=lambda one: one.pixel_value))


def _saturation(entry: Any, path: Path) -> Saturation:
    try:
        one = Saturation(
            str(entry["defect_name"]),
            int(entry["pixel_value"]),
            float(entry["saturation_threshold"]),
            bool(entry["relative_saturation"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} has an entry without defect_name, pixel_value, saturation_threshold or relative_saturation: "
            f"{entry}. Unpack the data set again."
        ) from error
    if not 0 < one.threshold < float("inf") or (one.relative and one.threshold > 1) or not 0 < one.pixel_value < 256:
        raise DataError(
            f"{path}: {one.defect} has the saturation threshold {one.threshold} and the pixel value {one.pixel_value}; "
            "a threshold is above 0, at most 1 if relative, and a pixel value from 1 to 255. Unpack it again."
        )
    return one


def read_region(path: Path) -> tuple[NDArray[np.bool_], int]:
    """A mask file of one defect: where it is, bool `(h, w)`, and the pixel value that names its type.

    Raises:
        DataError: The file has no pixel above 0, or several values above 0.
        ImageError: It cannot be read.
    """
    with opened(path, str(path)) as image:
        try:
            pixels = np.asarray(image)
        except Exception as error:  # Pillow raises almost anything on damage
            raise ImageError(f"Cannot decode the mask {path}: {error}. Replace the file.") from error
    if pixels.ndim == 3:
        pixels = pixels[..., :3].max(axis=2)
    values = np.unique(pixels[pixels > 0])
    if len(values) != 1:
        shown = ", ".join(str(value) for value in values[:5]) or "none"
        raise DataError(f"A mask file holds one pixel value above 0; {path} holds: {shown}. Unpack the data set again.")
    return pixels > 0, int(values[0])


def _why_not(root: Path) -> str | None:
    return why_no_categories(root, published_counts("mvtec_loco"))


def _load(root: Path, problems: Problems) -> list[Category]:
    categories = []
    for folder in category_folders(root, published_counts("mvtec_loco")):
        problems.category = name_of(folder)
        train = good_images(folder / "train", GOOD, problems)
        validation = good_images(folder / "validation", GOOD, problems)
        saturations: tuple[Saturation, ...] = ()
        try:
            saturations = read_saturations(folder / CONFIG)
        except DataError as error:  # AUROC and AUPRO can do without
            problems.warning(folder / CONFIG, f"No sPRO of {folder.name}: {error}")
        samples = _samples(folder, problems)
        categories.append(Category(name_of(folder), tuple(train), tuple(validation), tuple(samples), saturations))
    return categories


def _samples(folder: Path, problems: Problems) -> list[Sample]:
    samples = []
    for kind, defect in test_folders(folder, GOOD, problems):
        images = images_below(kind)
        if not images:
            problems.error(kind, f"The folder {kind} holds no image. Unpack the data set again.")
        if defect == "good":
            samples += [sample_of(path, "good") for path in images]
            continue
        if defect not in NATURES:
            expected = " and ".join(sorted(NATURES))
            problems.error(kind, f"{kind} is neither of {expected}. Move it away.")
            continue
        truth = folder / "ground_truth" / kind.name
        for path in images:
            masks = tuple(images_below(truth / path.stem))
            if not masks:
                expected = str(truth / path.stem / "000.png")
                problems.error(truth / path.stem, f"{path} has no mask: expected {expected}. Unpack it again.")
            samples.append(sample_of(path, defect, masks, NATURES[defect]))
        stems = {path.stem for path in images}
        for other in subfolders(truth):
            if other.name not in stems:
                problems.error(other, f"The image of the masks in {other} is missing. Unpack the data set again.")
    return samples


MVTEC_LOCO = Layout("mvtec_loco", "MVTec LOCO AD", "official", _why_not, _load)
