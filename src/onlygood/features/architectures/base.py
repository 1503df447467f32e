"""What every backbone can do: run to named steps and no further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from onlygood.errors import ParameterError


class Backbone(nn.Module):
    """A convolutional network as an ordered list of named steps, without its classifier."""

    #: Name of the step whose global average is the image embedding.
    last: str

    #: Beginnings of the names of published tensors that belong to the classifier, which is not built.
    classifier: tuple[str, ...] = ()

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        """The named steps, first to last."""
        raise NotImplementedError

    def feature_maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Outputs `(n, c, h, w)` of the named steps, in the order asked for; later steps are not run.

        Raises:
            ParameterError: A name is no step of this backbone.
        """
        found: dict[str, Tensor] = {}
        for name, step in self.steps():
            images = step(images)
            if name in layers:
                found[name] = images
                if len(found) == len(set(layers)):
                    return [found[layer] for layer in layers]
        known = ", ".join(name for name, _ in self.steps())
        raise ParameterError(f"Unknown layer in {list(layers)}. This backbone has: {known}")

    def forward(self, images: Tensor) -> Tensor:
        """Image embedding `(n, c)`: global average of the last feature map."""
        return self.feature_maps(images, [self.last])[0].mean(dim=(2, 3))


class SequenceBackbone(Backbone):
    """A backbone that is one sequence, `features`: one step for each numbered module."""

    features: nn.Sequential

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        """`features.0`, `features.1` and so on."""
        for number, module in enumerate(self.features):
            yield f"features.{number}", module


class SamePad(nn.Module):
    """TensorFlow's 'same' padding for an odd kernel: at stride 2 the extra row goes below and right."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pad `(n, c, h, w)` with zeros."""
        pads: list[int] = []
        # plain numbers: the exporter would write the arithmetic of a traced shape into the graph
        for side in (int(x.shape[3]), int(x.shape[2])):
            out = -(-side // self.stride)
            total = max((out - 1) * self.stride + self.kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return nn.functional.pad(x, pads) if any(pads) else x


@torch.no_grad()
def embedding_width(network: Backbone) -> int:
    """Length of the image embedding."""
    training, device = network.training, next(network.parameters()).device
    width = network.eval()(torch.zeros(1, 3, 64, 64, device=device)).shape[1]
    network.train(training)
    return int(width)
