"""The same network, weights and layers for each peer's `fit`. Runs in onlygood's environment."""

from __future__ import annotations

from typing import Any

from onlygood.features.backbones import find_backbone
from onlygood.features.weights import RANDOM, resolve

#: Our name -> timm's name, and timm's names of the layers whose maps are ours.
ANOMALIB = {
    "efficientnet_lite0": ("tf_efficientnet_lite0", ["blocks.2", "blocks.4"]),
    "resnet18": ("resnet18", ["layer2", "layer3"]),
    "wide_resnet50_2": ("wide_resnet50_2", ["layer2", "layer3"]),
}
#: Those that the benchmarks measure, smallest first.
BACKBONES = tuple(ANOMALIB)


def weights_of(backbone: str) -> str:
    """The weight file that a package ships; `random`, for timing only, where there is none."""
    spec = find_backbone(backbone)
    return str(resolve(spec, allow_download=False).path) if spec.package.startswith("efficientnet") else RANDOM


def for_anomalib(backbone: str, coreset: float, size: int = 256) -> dict[str, Any]:
    """What to ask anomalib's `fit` for."""
    spec, (name, layers), weights = find_backbone(backbone), ANOMALIB[backbone], weights_of(backbone)
    asked = {"backbone": name, "layers": layers, "weights": None if weights == RANDOM else weights, "size": size}
    return asked | {"mean": spec.mean, "std": spec.std, "coreset_ratio": coreset, "num_neighbors": 9}


def for_plain(backbone: str, coreset: float, size: int = 256) -> dict[str, Any]:
    """What to ask the plain `fit` for."""
    layers = list(find_backbone(backbone).layers)
    asked = {"backbone": backbone, "layers": layers, "weights": weights_of(backbone), "size": size}
    return asked | {"coreset_ratio": coreset}


def for_ours(backbone: str, coreset: float, size: int = 256) -> dict[str, Any]:
    """What to ask our `fit` for: the default method, layers and weights."""
    return {"backbone": backbone, "weights": weights_of(backbone), "size": size, "coreset_ratio": coreset}
