"""ULSAD's networks and losses (Patra and Ben Taieb, "Revisiting Deep Feature Reconstruction", TMLR 2024); needs torch.

Letters are the paper's. U: standardised patch features of the frozen backbone. The local branch, the feature
reconstruction network (FRN), maps U to U' (a reconstruction of U) and U'' (a prediction of what the global branch will
say). The global branch, an autoencoder-like network, maps the whole image through a bottleneck of one position to Û.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Consistency = Literal["attention", "plain", "none"]
Distance = Literal["mean", "sum"]

#: ImageNet statistics of RGB in 0..1, with which the global branch sees the image.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
#: Keeps cosines of vectors of no length, and features that never vary, finite.
EPS = 1e-8
NORM_EPS = 1e-5


@dataclass(frozen=True)
class Variant:
    """Where the paper's tables, the released code and our default disagree.

    Attributes:
        norm_first: Convolution, normalisation, ReLU (released); else convolution, ReLU, normalisation (tables 5 and 6
            read from top to bottom).
        relu_inside: Whether the FRN's third convolution, its bottleneck, has a ReLU.
        relu_features: Whether the FRN ends in a ReLU; then U' and U'' cannot be negative unless a normalisation
            follows.
        relu_global: Whether the global branch ends in a ReLU.
        bottleneck_padding: Of the global branch's last encoding convolution.
        resizes: Sizes of the first five resizes of the global branch's decoder as `(divisor of the input side, added)`.
    """

    norm_first: bool
    relu_inside: bool
    relu_features: bool
    relu_global: bool
    bottleneck_padding: int
    resizes: tuple[tuple[int, int], ...]


_RELEASED_RESIZES = ((64, -1), (32, 0), (16, -1), (8, -1), (4, -1))  # 3, 8, 15, 31, 63 at 256 pixels
_PAPER_RESIZES = ((8, -1), (32, 0), (16, 0), (8, 0), (4, 0))  # 31, 8, 16, 32, 64 at 256 pixels

VARIANTS = {
    # as released, but able to say negative numbers: about half of the standardised targets are
    "signed": Variant(True, False, False, False, 0, _RELEASED_RESIZES),
    "released": Variant(True, False, True, False, 0, _RELEASED_RESIZES),
    "paper": Variant(False, True, True, True, 1, _PAPER_RESIZES),
}


class FeatureReconstruction(nn.Module):
    """The feature reconstruction network (FRN; section 3.2, Table 5): U -> U', U''.

    Two halvings of the grid to a bottleneck, two doublings, and a 5x5 (transposed) convolution to twice the channels.
    Where Table 5 cannot be (384 channels, and padding 1 that makes 34x34 of 32x32) every variant follows section 3.2:
    2 c* channels on the grid of U.

    Args:
        channels: c*, channels of U.
        variant: Variant.
        width: Multiplies the hidden channels; 1 is the paper's 2, 4, 4, 2, 1 times c*.
    """

    def __init__(self, channels: int, variant: Variant, width: float = 1.0) -> None:
        super().__init__()
        self.channels = channels
        wide, widest, narrow = (max(1, round(width * times * channels)) for times in (2, 4, 1))
        steps: list[tuple[nn.Module, int, bool]] = [
            (nn.Conv2d(channels, wide, 3, 2, 1), wide, True),
            (nn.Conv2d(wide, widest, 3, 2, 1), widest, True),
            (nn.Conv2d(widest, widest, 3, 1, 1), widest, variant.relu_inside),
            (nn.ConvTranspose2d(widest, wide, 4, 2, 1), wide, True),
            (nn.ConvTranspose2d(wide, narrow, 4, 2, 1), narrow, True),
            (nn.ConvTranspose2d(narrow, 2 * channels, 5, 1, 2), 2 * channels, variant.relu_features),
        ]
        modules: list[nn.Module] = []
        for convolution, out, relu in steps:
            weight = cast(Tensor, convolution.weight)
            nn.init.xavier_uniform_(weight, nn.init.calculate_gain("leaky_relu"))
            modules += [convolution, *_behind(nn.BatchNorm2d(out), relu, variant.norm_first)]
        self.layers = nn.Sequential(*modules)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """U `(n, c, h, w)` -> U', U'', each of the same shape."""
        h, w = features.shape[-2:]
        both = self.layers(features)[..., :h, :w]  # a grid that is no multiple of 4 comes back larger
        return both[:, : self.channels], both[:, self.channels :]


