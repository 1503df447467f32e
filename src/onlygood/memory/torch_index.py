"""Exact search by tiled matrix products in torch, for a GPU; figures on a GPU have not been measured."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.memory.index import SPARE, Neighbours, Vectors, centre_of, check_k


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

        self._device, self._tile = device, tile
        vectors = np.asarray(vectors, np.float32)
        self._centre = centre_of(vectors)
        self._vectors = torch.from_numpy(np.ascontiguousarray(vectors - self._centre)).to(device)
        self._norms = (self._vectors**2).sum(dim=1)

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, queries: Vectors, k: int, allowed: NDArray[np.bool_] | None = None) -> Neighbours:
        """As `NeighbourIndex.search`."""
        import torch

        check_k(k)
        squared = np.full((len(queries), k), np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        banned = None if allowed is None else torch.from_numpy(~allowed).to(self._device)
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
        for start in range(0, len(self), self._tile[0]):
            stop = min(start + self._tile[0], len(self))
            # the query's own norm does not change the order
            rough = torch.addmm(self._norms[start:stop], queries, self._vectors[start:stop].T, alpha=-2)
            if banned is not None:
                rough.masked_fill_(banned[start:stop], torch.inf)
            values, places = rough.topk(min(keep, stop - start), largest=False)
            best, order = torch.cat([best, values], 1).topk(min(keep, best.shape[1] + values.shape[1]), largest=False)
            rows = torch.cat([rows, places + start], 1).gather(1, order)
        squared = torch.stack([((queries - self._vectors[rows[:, c]]) ** 2).sum(1) for c in range(rows.shape[1])], 1)
        squared[best.isinf()] = torch.inf
        exact, found = squared.cpu().numpy(), rows.cpu().numpy()
        first = np.lexsort((found, exact), axis=1)[:, :k]
        exact, found = np.take_along_axis(exact, first, 1), np.take_along_axis(found, first, 1)
        return exact, np.where(np.isinf(exact), -1, found)
