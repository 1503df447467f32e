"""Neighbouring affine layers multiplied out: the same function in fewer products, for the exported head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


def merged(layers: Iterable[nn.Module]) -> nn.Sequential:
    """Layers in evaluation mode, in order, with every run of linear and batch normalisation layers made one.

    Multiplied in double precision. The result takes any `(..., in)`, where batch normalisation wants `(m, in)`.
    """
    found: list[nn.Module] = []
    for layer in _flat(layers):
        affine = _affine(layer)
        if affine is None:
            found.append(layer)
        elif found and isinstance(found[-1], nn.Linear):
            weight, bias = affine
            found[-1] = _linear(weight @ found[-1].weight.double(), weight @ found[-1].bias.double() + bias)
        else:
            found.append(_linear(*affine))
    return nn.Sequential(*found).float()


def _flat(layers: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            yield from _flat(layer)
        elif not isinstance(layer, nn.Identity):
            yield layer


def _affine(layer: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Weight and bias in double precision; None for a layer that is not affine."""
    if isinstance(layer, nn.Linear):
        weight = layer.weight.detach().double()
        bias = torch.zeros(len(weight)).double() if layer.bias is None else layer.bias.detach().double()
        return weight, bias
    if isinstance(layer, nn.BatchNorm1d):
        assert layer.running_mean is not None and layer.running_var is not None
        scale = layer.weight.detach().double() / (layer.running_var.double() + layer.eps).sqrt()
        return torch.diag(scale), layer.bias.detach().double() - scale * layer.running_mean.double()
    return None


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=torch.float64)  # draws nothing
    layer.weight.data, layer.bias.data = weight, bias
    return layer
