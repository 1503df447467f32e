"""Synthetic defects: DefectMaker of REB, which makes defects from good images alone.

A defect is a shape with a fill, fused into a good image at a salient place. Three shapes (Bézier, scar,
clump) and two fills (a crop of another good image, random noise) give six kinds; with the good image itself
they are the seven classes of REB's self-supervised task. They also make the validation set for detectors
that have never seen a defect.

    maker = DefectMaker(images)                                   # uint8 RGB arrays
    defect = maker.make("bezier_noise", np.random.default_rng(0))  # .image, .mask, .kind, .label
    batch = maker.all_kinds(np.random.default_rng(0), 5)           # the seven versions of image 5
"""

from __future__ import annotations

from onlygood.synthesis.colour import jitter_colours
from onlygood.synthesis.defectmaker import NORMAL, DefectMaker, SyntheticDefect
from onlygood.synthesis.foreground import Foreground, estimate_foreground
from onlygood.synthesis.kinds import DEFECT_KINDS, KINDS, VARIANTS, DefectKind
from onlygood.synthesis.saliency import Saliency, SaliencyMode
from onlygood.synthesis.sheet import contact_sheet

__all__ = [
    "DEFECT_KINDS",
    "KINDS",
    "NORMAL",
    "VARIANTS",
    "DefectKind",
    "DefectMaker",
    "Foreground",
    "Saliency",
    "SaliencyMode",
    "SyntheticDefect",
    "contact_sheet",
    "estimate_foreground",
    "jitter_colours",
]
