"""REB's "variable K": K chosen by the test score. An oracle, for comparison with the paper and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.metrics import auroc
from onlygood.images import as_sources
from onlygood.images.sources import Images
from onlygood.progress import Report, silent, track

if TYPE_CHECKING:
    from onlygood.methods import LDKNN


@dataclass(frozen=True)
class VariableK:
    """Image AUROC for each K, and the best of them, chosen with the test labels.

    Attributes:
        by_k: Image AUROC by K; 0 stands for no density (plain 1-NN).
        best_k: The K with the highest, among equals the detector's own, else the smallest.
        patches: Patch scores with it, float32 `(n, h, w)`.
        oracle: Always True: this figure could not be had without the labels of the test images.
    """

    by_k: dict[int, float]
    best_k: int
    patches: NDArray[np.float32] = field(repr=False, compare=False)
    oracle: bool = True

    @property
    def image_auroc(self) -> float:
        """The oracle's figure."""
        return self.by_k[self.best_k]


def variable_k(
    detector: LDKNN,
    images: Images,
    labels: ArrayLike,
    ks: Sequence[int] = (1, 3, 5, 7, 9, 11, 20, 45, 57),
    progress: Report | None = None,
) -> VariableK:
    """Sweep K on labelled test images (REB, section 4, rows "Variable K").

    Args:
        detector: A fitted LDKNN or REB with the full bank; it is not changed.
        images: Test images.
        labels: 0 good, 1 defective, `(n,)`.
        ks: Values of K; no density at all is always among the candidates, as in the paper's figures.
        progress: Called as `progress(stage, done, total)`.

    Raises:
        ParameterError: The detector keeps a coreset only.
    """
    from onlygood.memory import scouts_of
    from onlygood.memory.bank import halved
    from onlygood.memory.density import neighbours_in_other_groups, neighbours_without_self
    from onlygood.memory.scores import ldknn_score

    if detector.coreset < 1:
        raise ParameterError("variable_k needs the full bank: a coreset does not hold the neighbours of the density.")
    report = progress or silent
    groups = np.asarray(detector.training_.groups)
    if detector.density == "cross_image" and len(np.unique(groups)) > 1:
        table = neighbours_in_other_groups(
            detector.bank_, detector.index_, groups, max(ks), detector.graph_.spec.grid, report
        )
    else:
        table = neighbours_without_self(detector.bank_, detector.index_, max(ks), report)
    probe = copy.copy(detector)
    densities = {}
    for probe.k_ in ks:
        densities[probe.k_] = probe._mean_distance(table)
    found: dict[int, list[NDArray[np.float32]]] = {0: [], **{k: [] for k in sorted(ks)}}
    sources = as_sources(images)
    for source in track(sources, "variable K (oracle)", len(sources), report):
        features, _ = detector.graph_.features(source)
        h, w, dim = features.shape
        squared, rows = detector.index_.search(halved(features.reshape(-1, dim)), 1, scouts=scouts_of((h, w)))
        nearest: NDArray[np.int64] = rows[:, 0]
        for k in found:
            alpha = detector.alpha_ if k else 0.0
            density = densities[k][nearest] if k else np.zeros(len(nearest), np.float32)
            form = detector.form if k else "subtract"
            patches = ldknn_score(squared[:, 0], density, alpha, distance=detector.distance, form=form)
            found[k].append(patches.reshape(h, w))
    by_k = {k: auroc(labels, [detector._image_score(one) for one in maps]) for k, maps in found.items()}
    best = max(by_k, key=lambda k: (by_k[k], k == detector.k_))
    return VariableK(by_k, best, np.stack(found[best]))
