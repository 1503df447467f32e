"""SimpleNet's networks and losses (Liu et al., CVPR 2023, sections 3.2 to 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onlygood.methods.networks.merging import merged

#: Slope of the leaky ReLUs (section 4.3).
SLOPE = 0.2


def feature_adaptor(kind: str, dim: int, bias: bool) -> nn.Module:
    """The feature adaptor G, `(m, dim)` -> `(m, dim)` (section 3.2 and Table 3).

    Args:
        kind: `linear`: one fully connected layer. `complex`: with one hidden layer of the same width and a leaky
            ReLU; the paper says "1 layer MLPs with nonlinearity" and no more. `none`: the features as they are.
        dim: Length of a feature.
        bias: Whether the layers have one: not in the paper, in the released code.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(dim, dim, bias=bias)
    return nn.Sequential(nn.Linear(dim, dim, bias=bias), nn.LeakyReLU(SLOPE), nn.Linear(dim, dim, bias=bias))


def discriminator(dim: int, hidden: int) -> nn.Sequential:
    """The discriminator D, `(m, dim)` -> normality `(m, 1)` (sections 3.4 and 4.3).

    The paper names the layers. Their width, and that the last one has no bias, are the released code's.
    """
    return nn.Sequential(
        nn.Linear(dim, hidden),
        nn.BatchNorm1d(hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, 1, bias=False),
    )


class SimpleNetHead(nn.Module):
    """Adaptor and discriminator: features `(n, h, w, dim)` -> anomaly scores -D(G(o)) `(n, h, w)` (eq. 9)."""

    def __init__(self, dim: int, adaptor: str = "linear", bias: bool = False, hidden: int = 1024) -> None:
        super().__init__()
        self.adaptor = feature_adaptor(adaptor, dim, bias)
        self.discriminator = discriminator(dim, hidden)
        self.apply(_xavier)

    def forward(self, features: Tensor) -> Tensor:
        """Anomaly scores."""
        return -self.discriminator(self.adaptor(features.flatten(0, 2))).reshape(features.shape[:3])

    def normality(self, features: Tensor, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """D of adapted features q and of q with Gaussian noise (eq. 6), `(m,)` each, from features `(m, dim)`.

        Both go through the discriminator together, so that its batch normalisation sees the mixture (released code):
        with statistics of their own, true and fake features would be moved onto each other.
        """
        adapted = self.adaptor(features)
        epsilon = torch.randn(adapted.shape, generator=generator, device=adapted.device) * noise
        both = self.discriminator(torch.cat([adapted, adapted + epsilon])).squeeze(1)
        true, fake = both.split(len(features))
        return true, fake

    def exported(self) -> nn.Module:
        """The same scores with as few matrix products as can be, for inspecting."""
        return _Negated(merged([self.adaptor, self.discriminator]))


class _Negated(nn.Module):
    def __init__(self, normality: nn.Module) -> None:
        super().__init__()
        self.normality = normality

    def forward(self, features: Tensor) -> Tensor:
        return -self.normality(features).squeeze(-1)


def truncated_l1(true: Tensor, fake: Tensor, margin: float = 0.5) -> Tensor:
    """Mean over locations of max(0, th - D(q)) + max(0, th + D(q-)) (eqs. 7 and 8), th = `margin`."""
    return (F.relu(margin - true) + F.relu(margin + fake)).mean()


def cross_entropy(true: Tensor, fake: Tensor, margin: float = 0.5) -> Tensor:
    """Mean over locations of -log s(D(q)) - log(1 - s(D(q-))), s the logistic function (Table 3, "Ours-CE")."""
    return (F.softplus(-true) + F.softplus(fake)).mean()


LOSSES = {"truncated_l1": truncated_l1, "cross_entropy": cross_entropy}


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
