"""VGG11 with batch normalisation (Simonyan and Zisserman 2015), with torchvision's names."""

from __future__ import annotations

from torch import nn

from onlygood.features.architectures.base import SequenceBackbone

LAYOUT = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")


class VGG11BN(SequenceBackbone):
    """Steps `features.0` ... `features.28`; REB uses the raw convolutions `features.15` and `features.22`."""

    last = "features.28"
    classifier = ("classifier.",)

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        c_in = 3
        for channels in LAYOUT:
            if isinstance(channels, str):
                steps.append(nn.MaxPool2d(2, 2))
                continue
            # not in place: the raw output of a convolution may be a feature map that is kept
            steps += [nn.Conv2d(c_in, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU()]
            c_in = channels
        self.features = nn.Sequential(*steps)


BUILDERS = {"vgg11_bn": VGG11BN}
