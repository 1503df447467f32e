"""Are our metrics those of scikit-learn, torchmetrics and adeval? All are given the same scores, maps and masks.

    python -m pip install adeval torchmetrics opencv-python-headless      # beside onlygood[fit]
    python benchmarks/agreement_metrics.py --data SET [--into docs/agreement.md]

SET is laid out as MVTec AD is. A nearest-neighbour detector is fitted on it; its scores and maps of the test images and
the masks at the size of the maps are what is measured.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn import metrics as sk
from torchmetrics import classification as tm

import onlygood
from onlygood.errors import DataWarning
from onlygood.evaluation import Region, aupro, auroc, average_precision, best_f1, pixel_auroc, spro
from onlygood.evaluation.testset import TestRun, run_test
from onlygood.images import find_good_images, find_labelled_images
from onlygood.images.sources import spread
from records import replace_between

vars(np).setdefault("trapz", np.trapezoid)  # adeval calls it by the name it had before NumPy 2.4

from adeval import auroc_aupr_aupro  # noqa: E402
from adeval.au_pro import calculate_au_pro  # noqa: E402

LIMITS = (0.05, 0.3)
#: Share of a region that saturates it.
SATURATION = 0.25
#: Strips of adeval's histogram, by default and at most.
STRIPS = (1000, 1_000_000)
#: Thresholds of MVTec's own code, as published, and more.
RANKS = (100, 10_000)
#: What is compared, our number, theirs, whose it is.
Line = tuple[str, float, float, str]


def image_lines(tested: TestRun) -> Iterator[Line]:
    """Metrics of the image scores."""
    labels = np.array([sample.label for sample in tested.samples])
    scores = np.array([one.score for one in tested.inspections])
    as_tensors = torch.from_numpy(in_unit_range(scores)), torch.from_numpy(labels)
    mine = auroc(labels, scores)
    yield "image AUROC", mine, sk.roc_auc_score(labels, scores), "scikit-learn"
    yield "image AUROC", mine, tm.BinaryAUROC()(*as_tensors).item(), "torchmetrics"
    mine = average_precision(labels, scores)
    yield "average precision", mine, sk.average_precision_score(labels, scores), "scikit-learn"
    yield "average precision", mine, tm.BinaryAveragePrecision()(*as_tensors).item(), "torchmetrics"
    mine = best_f1(labels, scores)[0]
    yield "F1-max", mine, f1_max(*sk.precision_recall_curve(labels, scores)[:2]), "scikit-learn's curve"
    precision, recall, _ = tm.BinaryPrecisionRecallCurve()(*as_tensors)
    yield "F1-max", mine, f1_max(precision.numpy(), recall.numpy()), "torchmetrics' curve"


def pixel_lines(maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]]) -> Iterator[Line]:
    """Metrics of the maps."""
    truth, scores = np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])
    as_bytes = [np.uint8(255) * mask for mask in masks]
    by_strips = {strips: auroc_aupr_aupro(maps, as_bytes, nstrips=strips) for strips in STRIPS}
    mine = pixel_auroc(maps, masks)
    yield "pixel AUROC", mine, sk.roc_auc_score(truth, scores), "scikit-learn"
    theirs = tm.BinaryAUROC()(torch.from_numpy(in_unit_range(scores)), torch.from_numpy(truth.astype(np.int64)))
    yield "pixel AUROC", mine, theirs.item(), "torchmetrics"
    for strips, found in by_strips.items():
        yield "pixel AUROC", mine, found[0], f"adeval, {strips:,} strips"

    regions = [components(mask) for mask in masks]
    mine = aupro(maps, masks)
    whole = [[(region, int(region.sum())) for region in of_image] for of_image in regions]
    yield "AUPRO to 0.3", mine, weighted_area(maps, whole, 0.3), "scikit-learn's weighted ROC, SciPy's components"
    for strips, found in by_strips.items():
        yield "AUPRO to 0.3", mine, found[2], f"adeval, {strips:,} strips"
    for ranks in RANKS[1:]:
        theirs = calculate_au_pro(masks, maps, 0.3, ranks)[0]
        yield "AUPRO to 0.3", mine, theirs, f"MVTec's code in adeval, {ranks:,} thresholds"
    mine = aupro(maps, masks, curve="mvtec3d")
    theirs = calculate_au_pro(masks, maps, 0.3, RANKS[0])[0]
    yield 'AUPRO to 0.3, curve="mvtec3d"', mine, theirs, f"MVTec's code in adeval, {RANKS[0]} thresholds"

    part = [[(region, SATURATION * region.sum()) for region in of_image] for of_image in regions]
    found = spro(maps, [[Region(*one) for one in of_image] for of_image in part], LIMITS)
    for limit in LIMITS:
        name = f"sPRO to {limit}, saturated by {SATURATION:.0%} of a region"
        yield name, found[limit], weighted_area(maps, part, limit), "scikit-learn's weighted ROC"


def in_unit_range(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Scores moved into 0..1, where torchmetrics leaves them as they are, in double precision."""
    scores = scores.astype(np.float64)
    return (scores - scores.min()) / np.ptp(scores)


