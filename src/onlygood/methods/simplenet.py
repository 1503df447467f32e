"""SimpleNet: a discriminator of noisy features (Liu, Zhou, Xu and Wang, CVPR 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from onlygood.errors import ParameterError
from onlygood.images import ImageSource
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.trained import TrainedDetector
from onlygood.progress import Report

if TYPE_CHECKING:
    from torch import Tensor, nn

ADAPTORS = ("linear", "complex", "none")
LOSS_NAMES = ("truncated_l1", "cross_entropy")


@dataclass(kw_only=True, eq=False)
class SimpleNet(TrainedDetector):
    """Patch features are adapted, fake ones are made of them by noise, and a small network learns to tell them apart.

    Args:
        adaptor: `linear`, `complex` (one hidden layer) or `none` (section 3.2, Table 3).
        adaptor_bias: Whether its layers have a bias.
        noise: Standard deviation of the noise of fake features (eq. 6).
        hidden: Width of the discriminator's hidden layer.
        loss: `truncated_l1` (eq. 7) or `cross_entropy`.
        margin: The truncation th of eq. 7.
        epochs: Passes over the training images.
        batch: Images of an update.
        patches: Share of the patches of each image that an update uses, drawn at random.
        adaptor_rate: Learning rate of the adaptor.
        adaptor_optimiser: `adam` or `adamw`.
        adaptor_decay: Its weight decay.
        discriminator_rate: Learning rate of the discriminator (Adam).
        discriminator_decay: Its weight decay.
    """

    adaptor: str = "linear"
    adaptor_bias: bool = False
    noise: float = 0.015
    hidden: int = 1024
    loss: str = "truncated_l1"
    margin: float = 0.5
    epochs: int = 10
    batch: int = 8
    patches: float = 1.0
    adaptor_rate: float = 1e-4
    adaptor_optimiser: str = "adam"
    adaptor_decay: float = 1e-5
    discriminator_rate: float = 2e-4
    discriminator_decay: float = 1e-5

    method: ClassVar[str] = "simplenet"

    def _train(self, features: FeatureCache, sources: Sequence[ImageSource], report: Report) -> nn.Module:
        import torch

        from onlygood.methods.networks.simplenet import LOSSES, SimpleNetHead
        from onlygood.methods.networks.training import run_epochs, seeded

        n, h, w, dim = features.shape
        kept = max(1, round(self.patches * h * w))
        with seeded(self.seed, self.threads) as generator:
            head = SimpleNetHead(dim, self.adaptor, self.adaptor_bias, self.hidden).train()
            optimisers = self._optimisers(head)

            def epoch(number: int) -> Iterator[Tensor]:
                for images in torch.randperm(n, generator=generator).split(self.batch):
                    o = torch.from_numpy(features[images.numpy()]).flatten(1, 2)
                    if kept < h * w:
                        o = o[:, torch.randperm(h * w, generator=generator)[:kept]]
                    true, fake = head.normality(o.flatten(0, 1), self.noise, generator)
                    loss = LOSSES[self.loss](true, fake, self.margin)
                    for optimiser in optimisers:
                        optimiser.zero_grad()
                    loss.backward()
                    for optimiser in optimisers:
                        optimiser.step()
                    yield loss

            outcome = run_epochs(self.epochs, math.ceil(n / self.batch), epoch, report)
        self.training_.notes["training"] = str(outcome)
        return head

    def _optimisers(self, head: Any) -> list[Any]:
        import torch

        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        found = [
            torch.optim.Adam(
                head.discriminator.parameters(), self.discriminator_rate, weight_decay=self.discriminator_decay
            )
        ]
        if self.adaptor != "none":
            kind = kinds[self.adaptor_optimiser]
            found.append(kind(head.adaptor.parameters(), self.adaptor_rate, weight_decay=self.adaptor_decay))
        return found

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, value, known in (("adaptor", self.adaptor, ADAPTORS), ("loss", self.loss, LOSS_NAMES)):
            if value not in known:
                raise ParameterError(f"Unknown {name} {value!r}. Known are: {', '.join(known)}")
