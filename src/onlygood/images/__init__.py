"""Reading, checking and preparing images; folder layouts and data sets."""

from onlygood.images.layouts import Sample, find_good_images, find_labelled_images
from onlygood.images.preparing import resize
from onlygood.images.reading import read_image, read_mask, read_masks
from onlygood.images.scans import DepthMap, read_points, resize_points
from onlygood.images.sources import ImageSource, as_sources

__all__ = [
    "DepthMap",
    "ImageSource",
    "Sample",
    "as_sources",
    "find_good_images",
    "find_labelled_images",
    "read_image",
    "read_mask",
    "read_masks",
    "read_points",
    "resize",
    "resize_points",
]
