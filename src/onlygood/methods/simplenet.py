"""SimpleNet: a discriminator of features and noisy features (Liu, Zhou, Xu and Wang, CVPR 2023)."""

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
    from torch.optim import Optimizer

    from onlygood.methods.networks.simplenet import SimpleNetHead

ADAPTORS = ("linear", "complex", "none")
LOSSES = ("truncated_l1", "cross_entropy")
OPTIMISERS = ("adam", "adamw")
#: `absolute`: as the features come. `std`: in units of their standard deviation, the mean over channels.
NOISE_UNITS = ("std", "absolute")

#: With fewer patches in an update, several threads cost more than they save.
WORTH_THREADS = 4096


@dataclass(kw_only=True, eq=False)
class SimpleNet(TrainedDetector):
    """Features are adapted, fake ones are made of them by noise, and a small network learns to tell them apart.

    Args:
        adaptor: `linear`, `complex` (one hidden layer) or `none` (section 3.2, Table 3).
        adaptor_bias: Whether its layers have a bias.
        noise: Standard deviation of the noise of fake features (eq. 6).
        noise_unit: `std`: in units of the features' own standard deviation, so that it suits any backbone.
            `absolute`, as in the paper, whose 0.015 belongs to WideResNet-50.
        hidden: Width of the discriminator's hidden layer.
        loss: `truncated_l1` (eq. 7) or `cross_entropy` (Table 3).
        margin: th of eq. 7.
        epochs: Passes over the training images, at least.
        updates: Updates, at least: a small folder gets more passes.
        batch: Images of an update.
        patches: Share of each image's patches that an update takes, at places drawn at random; the paper takes all.
        adaptor_rate: Learning rate of the adaptor.
        adaptor_optimiser: `adam` or `adamw`.
        adaptor_decay: Weight decay of the adaptor.
        discriminator_rate: Learning rate of the discriminator (Adam).
        discriminator_decay: Weight decay of the discriminator.

    The head after the last epoch is kept. The released code keeps the one that does best on the test images:
    `onlygood.evaluation.training_curve` shows what that is worth.
    """

    adaptor: str = "linear"
    adaptor_bias: bool = False
    noise: float = 0.5
    noise_unit: str = "std"
    hidden: int = 256
    loss: str = "truncated_l1"
    margin: float = 0.5
    epochs: int = 160
    updates: int = 1000
    batch: int = 8
    patches: float = 0.125
    adaptor_rate: float = 1e-4
    adaptor_optimiser: str = "adam"
    adaptor_decay: float = 1e-5
    discriminator_rate: float = 2e-4
    discriminator_decay: float = 1e-5

    method: ClassVar[str] = "simplenet"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "size": 224,
            "image_score": "max",
            "noise": 0.015,
            "noise_unit": "absolute",
            "hidden": 1024,  # the paper names no width
            "updates": 1,
            "batch": 4,
            "patches": 1.0,
        },
        "released": {
            "size": 288,
            "aggregator": "adaptive_wide",
            "image_score": "max",
            "adaptor_bias": True,
            "noise": 0.015,
            "noise_unit": "absolute",
            "hidden": 1024,
            "updates": 1,
            "patches": 1.0,
            "adaptor_optimiser": "adamw",
            "adaptor_decay": 0.01,
        },
        "quick": {"epochs": 40, "updates": 400},
    }

    def _train(self, features: FeatureCache, sources: Sequence[ImageSource], report: Report) -> nn.Module:
        """Algorithm 1."""
        import torch

        from onlygood.methods.networks import simplenet
        from onlygood.methods.networks.training import run_epochs, seeded, training_device

        n, h, w, dim = features.shape
        steps = math.ceil(n / self.batch)
        epochs = max(self.epochs, math.ceil(self.updates / steps))
        taken = max(1, round(self.patches * h * w))
        sigma = self.noise * (features.std() or 1.0) if self.noise_unit == "std" else self.noise
        loss_of = {"truncated_l1": simplenet.truncated_l1, "cross_entropy": simplenet.cross_entropy}[self.loss]
        one_thread = self.threads is None and self.batch * taken < WORTH_THREADS
        device = training_device(self.device)
        noise = torch.Generator(device).manual_seed(self.seed)
        with seeded(self.seed, 1 if one_thread else self.threads) as order:
            head = simplenet.SimpleNetHead(dim, self.adaptor, self.adaptor_bias, self.hidden).to(device)
            optimisers = self._optimisers(head)

            def epoch(number: int) -> Iterator[Tensor]:
                head.train()
                for images in torch.randperm(n, generator=order).split(self.batch):
                    o = torch.from_numpy(features[images.numpy()]).flatten(1, 2)
                    if taken < h * w:
                        o = o[:, torch.randperm(h * w, generator=order)[:taken]]
                    true, fake = head.normality(o.flatten(0, 1).to(device), sigma, noise)
                    loss = loss_of(true, fake, self.margin)
                    for optimiser in optimisers:
                        optimiser.zero_grad()
                    loss.backward()
                    for optimiser in optimisers:
                        optimiser.step()
                    yield loss

            outcome = run_epochs(epochs, steps, epoch, report, lambda number: self._watch(number, epochs, head))
        self.training_.notes.update({"trained": str(outcome), "noise": round(sigma, 6)})
        return head.cpu().eval().exported()

    def _optimisers(self, head: SimpleNetHead) -> list[Optimizer]:
        from torch.optim import Adam, AdamW

        discriminator = Adam(
            head.discriminator.parameters(), self.discriminator_rate, weight_decay=self.discriminator_decay
        )
        if self.adaptor == "none":
            return [discriminator]
        kind = AdamW if self.adaptor_optimiser == "adamw" else Adam
        return [kind(head.adaptor.parameters(), self.adaptor_rate, weight_decay=self.adaptor_decay), discriminator]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, known in (
            ("adaptor", ADAPTORS),
            ("noise_unit", NOISE_UNITS),
            ("loss", LOSSES),
            ("adaptor_optimiser", OPTIMISERS),
        ):
            self._check_known(name, known)
        for name in ("hidden", "epochs", "updates", "batch"):
            self._check_whole(name, 1)
        for name in ("noise", "margin", "adaptor_rate", "discriminator_rate"):
            self._check_number(name)
        for name in ("adaptor_decay", "discriminator_decay"):
            self._check_number(name, zero=True)
        if not 0 < self.patches <= 1:
            raise ParameterError(f"patches={self.patches}: the share of an image's patches is above 0, at most 1.")
