"""Patch vectors -> distances: memory bank, coreset, nearest-neighbour index, local density, k-NN scores."""

from onlygood.memory.bank import MemoryBank
from onlygood.memory.coreset import greedy_coreset
from onlygood.memory.density import local_density
from onlygood.memory.graph import GraphIndex, build_index
from onlygood.memory.index import ExactIndex, NeighbourIndex, scouts_of

__all__ = [
    "ExactIndex",
    "GraphIndex",
    "MemoryBank",
    "NeighbourIndex",
    "build_index",
    "greedy_coreset",
    "local_density",
    "scouts_of",
]
