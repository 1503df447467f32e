"""What a run is: the one thing that says whether two runs are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from onlygood.errors import ParameterError

PROTOCOLS = ("honest", "released")
#: Parameters of a detector that are no part of a run, and what says them instead.
NOT_PARAMETERS = {
    "seed": "give --seeds",
    "threads": "give --threads, for each worker",
    "checkpoint": "fine-tuned backbones are kept beside the shared features",
}
_ALWAYS = ("dataset", "category", "method")


@dataclass(frozen=True, eq=False)
class RunSpec:
    """One run.

    Attributes:
        dataset: Name of the data set, as `images.datasets.open_dataset` gives it; the folder is no part of it.
        category: Name of the category.
        method: Name of the method.
        preset: Named set of the method's parameters; None for its defaults.
        parameters: What is other than in the preset, by name; JSON types only.
        seed: Of the detector.
        shots: Training images drawn at random; None for all.
        draw: Number of the draw, from 0 on; 0 without shots.
        most_train: Training images at most, spread evenly over all; None for all. Not together with shots.
        protocol: `honest`: nothing is chosen by test images. `released`: what the authors' code chooses by them is
            chosen so, as `runs.released` tells; the figures are an oracle's.
    """

    dataset: str
    category: str
    method: str
    preset: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    shots: int | None = None
    draw: int = 0
    most_train: int | None = None
    protocol: str = "honest"

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ParameterError(f"Unknown protocol {self.protocol!r}. Known are: {', '.join(PROTOCOLS)}")
        for name, least in (("seed", 0), ("shots", 1), ("draw", 0), ("most_train", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ParameterError(f"{name}={value!r}: a whole number of at least {least}.")
        if self.shots is None and self.draw:
            raise ParameterError(
                f"draw={self.draw}: without shots all training images are taken, so there is one draw."
            )
        if self.shots is not None and self.most_train is not None:
            raise ParameterError("shots and most_train both say which training images to take. Give one of them.")
        for name, instead in NOT_PARAMETERS.items():
            if name in self.parameters:
                raise ParameterError(f"{name} is no parameter of a run: {instead}.")
        plain = json.loads(_canonical(dict(self.parameters), f"The parameters of {self.method}"))
        object.__setattr__(self, "parameters", plain)

    @property
    def key(self) -> str:
        """32 hexadecimal digits, the same on every machine; of everything that is not at its default."""
        return hashlib.sha256(_canonical(self.as_dict(), "The run").encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types. Fields at their defaults are left out, so that fields to come leave the keys alone."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        defaults = {one.name: one.default for one in fields(self)} | {"parameters": {}}
        return {name: value for name, value in found.items() if name in _ALWAYS or value != defaults[name]}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**table)

    @property
    def label(self) -> str:
        """What it is, on one line, for a person."""
        parts = [self.dataset if self.dataset == self.category else f"{self.dataset}/{self.category}", self.variant]
        parts += [f"seed {self.seed}"] if self.seed else []
        parts += [f"{self.shots} shots, draw {self.draw}"] if self.shots is not None else []
        parts += [f"at most {self.most_train} images"] if self.most_train is not None else []
        parts += [f"{self.protocol} protocol"] if self.protocol != "honest" else []
        return ", ".join(parts)

    @property
    def variant(self) -> str:
        """The method with its preset and parameters, such as `knn (paper) coreset=0.1`."""
        preset = f" ({self.preset})" if self.preset else ""
        return self.method + preset + "".join(f" {name}={value}" for name, value in sorted(self.parameters.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunSpec) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _canonical(value: Any, what: str) -> str:
    """JSON with sorted keys and nothing between, of which equal values have but one."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{what} cannot be written as JSON: {error}.") from error
