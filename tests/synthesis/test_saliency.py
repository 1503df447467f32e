"""Saliency: foreground estimate, choice for a set, maps beside the images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from onlygood.errors import DataError, ParameterError
from onlygood.synthesis.foreground import estimate_foreground, otsu
from onlygood.synthesis.saliency import Saliency, read_saliency, saliency_path

ROWS, COLUMNS = np.mgrid[:160, :200]


def as_image(grey, rng):
    return np.clip(grey[..., None] + rng.normal(0, 4, (*grey.shape, 3)), 0, 255).astype(np.uint8)


def disc(rng, inside=170.0, outside=60.0, radius=45):
    centre = rng.uniform(70, 90), rng.uniform(80, 120)
    mask = (ROWS - centre[0]) ** 2 + (COLUMNS - centre[1]) ** 2 < radius**2
    return as_image(np.where(mask, inside, outside), rng), mask


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def texture(name, rng):
    smooth = ndimage.gaussian_filter(rng.normal(size=ROWS.shape), 6, mode="wrap")
    return {
        "noise": lambda: 128 + 40 * rng.normal(size=ROWS.shape),
        "blotches": lambda: 128 + 30 * smooth / smooth.std(),
        "stripes": lambda: 128 + 60 * np.sin(COLUMNS / 5 + rng.uniform(0, 6)),
        "chequers": lambda: 70 + 110.0 * ((ROWS // 20 + COLUMNS // 20) % 2),
        "grid": lambda: 60 + 120.0 * ((ROWS % 16 < 4) | (COLUMNS % 16 < 4)),
        "slope": lambda: 50 + 0.8 * COLUMNS,
        "vignette": lambda: 220 - 0.015 * ((ROWS - 80.0) ** 2 + (COLUMNS - 100.0) ** 2),
        "even": lambda: np.full(ROWS.shape, 128.0),
    }[name]()


@pytest.mark.parametrize("inside, outside", [(170.0, 60.0), (40.0, 200.0), (110.0, 135.0)])
def test_object_is_found(inside, outside):
    image, mask = disc(np.random.default_rng(0), inside, outside)
    salient = Saliency([image], "foreground")(0)
    assert salient is not None and salient.shape == mask.shape and salient.dtype == bool
    assert overlap(salient, mask) > 0.93


def test_holes_are_filled_and_specks_dropped():
    rng = np.random.default_rng(1)
    image, mask = disc(rng)
    image[75:85, 95:105] = 60  # a dark spot on the object, as dark as the background
    image[5:8, 5:8] = 255  # dirt on the background
    image[-12:, :] = 200  # a bright rail along the border
    found = Saliency([image], "foreground")(0)
    assert found is not None and overlap(found, mask) > 0.88
    assert found[80, 100] and not found[:10, :10].any()


def test_auto_takes_the_foreground_for_objects():
    rng = np.random.default_rng(2)
    images, masks = zip(*(disc(rng) for _ in range(6)), strict=True)
    saliency = Saliency(images)
    assert saliency.mode == "foreground" and saliency.votes == 1
    for i, mask in enumerate(masks):
        assert overlap(saliency(i), mask) > 0.93


@pytest.mark.parametrize("name", ["noise", "blotches", "stripes", "chequers", "grid", "slope", "vignette", "even"])
def test_auto_takes_the_whole_image_for_textures(name):
    rng = np.random.default_rng(3)
    saliency = Saliency([as_image(texture(name, rng), rng) for _ in range(8)])
    assert saliency.mode == "whole"
    assert saliency(0) is None


def test_image_that_fails_gets_what_the_others_agree_on():
    rng = np.random.default_rng(4)
    pairs = [disc(rng) for _ in range(7)]
    odd = as_image(texture("slope", rng), rng)
    saliency = Saliency([*(image for image, _ in pairs), odd])
    assert saliency.mode == "foreground" and not estimate_foreground(odd).is_object
    common = np.mean([mask for _, mask in pairs], axis=0) >= 0.5
    assert overlap(saliency(7), common) > 0.9


def test_choice_can_be_overridden():
    rng = np.random.default_rng(5)
    image, _ = disc(rng)
    assert Saliency([image], "whole")(0) is None
    even = as_image(texture("even", rng), rng)
    assert Saliency([even], "foreground")(0).any()  # never empty, whatever is found
    with pytest.raises(ParameterError, match="auto, whole, foreground, files"):
        Saliency([image], "magic")


def test_constant_image_has_a_saliency():
    flat = np.full((64, 64, 3), 90, dtype=np.uint8)
    assert Saliency([flat]).mode == "whole"
    assert Saliency([flat], "foreground")(0).all()


def test_maps_beside_the_images_are_read(tmp_path):
    rng = np.random.default_rng(6)
    image, mask = disc(rng)
    path = tmp_path / "part.png"
    assert saliency_path(path).name == "part_saliency.jpg"
    half = Image.fromarray((mask * 255).astype(np.uint8)).resize((100, 80))
    half.save(saliency_path(path))
    for mode in ("auto", "files"):
        saliency = Saliency([image], mode, [path])
        assert saliency.mode == "files"
        assert overlap(saliency(0), mask) > 0.93


def test_threshold_of_maps_is_127(tmp_path):
    path = tmp_path / "a_saliency.jpg"
    Image.fromarray(np.repeat(np.array([[0, 100, 155, 255]], np.uint8), 32, 0).repeat(32, 1)).save(path, quality=100)
    salient = read_saliency(path, 32, 128)
    assert [bool(salient[16, c]) for c in (16, 48, 80, 112)] == [False, False, True, True]


def test_missing_damaged_or_empty_maps_are_named(tmp_path):
    image, _ = disc(np.random.default_rng(7))
    path = tmp_path / "part.png"
    with pytest.raises(DataError, match=r"part_saliency\.jpg"):
        Saliency([image], "files", [path])
    assert Saliency([image], "auto", [path]).mode == "foreground"
    with pytest.raises(ParameterError, match="paths"):
        Saliency([image], "files")
    with pytest.raises(DataError, match="1 images and 2 paths"):
        Saliency([image], "auto", [path, path])
    saliency_path(path).write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"part_saliency\.jpg"):
        Saliency([image], "files", [path])(0)
    Image.new("L", (8, 8)).save(saliency_path(path))
    with pytest.raises(DataError, match="above 127"):
        Saliency([image], "files", [path])(0)


def test_otsu_agrees_with_a_search_over_all_cuts():
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.normal(0, 1, 700), rng.normal(6, 1.5, 300)])
    cuts = np.linspace(values.min(), values.max(), 257)[1:-1]
    within = [
        values[values < c].var() * (values < c).mean() + values[values >= c].var() * (values >= c).mean() for c in cuts
    ]
    assert otsu(values) == pytest.approx(cuts[int(np.argmin(within))], abs=0.15)