class GlobalAutoencoder(nn.Module):
    """The autoencoder-like global branch (section 3.3, Table 6): image -> Û on the grid of the features.

    At 256 pixels the bottleneck's kernel is 8x8, as in the paper. At other sizes it is the input side over 32, so that
    the bottleneck stays one position wide, and the decoder's resizes grow along.

    Args:
        size: Input side in pixels, a multiple of 32.
        channels: c*, channels of the features.
        grid: `(h, w)` of the features.
        variant: Variant.
    """

    def __init__(self, size: int, channels: int, grid: Sequence[int], variant: Variant) -> None:
        super().__init__()
        self.grid = (int(grid[0]), int(grid[1]))
        self.resizes = [max(1, size // divisor + added) for divisor, added in variant.resizes]
        inputs, modules = 3, list[nn.Module]()
        encoding = [(4, 2, 1, out) for out in (32, 32, 64, 64, 64)]
        encoding.append((size // 32, 1, variant.bottleneck_padding, 64))
        for kernel, stride, padding, out in encoding:
            norm = nn.BatchNorm2d(out, eps=1e-4, affine=False)
            modules += [nn.Conv2d(inputs, out, kernel, stride, padding), *_behind(norm, True, variant.norm_first)]
            inputs = out
        self.encoder = nn.Sequential(*modules)
        self.decoder = nn.ModuleList()
        for kernel, padding in [(4, 2)] * 5 + [(3, 1)]:
            norm = nn.BatchNorm2d(64, eps=1e-4, affine=False)
            convolution = nn.Conv2d(64, 64, kernel, 1, padding)
            self.decoder.append(nn.Sequential(convolution, *_behind(norm, True, variant.norm_first)))
        self.last = nn.Sequential(nn.Conv2d(64, channels, 3, 1, 1), *([nn.ReLU()] if variant.relu_global else []))

    def forward(self, images: Tensor) -> Tensor:
        """Images float `(n, 3, s, s)`, normalised -> Û `(n, c, h, w)`."""
        x = self.encoder(images)
        for side, layer in zip([*((s, s) for s in self.resizes), self.grid], self.decoder, strict=True):
            x = layer(F.interpolate(x, size=side, mode="bilinear", align_corners=False))
        return cast(Tensor, self.last(x))


def attention(queries: Tensor, keys: Tensor) -> Tensor:
    """The attention map of equations 3 and 4: for each position of `queries` the mean of `keys`, weighted by likeness.

    `A[:, q] = sum over p of softmax over p (z_p . ẑ_q / sqrt(c)) z_p`. With `queries` equal to `keys` it is the
    self-attention map A, with the global branch's output as queries the cross-attention map Â. It has no parameters.

    Args:
        queries: `(n, c, h, w)`.
        keys: `(n, c, h, w)`, also the values.

    Returns:
        `(n, c, h, w)`.
    """
    z, asking = (m.flatten(2).transpose(1, 2)[:, None] for m in (keys, queries))  # with one head, for the fast kernel
    return F.scaled_dot_product_attention(asking, z, z)[:, 0].transpose(1, 2).reshape(queries.shape)


def discrepancy(x: Tensor, y: Tensor, weight: float, distance: Distance = "mean") -> Tensor:
    """How far two feature maps are apart, at each position: l_v + weight * l_d (equations 2, 7 and 8).

    Args:
        x, y: `(n, c, h, w)`.
        weight: lambda, of the direction's part, one minus the cosine.
        distance: The squared difference is the `sum` over channels (the text) or their `mean` (the released code).

    Returns:
        `(n, h, w)`.
    """
    squared = (x - y).square()
    apart = squared.mean(dim=1) if distance == "mean" else squared.sum(dim=1)
    lengths = x.square().sum(dim=1).clamp_min(EPS).sqrt() * y.square().sum(dim=1).clamp_min(EPS).sqrt()
    return apart + weight * (1 - (x * y).sum(dim=1) / lengths)


class Branches(nn.Module):
    """Both branches: standardised features, their maps and the losses.

    Args:
        size: Input side in pixels.
        channels: c*, channels of the features.
        grid: `(h, w)` of the features.
        variant: Key of `VARIANTS`.
        width: Of the FRN's hidden layers.
        lambda_local: lambda_l.
        lambda_global: lambda_g, also that of the attention maps.
        distance: As for `discrepancy`.
        consistency: What ties Û to U: `attention` maps (L_pg), `plain` discrepancy (L^d_pg of Table 3), or `none`: the
            local branch alone.
        local_global: Whether U'' learns to predict Û (L_lg).
    """

    def __init__(
        self,
        size: int,
        channels: int,
        grid: Sequence[int],
        *,
        variant: str = "signed",
        width: float = 1.0,
        lambda_local: float = 0.5,
        lambda_global: float = 0.5,
        distance: Distance = "mean",
        consistency: Consistency = "attention",
        local_global: bool = True,
    ) -> None:
        super().__init__()
        self.lambda_local, self.lambda_global, self.distance = lambda_local, lambda_global, distance
        self.consistency, self.local_global = consistency, local_global
        self.mean: Tensor
        self.scale: Tensor
        self.image_mean: Tensor
        self.image_scale: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("image_mean", 255 * torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("image_scale", 1 / (255 * torch.tensor(IMAGE_STD).view(1, 3, 1, 1)))
        self.local = FeatureReconstruction(channels, VARIANTS[variant], width)
        self.overall: GlobalAutoencoder | None = None
        if consistency != "none":
            self.overall = GlobalAutoencoder(size, channels, grid, VARIANTS[variant])

    def standardise_by(self, mean: Tensor, variance: Tensor) -> None:
        """Set the features' statistics, `(c,)` each; a channel that never varies is only centred."""
        flat = variance <= NORM_EPS**2
        scale = torch.where(flat, torch.ones_like(variance), variance.clamp_min(NORM_EPS**2).rsqrt())
        self.mean.copy_(mean.view_as(self.mean))
        self.scale.copy_(scale.view_as(self.scale))

    def standardised(self, patches: Tensor) -> Tensor:
        """Patch features `(n, h, w, c)` -> U `(n, c, h, w)`."""
        return (patches.permute(0, 3, 1, 2) - self.mean) * self.scale

    def discrepancies(self, patches: Tensor, images: Tensor | None, own: Tensor | None = None) -> dict[str, Tensor]:
        """The discrepancies that are trained, by name, `(n, h, w)` each; the loss is the sum of their means.

        Args:
            patches: Patch features float `(n, h, w, c)`.
            images: uint8 `(n, s, s, 3)`; not needed for the local branch alone.
            own: The self-attention maps A of U `(n, c, h, w)`, where they are known already.
        """
        u = self.standardised(patches)
        u_local, u_global = self.local(u)
        terms = {"local": discrepancy(u_local, u, self.lambda_local, self.distance)}  # equation 1
        if self.overall is None or images is None:
            return terms
        seen = self.overall((images.permute(0, 3, 1, 2).float() - self.image_mean) * self.image_scale)
        if self.consistency == "attention":  # equation 5
            terms["consistency"] = self._apart(attention(seen, u), attention(u, u) if own is None else own)
        else:
            terms["consistency"] = self._apart(seen, u)
        if self.local_global:  # equation 6
            terms["local-global"] = self._apart(u_global, seen)
        return terms

    def loss(self, patches: Tensor, images: Tensor | None, own: Tensor | None = None) -> Tensor:
        """L_pl + L_pg + L_lg (Algorithm 1), each the mean over positions and images; arguments as `discrepancies`."""
        return torch.stack([term.mean() for term in self.discrepancies(patches, images, own).values()]).sum()

    def forward(self, patches: Tensor, images: Tensor | None = None) -> Tensor:
        """The maps M^l and M^g (equations 7 and 8), before normalisation: what the losses are means of.

        Without L_lg there is no U'' to compare Û with; then M^g is the discrepancy that the consistency loss trained.
        The paper does not say what it used there.

        Args:
            patches: Patch features float `(n, h, w, c)`.
            images: uint8 `(n, s, s, 3)`; not needed for the local branch alone.

        Returns:
            `(n, 2, h, w)`: local, global; `(n, 1, h, w)` for the local branch alone.
        """
        terms = self.discrepancies(patches, images)
        maps = [terms["local"]]
        if self.overall is not None:
            maps.append(terms["local-global" if self.local_global else "consistency"])
        return torch.stack(maps, dim=1)

    @property
    def map_count(self) -> int:
        """Maps that `forward` gives."""
        return 1 if self.overall is None else 2

    def _apart(self, x: Tensor, y: Tensor) -> Tensor:
        return discrepancy(x, y, self.lambda_global, self.distance)


class NormalisedMaps(nn.Module):
    """Maps on a common scale and their mean M (section 3.5): quantile a of good patches becomes 0, quantile b 0.1.

    Args:
        branches: Trained.
        quantiles: `(maps, 2)`: q_a and q_b of each map; None to leave the maps as they are.
    """

    def __init__(self, branches: Branches, quantiles: Tensor | None = None) -> None:
        super().__init__()
        self.branches = branches
        self.start: Tensor
        self.rate: Tensor
        if quantiles is None:
            quantiles = torch.tensor([[0.0, 0.1]]).repeat(branches.map_count, 1)
        low, high = quantiles.double().unbind(1)
        apart = torch.maximum(high - low, 1e-6 * high.abs().clamp_min(1e-6))
        self.register_buffer("start", low.float().view(1, -1, 1, 1))
        self.register_buffer("rate", (0.1 / apart).float().view(1, -1, 1, 1))

    def forward(self, patches: Tensor, images: Tensor | None = None) -> tuple[Tensor, ...]:
        """M `(n, h, w)`, then each map; the local branch alone is M itself. Arguments as `Branches`."""
        maps = self.rate * (self.branches(patches, images) - self.start)
        return (maps.mean(dim=1), *(maps.unbind(dim=1) if maps.shape[1] > 1 else ()))


def _behind(norm: nn.Module, relu: bool, norm_first: bool) -> list[nn.Module]:
    """What follows a convolution, in the variant's order."""
    act: list[nn.Module] = [nn.ReLU()] if relu else []
    return [norm, *act] if norm_first else [*act, norm]