def f1_max(precision: NDArray[Any], recall: NDArray[Any]) -> float:
    """Highest F1 on a curve."""
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def components(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Regions that hang together, by sides or corners."""
    labelled, count = ndimage.label(mask, np.ones((3, 3)))
    return [labelled == number for number in range(1, count + 1)]


def weighted_area(maps: list[NDArray[np.float32]], regions: Any, limit: float) -> float:
    """The curve of saturated overlap, as a ROC curve in which pixels weigh.

    A normal pixel weighs 1. Of a region with the saturation S the highest pixels weigh 1 / S each until the sum is 1,
    the others nothing.
    """
    truth, scores, weights = [], [], []
    for one, of_image in zip(maps, regions):
        normal = one[~np.any([np.zeros(one.shape, bool), *(mask for mask, _ in of_image)], axis=0)]
        truth.append(np.zeros(normal.size))
        scores.append(normal)
        weights.append(np.ones(normal.size))
        for mask, saturation in of_image:
            falling = np.sort(one[mask])[::-1]
            truth.append(np.ones(falling.size))
            scores.append(falling)
            weights.append(np.clip(saturation - np.arange(falling.size), 0, 1) / saturation)
    fpr, overlap, _ = sk.roc_curve(
        *(np.concatenate(parts) for parts in (truth, scores)),
        sample_weight=np.concatenate(weights),
        drop_intermediate=False,
    )
    end = np.searchsorted(fpr, limit, side="right")
    cut = [overlap[end - 1] + np.diff(overlap)[end - 1] * (limit - fpr[end - 1]) / (fpr[end] - fpr[end - 1])]
    return float(sk.auc(np.append(fpr[:end], limit), np.append(overlap[:end], cut)) / limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=60, help="training images at most, spread evenly")
    parser.add_argument("--test", type=int, default=80, help="test images at most, spread evenly")
    parser.add_argument("--into", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    good, labelled = find_good_images(arguments.data), find_labelled_images(arguments.data)
    detector = onlygood.KNN(coreset=0.01)
    detector.fit([str(good[place]) for place in spread(len(good), arguments.train)])
    tested = run_test(detector, [labelled[place] for place in spread(len(labelled), arguments.test)])
    maps = [one.map for one in tested.inspections if one.map is not None]
    masks = [np.zeros(one.shape, bool) if mask is None else mask for one, mask in zip(maps, tested.masks)]
    size = " x ".join(map(str, maps[0].shape))
    count = sum(len(components(mask)) for mask in masks)
    versions = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "torchmetrics", "adeval"))
    lines = [
        f"onlygood {onlygood.__version__}, {versions}, {platform.machine()}; {len(maps)} test images of "
        f"{arguments.data.name}, maps of {size} pixels, {count} regions",
        "",
        "| metric | ours | theirs | difference | theirs is of |",
        "|---|---|---|---|---|",
    ]
    for what, mine, theirs, whose in (*image_lines(tested), *pixel_lines(maps, masks)):
        lines.append(f"| {what} | {mine:.9f} | {theirs:.9f} | {mine - theirs:+.1e} | {whose} |")
    print("\n".join(lines))
    if arguments.into:
        replace_between(arguments.into, "metrics", "\n".join(lines))


if __name__ == "__main__":
    main()
