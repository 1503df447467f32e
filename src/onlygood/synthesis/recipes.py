"""How to fine-tune a backbone on the self-supervised task of REB: the published recipes and a quick one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from onlygood.errors import ParameterError
from onlygood.synthesis.kinds import KINDS
from onlygood.synthesis.saliency import SaliencyMode

LossName: TypeAlias = Literal["bce", "cross_entropy"]


@dataclass(frozen=True)
class Recipe:
    """Settings of the self-supervised fine-tuning (REB, section 3.1.2; the defaults are the released code's).

    One update adds up the gradients of `passes` forward passes, each over `sources` good images in all
    their versions: one without a defect and one for each kind.

    Attributes:
        updates: optimiser steps.
        warmup: the first updates, in which the backbone stays as it is (eval mode) and only the head learns.
        passes: forward passes of one update.
        sources: good images of one pass.
        learning_rate: of SGD at the first update; then a cosine, see `rate`.
        backbone_rate: the backbone's learning rate as a share of the head's.
        momentum: of SGD.
        weight_decay: of SGD.
        period: updates after which the cosine starts again.
        final_rate: where the cosine ends.
        batch_statistics: whether batch normalisation in the backbone uses and learns the batch's statistics
            after the warm-up; if not, it keeps those of its pretraining.
        loss: "bce" (released code: an independent sigmoid for each class) or "cross_entropy" (paper).
        variant: kinds of defect, one class each; see `kinds.VARIANTS`.
        saliency: see `Saliency`.
        size: side in pixels of the images trained on.

    Raises:
        ParameterError: a value outside what it may be.
    """

    updates: int = 300
    warmup: int = 39
    passes: int = 3
    sources: int = 48
    learning_rate: float = 0.03
    backbone_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    period: int = 330
    final_rate: float = 1e-5
    batch_statistics: bool = True
    loss: LossName = "bce"
    variant: tuple[str, ...] = KINDS
    saliency: SaliencyMode = "auto"
    size: int = 256

    #: What the released code does: 1008 images an update.
    RELEASED: ClassVar[Recipe]
    #: What the paper says: cross-entropy, 1024 images an update (1022 in whole sources).
    PAPER: ClassVar[Recipe]
    #: For two CPU cores: 75 updates of 42 images, at 192 pixels. The normalisation keeps its statistics and
    #: the backbone learns at a tenth of the rate; both because batches so small did harm otherwise. It
    #: learns the task but has not been seen to improve detection.
    QUICK: ClassVar[Recipe]

    def __post_init__(self) -> None:
        positive = ("updates", "passes", "sources", "learning_rate", "period", "size")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("warmup", "backbone_rate", "momentum", "weight_decay", "final_rate"):
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if self.loss not in get_args(LossName):
            raise ParameterError(f"loss is {self.loss!r}; it must be one of {', '.join(get_args(LossName))}.")

    @property
    def batch(self) -> int:
        """Images of one update."""
        return self.passes * self.sources * (1 + len(self.variant))

    def rate(self, update: int) -> float:
        """Learning rate of an update, counted from 1: cosine annealing with warm restarts."""
        turn = math.pi * ((update - 1) % self.period) / self.period
        return self.final_rate + (self.learning_rate - self.final_rate) * (1 + math.cos(turn)) / 2


Recipe.RELEASED = Recipe()
Recipe.PAPER = Recipe(loss="cross_entropy", passes=2, sources=73)
Recipe.QUICK = Recipe(
    updates=75,
    warmup=15,
    passes=1,
    sources=6,
    learning_rate=0.03,
    backbone_rate=0.1,
    period=82,
    batch_statistics=False,
    size=192,
)


def recipe(name: str) -> Recipe:
    """The recipe called "quick", "released" or "paper".

    Raises:
        ParameterError: there is none of that name.
    """
    named = {"quick": Recipe.QUICK, "released": Recipe.RELEASED, "paper": Recipe.PAPER}
    if name not in named:
        raise ParameterError(f"Unknown recipe {name!r}. Known are: {', '.join(named)}")
    return named[name]
