"""Backbone and aggregation as one ONNX graph (needs torch; fitting only)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from onlygood.errors import ParameterError, require
from onlygood.features.aggregation import build_aggregator
from onlygood.features.architectures import Backbone
from onlygood.features.backbones import BackboneSpec, find_backbone
from onlygood.features.folding import fold
from onlygood.features.graph import FeatureGraph, GraphSpec
from onlygood.features.weights import Weights, load_network, resolve

OPSET = 17


class _Patches(nn.Module):
    """uint8 images `(n, s, s, 3)` -> patch features `(n, h, w, dim)`, and the embedding `(n, E)` if there is one."""

    def __init__(self, spec: BackboneSpec, network: Backbone, layers: Sequence[str], aggregator: nn.Module) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.network, self.layers, self.aggregator = network, tuple(layers), aggregator
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / torch.tensor(spec.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = (images.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        found = self.aggregator(self.network.feature_maps(x, self.layers))
        if isinstance(found, tuple):
            return found[0].permute(0, 2, 3, 1), found[1]
        return found.permute(0, 2, 3, 1)


def build_feature_graph(
    backbone: str = "efficientnet_lite0",
    *,
    size: int = 256,
    layers: Sequence[str] | None = None,
    aggregator: str = "concat",
    patch: int = 3,
    weights: str | Path | None = None,
    threads: int | None = None,
) -> FeatureGraph:
    """Load a backbone and export it, truncated behind the last layer used.

    Args:
        backbone: Short name or id of the registry.
        size: Input side in pixels; a multiple of 32 from 64 to 2048.
        layers: Steps whose maps are used; None for the backbone's own default.
        aggregator: Name, as `features.aggregation.build_aggregator` takes it.
        patch: Side of the neighbourhood of `concat` and `adaptive`, in cells; odd.
        weights: A weight file, `"random"`, or None to look for the published ones.
        threads: Threads of one call; None for all cores.

    Raises:
        ParameterError, WeightsError, MissingDependencyError: As named.
    """
    spec = find_backbone(backbone)
    found = resolve(spec, weights)
    graph = _exported(spec, found, size, None if layers is None else tuple(layers), aggregator, patch)
    return FeatureGraph(graph.onnx, graph.spec, threads)


@lru_cache(maxsize=8)
def _exported(
    spec: BackboneSpec, weights: Weights, size: int, layers: tuple[str, ...] | None, aggregator: str, patch: int
) -> FeatureGraph:
    """Many fits in one process want the same graph; `weights` holds the hash of the file."""
    return export_network(spec, load_network(spec, weights), weights, size, layers, aggregator, patch=patch)


def export_network(
    spec: BackboneSpec,
    network: Backbone,
    weights: Weights,
    size: int,
    layers: Sequence[str] | None,
    aggregator: str,
    *,
    patch: int = 3,
    fine_tuned: str = "",
    threads: int | None = None,
) -> FeatureGraph:
    """Export a network that is loaded already (or fine-tuned); arguments as `build_feature_graph`."""
    require("onnx", "fit", "Exporting the feature graph")
    if size % 32 or not 64 <= size <= 2048:
        raise ParameterError(f"size={size}: the input side is a multiple of 32 from 64 to 2048.")
    layers = tuple(layers or _default_layers(aggregator, spec, network))
    used = (*layers, network.last) if aggregator == "pyramid" else layers
    network.eval()
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with torch.no_grad():
        maps = network.feature_maps(torch.zeros(1, 3, 64, 64), used)
        combine = build_aggregator(aggregator, [m.shape[1] for m in maps], spec.adaptive_dim, patch)
        module = _Patches(spec, network, used, combine).eval()
        found = module(example)
    patches, embedding = found if isinstance(found, tuple) else (found, None)
    _, h, w, dim = patches.shape
    outputs = ["patches"] if embedding is None else ["patches", "embedding"]
    onnx = to_onnx(module, {"images": example}, outputs)
    # of a file that was brought along only its owner knows the licence
    license = spec.license if weights.id == spec.id else ""
    graph_spec = GraphSpec(
        weights.id,
        weights.sha256,
        license,
        layers,
        aggregator,
        size,
        (h, w),
        dim,
        fine_tuned,
        patch=patch,
        embedding=0 if embedding is None else embedding.shape[1],
    )
    return FeatureGraph(onnx, graph_spec, threads)


def _default_layers(aggregator: str, spec: BackboneSpec, network: Backbone) -> tuple[str, ...]:
    if aggregator == "pooled":
        return (network.last,)
    return spec.pyramid if aggregator in ("stacked", "pyramid") else spec.layers


def to_onnx(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> bytes:
    """A module as a serialised ONNX graph with folded constants; the module is in evaluation mode afterwards.

    Args:
        module: Takes the inputs in their order; gives one tensor, or a tuple of several.
        inputs: Name and example of each; the first dimension is free in the graph, the others are fixed.
        outputs: Names.

    Raises:
        MissingDependencyError: The package onnx is not installed.
    """
    require("onnx", "fit", "Exporting a graph")
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # the newer exporter would add three packages and a minute for the same graph
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    return fold(buffer.getvalue())
