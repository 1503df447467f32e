"""LDKNN: nearest-neighbour distance corrected by the local density of the bank (REB, sections 3.3 and 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.images import ImageSource
from onlygood.memory.density import NeighbourTable, mean_distance, neighbours_without_self, without_rows
from onlygood.memory.scores import ldknn_score
from onlygood.methods.bank import BankDetector, check_neighbours
from onlygood.methods.choice import ALPHA_CHOICES, AUTO, K_CHOICES, choose_density
from onlygood.methods.leaving_out import LeftOut
from onlygood.progress import Report

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class LDKNN(BankDetector):
    """Score of a patch: d(q, m*) - alpha LD(m*), with m* its nearest good patch and LD the local density there.

    Args:
        k: Neighbours that make the local density (the paper's K), or `auto`.
        alpha: Local density coefficient, or `auto`; 0 is plain 1-NN.
        density: `cross_image` (ours): neighbours come from other images, for the patches around m* in its own image
            overlap it and make every neighbourhood look dense; `bank`: any other patch (the paper).
        distance: `sqeuclidean` (released code) or `euclidean` (the paper's words).
        form: `subtract` (released code) or `ratio`.
        self_in_k: Count m* itself among the K, at distance 0 (with `density="bank"`).

    `auto` chooses on the good images with synthetic defects (DefectMaker), never on test images.
    """

    k: int | str = 9
    alpha: float | str = 0.5
    density: str = "cross_image"
    distance: str = "sqeuclidean"
    form: str = "subtract"
    self_in_k: bool = False

    k_: int = field(init=False, repr=False)
    alpha_: float = field(init=False, repr=False)

    method: ClassVar[str] = "ldknn"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"k": 5, "alpha": 1.0, "density": "bank", "image_score": "max"},
        "released": {
            "k": 5,
            "alpha": 1.0,
            "density": "bank",
            "image_score": "avgpool3_max",
            "aggregator": "adaptive",
        },
        "quick": {"coreset": 0.1},
    }

    @property
    def _k(self) -> int:
        return 1

    @property
    def _table_k(self) -> int:
        """Twice K: leaving an image out must not empty a list of neighbours."""
        return 2 * (self.k if isinstance(self.k, int) else max(K_CHOICES))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.k, (AUTO,))
        if self.alpha != AUTO and not (isinstance(self.alpha, int | float) and self.alpha >= 0):
            raise ParameterError(f"alpha={self.alpha!r}: a number of at least 0, or 'auto'.")
        self._check_known("density", ("cross_image", "bank"))

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        self.k_ = self.k if isinstance(self.k, int) else K_CHOICES[0]
        self.alpha_ = ALPHA_CHOICES[0] if isinstance(self.alpha, str) else float(self.alpha)
        self._sources = sources
        try:
            super()._fit(sources, report)
        finally:
            del self._sources
        chosen = {"k": self.k_, "alpha": self.alpha_}
        return {name: value for name, value in chosen.items() if getattr(self, name) == AUTO}

    def _fit_stats(self, left_out: LeftOut, report: Report) -> dict[str, Array]:
        if self._across(left_out):
            self._neighbours = left_out.table
        else:
            self._neighbours = neighbours_without_self(left_out.full, left_out.index, self._table_k, report)
        if AUTO in (self.k, self.alpha) and hasattr(self, "_sources"):
            self.k_, self.alpha_ = choose_density(self, self._sources, left_out, report)
        return {"density": self._mean_distance(self._neighbours)}

    def _across(self, left_out: LeftOut) -> bool:
        return self.density == "cross_image" and len(np.unique(left_out.groups)) > 1

    def _mean_distance(self, neighbours: NeighbourTable) -> Array:
        """Local density over the first K; with `self_in_k` over K - 1 and a zero."""
        if self.self_in_k and self.density == "bank":
            if self.k_ == 1:
                return np.zeros(len(neighbours.rows), np.float32)
            share = np.float32((self.k_ - 1) / self.k_)
            return np.asarray(mean_distance(neighbours, self.k_ - 1, self.distance) * share, np.float32)
        return mean_distance(neighbours, self.k_, self.distance)

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return self._corrected(squared[:, 0], self.stats_["density"][rows[:, 0]])

    def _left_out_scores(self, table: NeighbourTable, left_out: LeftOut, group: int) -> Array:
        """The density, too, is taken without the group that is left out."""
        rows = left_out.in_full(table.rows[:, 0])
        neighbours = without_rows(self._neighbours, rows, left_out.rows_of(group))
        self._refill(neighbours, rows, left_out, group)
        return self._corrected(table.squared[:, 0], self._mean_distance(neighbours))

    def _refill(self, neighbours: NeighbourTable, rows: NDArray[np.integer], left_out: LeftOut, group: int) -> None:
        """Search again for the vectors that leaving a group out has left with fewer than K neighbours."""
        group_of = left_out.groups[left_out.full.image_of]
        short = np.flatnonzero(neighbours.rows[:, self.k_ - 1] < 0)
        vectors, asked_by = np.unique(rows[short], return_inverse=True)  # several patches may have one nearest
        squared = np.empty((len(vectors), self.k_), np.float32)
        found = np.empty((len(vectors), self.k_), np.int64)
        own = group_of[vectors] if self._across(left_out) else vectors
        for left in np.unique(own):
            asked = own == left
            allowed = group_of != group
            allowed &= group_of != left if self._across(left_out) else np.arange(len(group_of)) != left
            query = left_out.full.vectors[vectors[asked]]
            squared[asked], found[asked] = left_out.index.search(query, self.k_, allowed)
        neighbours.squared[short, : self.k_] = squared[asked_by]
        neighbours.rows[short, : self.k_] = found[asked_by]

    def _corrected(self, squared: Array, density: Array) -> Array:
        return ldknn_score(squared, density, self.alpha_, distance=self.distance, form=self.form)

    def _keep(self, *arguments: Any) -> None:
        super()._keep(*arguments)
        del self._neighbours  # as large as the bank, and only fitting needs it

    def _keep_choices(self, fitted: Any) -> None:
        self.k_, self.alpha_ = fitted.k_, fitted.alpha_

    def _restore(self, parts: Any) -> None:
        super()._restore(parts)
        notes = self.training_.notes
        self.k_ = int(notes.get("k", self.k))
        self.alpha_ = float(notes.get("alpha", self.alpha))
