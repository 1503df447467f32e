"""The kinds of synthetic defects: which shape, which fill, how they are fused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class DefectKind:
    """One kind of defect.

    Attributes:
        shape: a name in `shapes.SHAPES`.
        fill: "cutpaste", "noise" or "texture".
        weight: the fuse weight is uniform between these two.
        soften: size in pixels (at 256 a side) of the ellipse and the Gaussian that soften the edge of every
            second defect; 0: the edge always stays hard.
        guided: whether saliency constrains where the defect, and the crop that fills it, are centred.
    """

    shape: str
    fill: str
    weight: tuple[float, float] = (1.0, 1.0)
    soften: int = 0
    guided: bool = True


#: Every kind by name. The first six are DefectMaker's; the others are what Table 5 of the paper compares
#: with.
DEFECT_KINDS: Mapping[str, DefectKind] = MappingProxyType(
    {
        "bezier_cutpaste": DefectKind("bezier", "cutpaste", soften=5),
        "scar_cutpaste": DefectKind("scar", "cutpaste", soften=3),
        "clump_cutpaste": DefectKind("clump", "cutpaste", weight=(0.5, 1.0), soften=3),
        "bezier_noise": DefectKind("bezier", "noise", soften=5),
        "scar_noise": DefectKind("scar", "noise", soften=3),
        "clump_noise": DefectKind("clump", "noise", weight=(0.5, 1.0), soften=3),
        "cutpaste_rect": DefectKind("rectangle", "cutpaste", weight=(0.99, 1.0), guided=False),
        "cutpaste_scar": DefectKind("rectangular_scar", "cutpaste", weight=(0.99, 1.0), guided=False),
        "perlin": DefectKind("perlin", "texture", weight=(0.2, 1.0), guided=False),
    }
)

#: DefectMaker's six kinds in the order of their labels 1 to 6.
KINDS: tuple[str, ...] = tuple(DEFECT_KINDS)[:6]

#: The sets of kinds of Table 5, by name. A set of n kinds makes a task of n + 1 classes.
VARIANTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "defectmaker": KINDS,
        "cutpaste_fill": KINDS[:3],
        "noise_fill": KINDS[3:],
        "bezier": (KINDS[0], KINDS[3]),
        "scar": (KINDS[1], KINDS[4]),
        "clump": (KINDS[2], KINDS[5]),
        "cutpaste": ("cutpaste_rect", "cutpaste_scar"),
        "draem": ("perlin",),
    }
)
