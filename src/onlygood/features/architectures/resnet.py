"""ResNet-18/50/101/152 (He et al. 2016) and Wide-ResNet-50/101-2, with torchvision's and timm's names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from onlygood.features.architectures.base import Backbone


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, c_in: int, channels: int, stride: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(c_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c_in: int, channels: int, stride: int, width: int) -> None:
        super().__init__()
        inner, c_out = channels * width, channels * self.expansion
        self.conv1 = nn.Conv2d(c_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    if c_in == c_out and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


class ResNet(Backbone):
    """Steps: `stem`, `layer1` (stride 4), `layer2` (8), `layer3` (16), `layer4` (32)."""

    last = "layer4"
    classifier = ("fc.",)

    def __init__(self, block: type[_Basic] | type[_Bottleneck], depths: tuple[int, ...], width: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        c_in = 64
        for number, depth in enumerate(depths):
            channels = 64 * 2**number
            blocks = []
            for repeat in range(depth):
                stride = 2 if number > 0 and repeat == 0 else 1
                blocks.append(block(c_in, channels, stride, width))
                c_in = channels * block.expansion
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        """Stem and the four stages."""
        yield "stem", nn.Sequential(self.conv1, self.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        for number in range(1, 5):
            yield f"layer{number}", self.get_submodule(f"layer{number}")


BUILDERS = {
    "resnet18": partial(ResNet, _Basic, (2, 2, 2, 2)),
    "resnet50": partial(ResNet, _Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, _Bottleneck, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, _Bottleneck, (3, 8, 36, 3)),
    "wide_resnet50_2": partial(ResNet, _Bottleneck, (3, 4, 6, 3), 2),
    "wide_resnet101_2": partial(ResNet, _Bottleneck, (3, 4, 23, 3), 2),
}
