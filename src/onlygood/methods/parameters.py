"""What a detector is made with: parameters that all methods have, presets, and what they may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from onlygood.calibration.conformal import check_rates
from onlygood.errors import ParameterError
from onlygood.features.engines import AUTO, DEFAULT, check_engine
from onlygood.methods.anomaly_map import IMAGE_SCORES


@dataclass(kw_only=True, eq=False)
class Parameters:
    """Parameters of every detector; a method adds its own. They are checked when it is fitted.

    Args:
        backbone: Pretrained backbone, by short name or id (`onlygood weights list`).
        size: Input side in pixels; images are resized straight to a square.
        layers: Feature maps used; None for the backbone's default.
        aggregator: `concat` (the papers' text) or `adaptive` (REB's released code).
        weights: A weight file; None to look for the published weights.
        image_score: `smoothed_max` (ours), `max` (papers), `avgpool3_max` (REB's released code), `map_max`: the
            maximum of the finished anomaly map, or `sum` over all patches.
        map_sigma: Gaussian blur of the anomaly map, in pixels of the input size; 0 for none.
        false_reject: Rate of good images that may be called NG.
        review: Rate of good images that may be called NG or REVIEW.
        groups: `auto` finds near-duplicate training images and leaves them out together when
            calibrating; `none` leaves out one image at a time.
        threads: Threads of the feature graph and of the search; None for all cores.
        engine: What runs the feature graph: `onnxruntime`, `openvino`, or `auto`: the faster of those installed, by a
            short timing on training images.
        device: `cpu` or `cuda`: of ONNX Runtime, of the exact search while fitting, and of what is trained, as far as
            torch has it.
        precision: `float32` or `int8`: the backbone is quantised with training images before the bank is made.
        seed: Seeds everything random.
    """

    backbone: str = "efficientnet_lite0"
    size: int = 256
    layers: Sequence[str] | None = None
    aggregator: str = "concat"
    weights: str | Path | None = None
    image_score: str = "smoothed_max"
    map_sigma: float = 4.0
    false_reject: float = 0.01
    review: float = 0.05
    groups: str = "auto"
    threads: int | None = None
    engine: str = DEFAULT
    device: str = "cpu"
    precision: str = "float32"
    seed: int = 0

    method: ClassVar[str] = ""
    #: Aggregators the method can use; empty for all that give patch features and nothing else.
    aggregators: ClassVar[tuple[str, ...]] = ()
    #: Named sets of parameters: `paper`, `released`, `quick`.
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "released": {}, "quick": {}}
    #: What `image_score` may be.
    _image_scores: ClassVar[tuple[str, ...]] = IMAGE_SCORES

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Names of the constructor's parameters."""
        return [f.name for f in fields(cls) if f.init]

    @classmethod
    def from_preset(cls, preset: str, **parameters: Any) -> Self:
        """A detector with the parameters of `paper`, `released` or `quick`, then those given.

        Raises:
            ParameterError: The method has no such preset.
        """
        if preset not in cls.presets:
            raise ParameterError(f"{cls.method} has no preset {preset!r}. It has: {', '.join(cls.presets)}")
        return cls(**{**cls.presets[preset], **parameters})

    def get_params(self) -> dict[str, Any]:
        """The constructor's parameters."""
        return {name: getattr(self, name) for name in self.parameter_names()}

    def _check_parameters(self) -> None:
        check_rates(self.false_reject, self.review)
        self._check_known("image_score", self._image_scores)
        if not self.map_sigma >= 0:
            raise ParameterError(f"map_sigma={self.map_sigma!r}: a number of pixels, 0 for no blur.")
        check_engine(DEFAULT if self.engine == AUTO else self.engine, self.device, self.threads)
        self._check_known("precision", ("float32", "int8"))
        self._check_aggregator()
        self._check_known("groups", ("auto", "none"))

    def _check_known(self, name: str, known: Sequence[str]) -> None:
        """Raise `ParameterError` unless a parameter has one of the values known."""
        if getattr(self, name) not in known:
            raise ParameterError(f"Unknown {name} {getattr(self, name)!r}. Known are: {', '.join(known)}")

    def _check_whole(self, name: str, least: int) -> None:
        """Raise `ParameterError` unless a parameter is a whole number of at least `least`."""
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ParameterError(f"{name}={value!r}: a whole number of at least {least}.")

    def _check_number(self, name: str, *, zero: bool = False) -> None:
        """Raise `ParameterError` unless a parameter is a finite number above 0, or, with `zero`, at least 0."""
        value = getattr(self, name)
        if not 0 <= value < math.inf or (value == 0 and not zero):
            raise ParameterError(f"{name}={value!r}: a number {'of at least' if zero else 'above'} 0.")

    def _check_aggregator(self) -> None:
        name = self.aggregator
        if self.aggregators and name not in self.aggregators:
            raise ParameterError(f"{self.method} needs the aggregator {' or '.join(self.aggregators)}, not {name!r}.")
        if not self.aggregators and name in ("pooled", "pyramid"):
            raise ParameterError(f"{self.method} needs patch features; the aggregator {name!r} gives something else.")
