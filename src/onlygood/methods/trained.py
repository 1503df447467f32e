"""Detectors with a trained head on frozen features: everything the small networks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError, require
from onlygood.features.head import Head
from onlygood.images import ImageSource
from onlygood.methods.base import Detector, Features
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.holding_out import hold_out
from onlygood.methods.leaving_out import groups_of
from onlygood.modelfile import Parts
from onlygood.parallel import in_order
from onlygood.progress import Report, track

if TYPE_CHECKING:
    from torch import nn

#: Name of the head in the model file.
HEAD = "head.onnx"


@dataclass(kw_only=True, eq=False)
class TrainedDetector(Detector):
    """A network behind the frozen backbone, trained on good images and exported as a second ONNX graph.

    The features of all images are computed once, with the exported backbone. Good images that are held out of the
    training are inspected with the exported head; their scores are the calibration (split conformal).

    Args:
        holdout: Share of the good images that is held out, at least one.

    Ctrl-C during training ends it early and goes on with the head as it is by then; a second one stops the fit, and so
    does one in the first epoch.
    """

    holdout: float = 0.2

    #: Names of the head's outputs; the first is that of the patch scores.
    outputs: ClassVar[tuple[str, ...]] = ("scores",)

    head_: Head = field(init=False, repr=False)
    held_out_: NDArray[np.int64] = field(init=False, repr=False)
    #: For `evaluation.epochs`: called after each epoch with its number, how many there are, the head and the detector.
    _watcher: Callable[[int, int, Any, Any], None] | None = field(init=False, repr=False, default=None)

    # what a network has to say

    @abstractmethod
    def _train(self, features: FeatureCache, sources: Sequence[ImageSource], report: Report) -> nn.Module:
        """Train the head.

        Args:
            features: `(n, h, w, D)` of the images learned from; `features[numbers]` are those of some.
            sources: These images.
            report: Progress; the stage is called `training`. A KeyboardInterrupt ends the training, not the fit
                (`methods.networks.training`). `_watch` is called after each epoch, and what a person should know of
                the training is noted in `training_.notes["trained"]`.

        Returns:
            Features float32 `(n, h, w, D)` -> the outputs, a tensor or a tuple of them; the first one `(n, h, w)`.
        """

    def _to_onnx(self, head: nn.Module) -> bytes:
        """The head as an ONNX graph with the input `features`."""
        import torch

        from onlygood.features.export import to_onnx

        example = torch.zeros(1, *self.graph_.spec.grid, self.graph_.spec.dim)
        return to_onnx(head.cpu(), {"features": example}, self.outputs)

    # what everybody gets

    def _watch(self, epoch: int, epochs: int, head: nn.Module) -> None:
        """Let whoever watches the training look at the head, after an epoch of so many."""
        if self._watcher is not None:
            self._watcher(epoch, epochs, head, self)

    def _released_head(
        self, head: nn.Module, good: FeatureCache, sources: Sequence[ImageSource], last: bool
    ) -> nn.Module:
        """A head in the middle of its training as the released code evaluates it.

        Args:
            head: As it is after an epoch.
            good: Features of the good test images.
            sources: These images.
            last: Whether that was the last epoch.
        """
        return head

    def _head_scores(self, head: nn.Module, features: NDArray[np.float32], source: ImageSource) -> NDArray[np.float32]:
        """Patch scores `(1, h, w)` of a head in the middle of its training, from features `(1, h, w, D)`."""
        import torch

        found: NDArray[np.float32] = head(torch.from_numpy(features).to(next(head.parameters()).device)).cpu().numpy()
        return found

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        require("torch", "fit", f"Training {type(self).__name__}")
        self.graph_ = self._ready(self._feature_graph(), sources, report)
        spec = self.graph_.spec
        features = FeatureCache((len(sources), *spec.grid, spec.dim)).fill(self._features_of(sources, report))
        hashes, near = self.training_.hashes, self.groups == "auto"
        groups = groups_of(features, hashes, near, "taken for a part of its own", report)
        self.training_ = replace(self.training_, groups=groups.tolist())
        learned, self.held_out_ = hold_out(groups, self.holdout, self.seed)
        head = self._train(features.subset(learned), [sources[i] for i in learned], report)
        self.head_ = Head(self._to_onnx(head), self.graph_)
        self.calibration_ = self._calibrate([sources[i] for i in self.held_out_], report)
        return {}

    def _calibrate(self, sources: Sequence[ImageSource], report: Report) -> Calibration:
        """From images that were not learned, inspected just as new ones are."""
        scores, peaks = [], []
        branch_peaks: dict[str, list[float]] = {}
        found = in_order(self._scores_of, sources, self.threads)
        for patches, score, _, branches in track(found, "calibration", len(sources), report):
            scores.append(score)
            peaks.append(float(self._map(patches).max()))
            for name, one in branches.items():
                branch_peaks.setdefault(name, []).append(float(self._map(one).max()))
        # int8 ranges are taken from training images, the held-out ones among them
        proven = self.precision == "float32"
        calibration = Calibration.from_scores(
            scores, None, peaks, false_reject=self.false_reject, review=self.review, proven=proven
        )
        self.branch_levels_ = {name: calibration.reached_by_good(values) for name, values in branch_peaks.items()}
        return calibration

    def _patch_scores(self, features: Features) -> NDArray[np.float32]:
        return self.head_(features[None])[self.outputs[0]][0]

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {"held_out": self.held_out_}

    def _blobs(self) -> dict[str, NDArray[np.uint8]]:
        return {HEAD: np.frombuffer(self.head_.onnx, np.uint8)}

    def _restore(self, parts: Parts) -> None:
        self.held_out_ = parts.tensors["held_out"]
        self.head_ = Head(parts.blobs[HEAD].tobytes(), self.graph_)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not 0 < self.holdout < 1:
            raise ParameterError(f"holdout={self.holdout}: the share of good images held out is above 0, below 1.")
