"""ULSAD: structural and logical anomalies by two branches (Patra and Ben Taieb, TMLR 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError
from onlygood.images import ImageSource
from onlygood.images.preparing import resize
from onlygood.methods.base import Features, Scored
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.holding_out import hold_out
from onlygood.methods.trained import TrainedDetector
from onlygood.modelfile import Parts
from onlygood.progress import Report, track

if TYPE_CHECKING:
    from torch import Tensor, nn

    from onlygood.methods.networks.training import Outcome
    from onlygood.methods.networks.ulsad import Branches

VARIANTS = ("signed", "released", "paper")
DISTANCES = ("mean", "sum")
CONSISTENCIES = ("attention", "plain", "none")
SCHEDULES = ("constant", "cosine")
#: Names of the maps: the local branch finds structural anomalies, the global one logical ones.
BRANCHES = ("local", "global")

#: What quantile beta of good patches becomes; no branch is called loud below it.
BETA_LEVEL = 0.1

#: What the text and the released code agree on and we do otherwise.
_PAPER = {"width": 1.0, "most_updates": 0, "learning_rate": 2e-4, "schedule": "constant"}


@dataclass(kw_only=True, eq=False)
class ULSAD(TrainedDetector):
    """Patch features are reconstructed locally, and predicted globally from the whole image; both errors are maps.

    The local branch reconstructs each neighbourhood of patch features through a bottleneck: what it cannot
    reconstruct is a structural anomaly. The global branch sees the whole image through a bottleneck without room
    for places and learns which patch belongs where; where the local branch's guess of it is wrong, the arrangement is:
    a logical anomaly. Both maps are brought to one scale by quantiles of good images and averaged.

    Args:
        variant: Networks as in the `paper`'s tables, as `released`, or `signed`: as released, without the last ReLU.
        width: Multiplies the hidden channels of the local branch; 1 is the paper's.
        lambda_local: lambda_l, weight of the direction (one minus the cosine) beside the distance (eqs. 1 and 7).
        lambda_global: lambda_g, the same for the global branch (eqs. 5, 6 and 8).
        distance: Squared distances are the `mean` over channels (released) or their `sum` (eq. 2).
        consistency: What the global branch is trained with: `attention` maps (L_pg), the `plain` discrepancy of the
            features (L^d_pg), or `none`: the local branch alone (Table 3).
        local_global: Whether the local branch learns to predict the global one (L_lg).
        alpha: Quantile of good patches that becomes 0 on the maps' common scale.
        beta: Quantile that becomes 0.1.
        validation: Share of the good images not held out whose maps set these quantiles; they are neither learned nor
            calibrated with.
        epochs: Passes over the training images.
        most_updates: Training ends after so many updates even if epochs are left; 0 for no limit.
        batch: Images of an update.
        learning_rate: Of Adam.
        schedule: `constant`, or `cosine`: falling to zero.
        weight_decay: Of Adam.
    """

    aggregator: str = "grouped"
    variant: str = "signed"
    width: float = 0.5
    lambda_local: float = 0.5
    lambda_global: float = 0.5
    distance: str = "mean"
    consistency: str = "attention"
    local_global: bool = True
    alpha: float = 0.9
    beta: float = 0.995
    validation: float = 0.1
    epochs: int = 200
    most_updates: int = 1000
    batch: int = 8
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    weight_decay: float = 2e-5

    method: ClassVar[str] = "ulsad"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**_PAPER, "variant": "paper", "distance": "sum", "image_score": "max"},
        "released": {**_PAPER, "variant": "released", "image_score": "map_max"},
        "quick": {"most_updates": 300},
    }

    #: M, then the maps it is the mean of; of the local branch alone the first only.
    outputs: ClassVar[tuple[str, ...]] = ("scores", *BRANCHES)

    # training

    def _train(self, features: FeatureCache, sources: Sequence[ImageSource], report: Report) -> nn.Module:
        from onlygood.methods.networks.training import seeded, training_device
        from onlygood.methods.networks.ulsad import Branches

        learned, checked = self._set_aside()
        images = np.stack(
            [resize(s.read(), self.size, s.name) for s in track(sources, "read images", len(sources), report)]
        )
        with seeded(self.seed, self.threads) as order:
            network = Branches(
                self.size,
                features.shape[-1],
                features.shape[1:3],
                variant=self.variant,
                width=self.width,
                lambda_local=self.lambda_local,
                lambda_global=self.lambda_global,
                distance=cast(Literal["mean", "sum"], self.distance),
                consistency=cast(Literal["attention", "plain", "none"], self.consistency),
                local_global=self.local_global,
            ).to(training_device(self.device))
            network.standardise_by(*channel_statistics(features.subset(learned)))
            of_good = partial(self._with_quantiles, network, features.subset(checked), images[checked])
            outcome = self._learn(network, features.subset(learned), images[learned], order, of_good, report)
        self.training_.notes["trained"] = str(outcome)
        return of_good()

    def _set_aside(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of the images not held out: those to learn from, and those whose maps set the quantiles.

        With a single group of images the quantiles are those of the images learned from, which are too low.
        """
        groups = np.asarray(self.training_.groups)
        groups = groups[~np.isin(groups, groups[self.held_out_])]
        learned, checked = hold_out(groups, self.validation, self.seed + 1)
        return learned, checked if len(checked) else learned

    def _learn(
        self,
        network: Branches,
        features: FeatureCache,
        images: NDArray[np.uint8],
        order: Any,
        of_good: Callable[[], nn.Module],
        report: Report,
    ) -> Outcome:
        """Algorithm 1."""
        import torch

        from onlygood.methods.networks.training import run_epochs

        device = network.mean.device
        own = self._self_attention(network, features, report) if self.consistency == "attention" else None
        steps = max(1, len(features) // self.batch)
        epochs = min(self.epochs, math.ceil(self.most_updates / steps) or self.epochs)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.Adam(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)

        def epoch(number: int) -> Iterator[Tensor]:
            network.train()
            for chosen in batches(len(features), self.batch, order):
                target = None if own is None else torch.from_numpy(own[chosen]).to(device).permute(0, 3, 1, 2)
                u, x = (torch.from_numpy(one[chosen]).to(device) for one in (features, images))
                loss = network.loss(u, x, target)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if self.schedule == "cosine":
                    falling.step()
                yield loss

        def after(number: int) -> None:
            if self._watcher is not None:
                self._watch(number, epochs, of_good())

        outcome = run_epochs(epochs, steps, epoch, report, after)
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return outcome

    def _self_attention(self, network: Branches, features: FeatureCache, report: Report) -> FeatureCache:
        """The self-attention maps A `(n, h, w, c)`: the features are frozen, so they are the same in each epoch."""
        import torch

        from onlygood.methods.networks.ulsad import attention

        def maps() -> Iterator[NDArray[np.float32]]:
            for i in track(range(len(features)), "attention", len(features), report):
                u = network.standardised(torch.from_numpy(features[i : i + 1]).to(network.mean.device))
                yield attention(u, u).permute(0, 2, 3, 1).cpu().numpy()

        return FeatureCache(features.shape).fill(maps())

    def _with_quantiles(self, network: Branches, features: FeatureCache, images: NDArray[np.uint8]) -> nn.Module:
        """The networks with q_alpha and q_beta of each map, over all patches of validation images.

        With the image score `map_max` over all pixels of the enlarged and blurred maps, as released.
        """
        import torch

        from onlygood.methods.networks.ulsad import NormalisedMaps

        network.eval()
        device, values = network.mean.device, list[NDArray[np.float32]]()
        with torch.no_grad():
            for i in range(len(features)):
                u, x = (torch.from_numpy(one[i : i + 1]).to(device) for one in (features, images))
                maps = network(u, x)[0].cpu().numpy()
                if self.image_score == "map_max":
                    maps = np.stack([self._map(one) for one in maps])
                values.append(maps.reshape(len(maps), -1))
        quantiles = np.quantile(np.concatenate(values, axis=1), (self.alpha, self.beta), axis=1).T
        return NormalisedMaps(network, torch.from_numpy(quantiles).to(device))

    def _released_head(
        self, head: nn.Module, good: FeatureCache, sources: Sequence[ImageSource], last: bool
    ) -> nn.Module:
        from onlygood.methods.networks.ulsad import NormalisedMaps

        network = cast("NormalisedMaps", head).branches
        if not last:
            return NormalisedMaps(network).to(network.mean.device)
        return self._with_quantiles(network, good, np.stack([resize(s.read(), self.size, s.name) for s in sources]))

    def _head_scores(self, head: nn.Module, features: NDArray[np.float32], source: ImageSource) -> NDArray[np.float32]:
        import torch

        device = next(head.parameters()).device
        image = torch.tensor(resize(source.read(), self.size, source.name)[None]).to(device)
        found: NDArray[np.float32] = head(torch.from_numpy(features).to(device), image)[0].cpu().numpy()
        return found

    def _to_onnx(self, head: nn.Module) -> bytes:
        import torch

        from onlygood.features.export import to_onnx

        head = head.cpu()
        inputs = {"features": torch.zeros(1, *self.graph_.spec.grid, self.graph_.spec.dim)}
        if self.consistency == "none":
            return to_onnx(head, inputs, self.outputs[:1])
        inputs["images"] = torch.zeros(1, self.size, self.size, 3, dtype=torch.uint8)
        return to_onnx(head, inputs, self.outputs)

    # inspecting

    def _calibrate(self, sources: Sequence[ImageSource], report: Report) -> Calibration:
        calibration = super()._calibrate(sources, report)
        self.branch_levels_ = {name: max(level, BETA_LEVEL) for name, level in self.branch_levels_.items()}
        return calibration

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {**super()._tensors(), "branch_levels": np.array([*self.branch_levels_.values()], np.float64)}

    def _restore(self, parts: Parts) -> None:
        super()._restore(parts)
        self.branch_levels_ = dict(zip(BRANCHES, parts.tensors["branch_levels"].tolist()))

    def _scores_of(self, source: ImageSource) -> Scored:
        image = source.read()
        prepared = resize(image, self.size, source.name)
        patches, branches = self._maps_of(self.graph_(prepared[None])[0], prepared)
        size = (image.shape[1], image.shape[0])
        return Scored(patches, self._image_score(patches), size, branches)

    def _maps_of(
        self, features: Features, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        images = {} if self.consistency == "none" else {"images": image[None]}
        found = self.head_(features[None], **images)
        return found["scores"][0], {name: found[name][0] for name in BRANCHES if name in found}

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, known in (
            ("variant", VARIANTS),
            ("distance", DISTANCES),
            ("consistency", CONSISTENCIES),
            ("schedule", SCHEDULES),
        ):
            self._check_known(name, known)
        if not 0 < self.alpha < self.beta < 1:
            raise ParameterError(f"alpha={self.alpha}, beta={self.beta}: quantiles with 0 < alpha < beta < 1.")
        if not 0 < self.validation < 1:
            raise ParameterError(f"validation={self.validation}: a share above 0 and below 1.")
        for name in ("width", "learning_rate"):
            self._check_number(name)
        for name in ("lambda_local", "lambda_global", "weight_decay"):
            self._check_number(name, zero=True)
        for name, least in (("epochs", 1), ("batch", 2), ("most_updates", 0)):
            self._check_whole(name, least)


def batches(n: int, size: int, generator: Any) -> Iterator[NDArray[np.int64]]:
    """Numbers of `n` images in random order, `size` at a time.

    What is left over waits for the next epoch (released code). Batch statistics need two images: a single one is
    taken twice.
    """
    import torch

    order = torch.randperm(n, generator=generator).numpy()
    if n < size:
        yield order if n > 1 else np.repeat(order, 2)
        return
    for start in range(0, n - size + 1, size):
        yield order[start : start + size]


def channel_statistics(features: FeatureCache) -> tuple[Tensor, Tensor]:
    """Mean and population variance of each channel over all patches, added up in double precision."""
    import torch

    total = np.zeros(features.shape[-1])
    squares = np.zeros(features.shape[-1])
    for i in range(len(features)):
        patches = features[i : i + 1].reshape(-1, features.shape[-1]).astype(np.float64)
        total += patches.mean(axis=0)
        squares += np.square(patches).mean(axis=0)
    mean = total / len(features)
    variance = np.maximum(squares / len(features) - mean**2, 0)
    return torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
