"""MobileNetV2 (Sandler et al. 2018), with torchvision's parameter names."""

from __future__ import annotations

from torch import Tensor, nn

from onlygood.features.architectures.base import SequenceBackbone

# expansion, output channels, repeats, stride of each stage
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv_norm_relu(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU6(),
    )


class _InvertedResidual(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        steps: list[nn.Module] = [] if expansion == 1 else [_conv_norm_relu(c_in, wide)]
        steps += [
            _conv_norm_relu(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        ]
        self.conv = nn.Sequential(*steps)
        self.skips = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.skips else self.conv(x)


class MobileNetV2(SequenceBackbone):
    """Steps `features.0` ... `features.17`; the classifier's 1x1 head is not built."""

    last = "features.17"
    classifier = ("features.18.", "classifier.")

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = [_conv_norm_relu(3, 32, 3, 2)]
        c_in = 32
        for expansion, channels, repeats, stride in STAGES:
            for repeat in range(repeats):
                steps.append(_InvertedResidual(c_in, channels, stride if repeat == 0 else 1, expansion))
                c_in = channels
        self.features = nn.Sequential(*steps)


BUILDERS = {"mobilenet_v2": MobileNetV2}
