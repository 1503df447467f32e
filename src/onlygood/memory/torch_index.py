"""Exact search by tiled matrix products in torch, for a GPU."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.index import SPARE, Neighbours, Vectors, centre_of, check_k

#: Vectors of which only the nearest is compared with those of other groups, so that few are sorted.
GROUP = 32


def torch_has_cuda() -> bool:
    """Whether torch is installed and sees a CUDA GPU; torch is imported only if it is there."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


class TorchIndex:
    """As `ExactIndex`, on a torch device: candidates by the product form, distances by direct subtraction.

    Args:
        vectors: float32 or float16 `(N, D)`; kept on the device as float32, moved to their centre.
        device: Torch device.
        tile: Bank vectors and queries of one matrix product.
    """

    kind = "exact"

    def __init__(self, vectors: Vectors, device: str = "cuda", tile: tuple[int, int] = (65_536, 4_096)) -> None:
        import torch

        self._device = device
        self._tile = max(1, tile[0] // GROUP) * GROUP, tile[1]
        self._number = len(vectors)
        vectors = np.asarray(vectors, np.float32)
        self._centre = centre_of(vectors)
        whole = -(-len(vectors) // GROUP) * GROUP
        self._vectors = torch.zeros((whole, vectors.shape[1]), device=device)
        self._vectors[: len(vectors)] = torch.from_numpy(np.ascontiguousarray(vectors - self._centre)).to(device)
        self._norms = (self._vectors**2).sum(dim=1)
        self._norms[len(vectors) :] = torch.inf  # fills the last group; never found

    def __len__(self) -> int:
        return self._number

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: NDArray[np.bool_] | None = None,
        scouts: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """As `NeighbourIndex.search`."""
        import torch

        check_k(k)
        squared = np.full((len(queries), k), np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        banned = None
        if allowed is not None:
            banned = torch.zeros(len(self._vectors), dtype=torch.bool, device=self._device)
            banned[: len(self)] = torch.from_numpy(~allowed).to(self._device)
        step = self._tile[1]
        for start in range(0, len(queries) if len(self) else 0, step):
            part = np.ascontiguousarray(np.asarray(queries[start : start + step], np.float32) - self._centre)
            found = self._search(torch.from_numpy(part).to(self._device), k, banned)
            there = found[0].shape[1]
            squared[start : start + step, :there], rows[start : start + step, :there] = found
        return squared, rows

    def _search(self, queries: Any, k: int, banned: Any) -> Neighbours:
        import torch

        keep = min(k + SPARE, len(self))
        best = torch.full((len(queries), 0), torch.inf, device=self._device)
        rows = torch.empty((len(queries), 0), dtype=torch.int64, device=self._device)
        for start in range(0, len(self._vectors), self._tile[0]):
            stop = min(start + self._tile[0], len(self._vectors))
            # the query's own norm does not change the order
            rough = torch.addmm(self._norms[start:stop], queries, self._vectors[start:stop].T, alpha=-2)
            if banned is not None:
                rough.masked_fill_(banned[start:stop], torch.inf)
            values, places = _smallest(rough, keep)
            best, order = torch.cat([best, values], 1).topk(min(keep, best.shape[1] + values.shape[1]), largest=False)
            rows = torch.cat([rows, places + start], 1).gather(1, order)
        squared = ((queries[:, None] - self._vectors[rows]) ** 2).sum(2)
        squared[best.isinf()] = torch.inf
        exact, found = squared.cpu().numpy(), rows.cpu().numpy()
        first = np.lexsort((found, exact), axis=1)[:, :k]
        exact, found = np.take_along_axis(exact, first, 1), np.take_along_axis(found, first, 1)
        return exact, np.where(np.isinf(exact), -1, found)


def _smallest(rough: Any, keep: int) -> tuple[Any, Any]:
    """The `keep` smallest of each row `(q, n)` and where they stand; `n` is a multiple of `GROUP`.

    They lie in the `keep` groups whose smallest are smallest: of all others a group holds none.
    """
    groups = rough.view(len(rough), -1, GROUP)
    few = groups.amin(2).topk(min(keep, groups.shape[1]), largest=False)[1]
    candidates = groups.gather(1, few[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, at = candidates.topk(min(keep, candidates.shape[1]), largest=False)
    return values, few.gather(1, at // GROUP) * GROUP + at % GROUP
