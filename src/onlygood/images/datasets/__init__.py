"""Benchmark data sets on disk: one type for all, recognised by their layout, compared with what was published."""

from onlygood.images.datasets.base import Category, DataSet, Problem, Saturation
from onlygood.images.datasets.checking import Check, check_dataset
from onlygood.images.datasets.registry import LAYOUTS, Recognition, open_dataset, read_dataset, recognise

__all__ = [
    "LAYOUTS",
    "Category",
    "Check",
    "DataSet",
    "Problem",
    "Recognition",
    "Saturation",
    "check_dataset",
    "open_dataset",
    "read_dataset",
    "recognise",
]
