"""DefectMaker: synthetic defects from good images (REB, section 3.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onlygood.errors import DataError, ParameterError
from onlygood.synthesis.arrays import FloatArray, ImageArray, MaskArray, check_image, length_scale
from onlygood.synthesis.augment import augment
from onlygood.synthesis.fills import cutpaste_fill, noise_fill, texture_fill
from onlygood.synthesis.fusing import corner_of, draw_centre, fuse, soften
from onlygood.synthesis.kinds import DEFECT_KINDS, KINDS, DefectKind
from onlygood.synthesis.saliency import Saliency, SaliencyMode
from onlygood.synthesis.shapes import SHAPES

#: The name of the class without a defect; its label is 0.
NORMAL = "normal"
#: Attempts at a defect that changes at least one pixel.
ATTEMPTS = 4


@dataclass(frozen=True)
class SyntheticDefect:
    """An image with at most one synthetic defect.

    Attributes:
        image: uint8 RGB, shape (H, W, 3).
        mask: bool, shape (H, W): every pixel in which the fill has a share, however small. The image is
            untouched outside. Inside, a pixel may by chance have kept its value.
        kind: name of the kind, or "normal".
        label: class of the self-supervised task: 0 normal, else 1 + the kind's place among the maker's kinds.
    """

    image: ImageArray
    mask: MaskArray
    kind: str
    label: int


class DefectMaker:
    """Makes synthetic defects in the images of one set.

    Every pixel length of the paper (scars, softening, grain) is stated for 256 pixels a side and grows with
    the shorter side of the image.

    Args:
        images: good images, uint8 RGB (H, W, 3); they may differ in size.
        kinds: names in `DEFECT_KINDS`; their order gives the labels. See `VARIANTS` for the paper's sets.
        saliency: "auto", "whole", "foreground" or "files"; see `Saliency`.
        paths: the files of the images, to find `<stem>_saliency.jpg` beside them.
        textures: uint8 RGB images that fill the kind "perlin" (DRAEM uses the DTD set); without them,
            enlarged windows of the images stand in.
        augmented: whether `all_kinds` augments its source and the images it pastes from.
        seed: of the generator used wherever none is given.

    Raises:
        DataError: no images.
        ImageError: an image is not uint8 RGB.
        ParameterError: an unknown kind or saliency.
    """

    def __init__(
        self,
        images: Sequence[ImageArray],
        *,
        kinds: Sequence[str] = KINDS,
        saliency: SaliencyMode = "auto",
        paths: Sequence[str | Path] | None = None,
        textures: Sequence[ImageArray] = (),
        augmented: bool = True,
        seed: int = 0,
    ) -> None:
        if len(images) == 0:
            raise DataError("DefectMaker needs at least one good image; the list is empty.")
        for i, image in enumerate(images):
            check_image(image, f"image {i}")
        for i, texture in enumerate(textures):
            check_image(texture, f"texture {i}")
        unknown = [name for name in kinds if name not in DEFECT_KINDS]
        if unknown or not kinds or len(set(kinds)) < len(kinds):
            wrong = f"unknown: {', '.join(unknown)}" if unknown else "give at least one, and none twice"
            raise ParameterError(f"kinds: {wrong}. The kinds are {', '.join(DEFECT_KINDS)}.")
        self.images = images
        self.kinds = tuple(kinds)
        self.textures = textures
        self.augmented = augmented
        self.seed = seed
        self.saliency = Saliency(images, saliency, paths)
        self._rng = np.random.default_rng(seed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of the self-supervised task, by label."""
        return (NORMAL, *self.kinds)

    def make(
        self, kind: str, rng: np.random.Generator | None = None, image: int | ImageArray | None = None
    ) -> SyntheticDefect:
        """Make one defect in an image as it is; what is pasted comes from images as they are.

        Args:
            kind: one of the maker's kinds.
            rng: source of randomness; the maker's own by default.
            image: index of an image of the set, or another image of the same part; by default a random one.
        """
        self._label(kind)
        rng = self._rng if rng is None else rng
        if image is None:
            image = int(rng.integers(len(self.images)))
        if isinstance(image, np.ndarray):
            check_image(image)
            salient = None if self.saliency.mode == "whole" else self.saliency.estimate(image)
            return self._fuse_defect(kind, rng, image, salient, augmented=False)
        return self._fuse_defect(kind, rng, self.images[image], self.saliency(int(image)), augmented=False)

    def all_kinds(self, rng: np.random.Generator | None = None, source_index: int = 0) -> list[SyntheticDefect]:
        """Make all versions of one source, in the order of labels: without a defect, then with each kind.

        The source is augmented once, together with its saliency, and all versions share it. What is pasted
        comes from augmented images too.

        Args:
            rng: source of randomness; the maker's own by default.
            source_index: taken modulo the number of images, so that an epoch may be longer than the set.
        """
        rng = self._rng if rng is None else rng
        index = source_index % len(self.images)
        image, salient = self.images[index], self.saliency(index)
        if self.augmented:
            image, salient = augment(rng, image, salient)
        normal = SyntheticDefect(image.copy(), np.zeros(image.shape[:2], dtype=bool), NORMAL, 0)
        made = (self._fuse_defect(kind, rng, image, salient, self.augmented) for kind in self.kinds)
        return [normal, *made]

    def sample(self, count: int, seed: int | None = None) -> Iterator[SyntheticDefect]:
        """Yield `count` defects for validation: kinds in turn, sources in random order, nothing augmented.

        Defect i depends on the seed and i alone, so a longer sample begins with the shorter one.
        """
        seed = self.seed if seed is None else seed
        total = len(self.images)
        for i in range(count):
            if i % total == 0:
                order = np.random.default_rng((seed, 0, i)).permutation(total)
            kind = self.kinds[i % len(self.kinds)]
            yield self.make(kind, np.random.default_rng((seed, 1, i)), int(order[i % total]))

    def _label(self, kind: str) -> int:
        if kind not in self.kinds:
            raise ParameterError(f"{kind!r} is not one of this maker's kinds: {', '.join(self.kinds)}.")
        return 1 + self.kinds.index(kind)

    def _fuse_defect(
        self,
        kind: str,
        rng: np.random.Generator,
        image: ImageArray,
        salient: MaskArray | None,
        augmented: bool,
    ) -> SyntheticDefect:
        recipe = DEFECT_KINDS[kind]
        height, width = image.shape[:2]
        scale = length_scale(height, width)
        for _ in range(ATTEMPTS):
            mask = _edged(rng, SHAPES[recipe.shape](rng, height, width, scale), recipe.soften, scale)
            fill = self._fill(recipe, rng, (mask.shape[0], mask.shape[1]), scale, augmented)
            centre = draw_centre(rng, image, salient if recipe.guided else None)
            top, left = corner_of(centre, mask.shape, height, width)
            fused = fuse(image, fill, mask, (top, left), float(rng.uniform(*recipe.weight)))
            if not np.array_equal(fused, image):
                break
        support = np.zeros((height, width), dtype=bool)
        support[top : top + mask.shape[0], left : left + mask.shape[1]] = mask > 0
        return SyntheticDefect(fused, support, kind, self._label(kind))

    def _fill(
        self,
        recipe: DefectKind,
        rng: np.random.Generator,
        box: tuple[int, int],
        scale: float,
        augmented: bool,
    ) -> ImageArray:
        if recipe.fill == "noise":
            return noise_fill(rng, *box, scale)
        if recipe.fill == "texture":
            return texture_fill(rng, *box, self.textures, self.images)
        saliency_of = self.saliency if recipe.guided else (lambda index: None)
        return cutpaste_fill(rng, *box, self.images, saliency_of, augmented)


def _edged(rng: np.random.Generator, mask: MaskArray, size: int, scale: float) -> FloatArray:
    """Soften the mask with probability ½, by the odd size nearest to `size` times `scale` and not below 3."""
    if size and rng.random() < 0.5:
        return soften(mask, max(2 * round((size * scale - 1) / 2) + 1, 3))
    return mask.astype(np.float32)
