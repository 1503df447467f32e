"""The registry of pretrained backbones. Weights are data: id, hash, licence and where to find them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from onlygood.errors import ParameterError

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class BackboneSpec:
    """One pretrained backbone.

    Attributes:
        name: Short name, as `--backbone` takes it.
        id: `source/architecture/tag`, recorded in every model file.
        architecture: Key of `onlygood.features.architectures.build`.
        license: SPDX licence of the weights.
        layers: Steps whose feature maps are used by default, finest first (strides 8 and 16).
        adaptive_dim: Vector length of the `adaptive` aggregator (the released code of REB).
        pyramid: The default maps with one more at stride 4, for the methods that look at three.
        sha256: Hash of the weight file, or its first eight digits; empty if the publisher names none.
        package, file: The package that ships the weights and the file inside site-packages.
        url: Where the weights are published.
        mean, std: RGB input normalisation in 0..255.
    """

    name: str
    id: str
    architecture: str
    license: str
    layers: tuple[str, ...]
    adaptive_dim: int
    pyramid: tuple[str, ...] = ()
    sha256: str = ""
    package: str = ""
    file: str = ""
    url: str = ""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def filename(self) -> str:
        """Name under which the weights lie in the cache."""
        ending = (self.url or self.file).rsplit("/", 1)[-1]
        return f"{self.name}.safetensors" if ending == "model.safetensors" else ending

    def from_stride(self, stride: int) -> tuple[str, ...]:
        """The maps of `pyramid` from stride 4 or 8 on.

        Raises:
            ParameterError: Another stride.
        """
        if stride not in (4, 8):
            raise ParameterError(f"stride={stride!r}: 4 or 8, or name the feature maps with layers.")
        return self.pyramid if stride == 4 else self.pyramid[1:]


@cache
def registry() -> dict[str, BackboneSpec]:
    """All backbones by short name."""
    table = tomllib.loads((files("onlygood.features") / "backbones.toml").read_text("utf-8"))
    specs = {}
    for row in table["backbone"]:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        specs[row["name"]] = BackboneSpec(**fields)
    return specs


def backbone_names() -> list[str]:
    """Short names of all backbones, the default first."""
    return list(registry())


def find_backbone(name: str) -> BackboneSpec:
    """Look a backbone up by short name or id.

    Raises:
        ParameterError: There is none of that name.
    """
    for spec in registry().values():
        if name in (spec.name, spec.id):
            return spec
    raise ParameterError(f"Unknown backbone {name!r}. Known are: {', '.join(backbone_names())}")
