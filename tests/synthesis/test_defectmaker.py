"""DefectMaker: kinds, labels, masks, determinism, errors, contact sheet."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.errors import DataError, ImageError, ParameterError
from onlygood.synthesis import DEFECT_KINDS, KINDS, VARIANTS, DefectMaker, contact_sheet
from onlygood.synthesis.shapes import SHAPES

seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


def part(seed, height=96, width=96):
    """A mottled disc on a dark ground."""
    rng = rng_of(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (0.3 * min(height, width)) ** 2
    grey = np.where(inside, 150, 30)[..., None] + rng.normal(0, 6, (height, width, 3))
    return (grey * (1, 0.9, 0.7)).clip(0, 255).astype(np.uint8)


IMAGES = [part(i) for i in range(5)]
EVERY = DefectMaker(IMAGES, kinds=tuple(DEFECT_KINDS))
SIX = DefectMaker(IMAGES)


@pytest.mark.parametrize("kind", DEFECT_KINDS)
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_nothing_changes_outside_the_mask(kind, seed):
    made = EVERY.make(kind, rng_of(seed), seed % 5)
    source = IMAGES[seed % 5]
    assert made.image.shape == source.shape and made.image.dtype == np.uint8
    assert made.mask.shape == source.shape[:2] and made.mask.dtype == bool and made.mask.any()
    assert np.array_equal(made.image[~made.mask], source[~made.mask])
    assert not np.array_equal(made.image, source)
    assert made.kind == kind and made.label == EVERY.class_names.index(kind)


def test_sources_are_never_written_to():
    before = [image.copy() for image in IMAGES]
    for kind in DEFECT_KINDS:
        EVERY.make(kind, rng_of(0))
    made = SIX.all_kinds(rng_of(0), 1)
    made[0].image[:] = 0
    DefectMaker(IMAGES, augmented=False).all_kinds(rng_of(0), 1)[0].image[:] = 0
    assert all(np.array_equal(a, b) for a, b in zip(before, IMAGES, strict=True))


def test_the_paper_s_labels():
    expected = [
        "normal",
        "bezier_cutpaste",
        "scar_cutpaste",
        "clump_cutpaste",
        "bezier_noise",
        "scar_noise",
        "clump_noise",
    ]
    assert list(SIX.class_names) == expected
    seven = SIX.all_kinds(rng_of(3), source_index=12)
    assert [d.label for d in seven] == list(range(7))
    assert [d.kind for d in seven] == expected
    assert not seven[0].mask.any()


def test_the_seven_versions_share_one_augmented_source():
    for seed in range(5):
        normal, *defects = SIX.all_kinds(rng_of(seed), seed)
        assert normal.image.flags.writeable
        for made in defects:
            assert np.array_equal(made.image[~made.mask], normal.image[~made.mask])
    plain = DefectMaker(IMAGES, augmented=False).all_kinds(rng_of(0), 7)
    assert np.array_equal(plain[0].image, IMAGES[2])


def test_same_seed_same_defects():
    for kind in DEFECT_KINDS:
        a, b, c = (EVERY.make(kind, rng_of(s)) for s in (5, 5, 6))
        assert np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask)
        assert not np.array_equal(a.image, c.image)
    first, second = (DefectMaker(IMAGES, seed=4).all_kinds() for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_sample_cycles_kinds_and_sources_and_can_be_prolonged():
    short, long = list(SIX.sample(7, seed=1)), list(SIX.sample(35, seed=1))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(short, long))
    assert [d.kind for d in long[:7]] == [*KINDS, KINDS[0]]
    sources = [
        next(i for i, image in enumerate(IMAGES) if np.array_equal(d.image[~d.mask], image[~d.mask])) for d in long
    ]
    assert all(sources.count(i) == 7 for i in range(5))
    assert not np.array_equal(next(SIX.sample(1, seed=2)).image, long[0].image)


def test_guided_defects_touch_the_foreground_and_unguided_ones_go_anywhere():
    salient = SIX.saliency(0)
    assert SIX.saliency.mode == "foreground" and salient is not None
    for seed in range(30):
        made = SIX.make("scar_noise", rng_of(seed), 0)
        rows, columns = np.nonzero(made.mask)
        box = salient[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.any()
    outside = [not (EVERY.make("cutpaste_scar", rng_of(s), 0).mask & salient).any() for s in range(60)]
    assert any(outside)


def test_variants_of_table_5():
    assert VARIANTS["defectmaker"] == KINDS
    classes = {name: len(kinds) + 1 for name, kinds in VARIANTS.items()}
    assert classes == {
        "defectmaker": 7,
        "cutpaste_fill": 4,
        "noise_fill": 4,
        "bezier": 3,
        "scar": 3,
        "clump": 3,
        "cutpaste": 3,
        "draem": 2,
    }
    noise_only = DefectMaker(IMAGES, kinds=VARIANTS["noise_fill"])
    assert [d.label for d in noise_only.all_kinds(rng_of(0))] == [0, 1, 2, 3]
    for kind in DEFECT_KINDS.values():
        assert kind.shape in SHAPES and kind.fill in ("cutpaste", "noise", "texture")


def test_textures_fill_the_perlin_kind():
    texture = np.full((120, 120, 3), (0, 255, 0), dtype=np.uint8)
    maker = DefectMaker(IMAGES, kinds=("perlin",), textures=[texture])
    made = maker.make("perlin", rng_of(0), 0)
    change = made.image.astype(int) - IMAGES[0]
    assert (change[made.mask][:, 1] >= 0).all() and (change[made.mask][:, 0] <= 0).all()


def test_images_of_other_shapes_and_sizes():
    maker = DefectMaker([part(0, 60, 140), part(1, 300, 90), part(2, 8, 8)], kinds=tuple(DEFECT_KINDS))
    for index, shape in enumerate([(60, 140, 3), (300, 90, 3), (8, 8, 3)]):
        for made in maker.all_kinds(rng_of(index), index):
            assert made.image.shape == shape and made.mask.shape == shape[:2]
    other = part(9, 70, 50)
    made = maker.make("bezier_noise", rng_of(0), other)
    assert np.array_equal(made.image[~made.mask], other[~made.mask])


def test_pixel_lengths_grow_with_the_image():
    small, large = (DefectMaker([part(0, n, n)], kinds=("scar_noise",)) for n in (128, 512))
    areas = [np.mean([m.make("scar_noise", rng_of(s), 0).mask.mean() for s in range(40)]) for m in (small, large)]
    assert areas[0] == pytest.approx(areas[1], rel=0.3)


def test_black_images_do_no_harm():
    """Nothing pasted from a black image can be seen; the maker gives up after a few attempts and goes on."""
    maker = DefectMaker([np.zeros((32, 32, 3), dtype=np.uint8)])
    assert len(maker.all_kinds(rng_of(0))) == 7


def test_errors_name_what_is_wrong():
    with pytest.raises(DataError, match="empty"):
        DefectMaker([])
    with pytest.raises(ImageError, match=r"image 1: .*float64"):
        DefectMaker([IMAGES[0], IMAGES[0] / 255.0])
    with pytest.raises(ImageError, match="RGB"):
        DefectMaker([IMAGES[0][..., 0]])
    with pytest.raises(ImageError, match="too small"):
        DefectMaker([IMAGES[0][:4]])
    with pytest.raises(ParameterError, match="unknown: dent"):
        DefectMaker(IMAGES, kinds=("dent",))
    with pytest.raises(ParameterError, match="at least one"):
        DefectMaker(IMAGES, kinds=())
    with pytest.raises(ParameterError, match="'perlin' is not one"):
        SIX.make("perlin", rng_of(0))


def test_contact_sheet_shows_all_kinds():
    sheet = contact_sheet(EVERY, examples=3, tile=48, seed=1)
    assert sheet.mode == "RGB" and sheet.height >= 10 * 48 and sheet.width >= 3 * 48
    again = contact_sheet(EVERY, examples=3, tile=48, seed=1)
    assert np.array_equal(np.asarray(sheet), np.asarray(again))
    plain = contact_sheet(EVERY, examples=3, tile=48, seed=1, outlines=False)
    green = (0, 255, 80)
    assert (np.asarray(sheet) == green).all(axis=2).any()
    assert not (np.asarray(plain) == green).all(axis=2).any()
    with pytest.raises(ParameterError):
        contact_sheet(EVERY, examples=0)


def test_synthesis_does_not_import_torch():
    code = "import sys, onlygood.synthesis; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
