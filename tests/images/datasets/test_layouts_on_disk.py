"""Every layout, from miniature trees: recognised, opened, complete; the images of each split as they must be."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from pathlib import Path

import dataset_trees
import numpy as np
import pytest
from dataset_trees import BUILDERS, COUNTS

from onlygood.errors import DataError, DataWarning
from onlygood.images import ImageSource, as_sources, reading
from onlygood.images.datasets import LAYOUTS, check_dataset, open_dataset, published, recognise
from onlygood.images.datasets.cifar10 import load_cifar10

LABELS_IN_MASKS = "kolektor_sdd"


@pytest.fixture(params=sorted(BUILDERS))
def layout(request) -> str:
    if request.param == "mvtec_3d":
        pytest.importorskip("tifffile", reason="scans need tifffile")
    return request.param


def test_every_layout_has_a_miniature() -> None:
    assert set(BUILDERS) == set(LAYOUTS)


def test_is_recognised_and_complete(layout, tmp_path, small) -> None:
    root = BUILDERS[layout](tmp_path / "data")
    assert recognise(root).layout == layout
    data = open_dataset(root)  # a warning would be an error here
    assert data.layout == layout and not data.problems and data.split
    if layout in COUNTS:
        assert data.name == LAYOUTS[layout].title
        assert [category.name for category in data.categories] == sorted(COUNTS[layout])
    found = check_dataset(root, deep=True)
    assert found.fine, found.problems
    assert data == open_dataset(str(root), layout)


def test_the_splits_are_sorted_disjoint_and_readable(layout, tmp_path, small) -> None:
    for category in open_dataset(BUILDERS[layout](tmp_path / "data")).categories:
        tests = [sample.path for sample in category.test]
        assert category.train and any(sample.label for sample in category.test)
        assert any(not sample.label for sample in category.test)
        groups = (category.train, category.validation, tests, [m for sample in category.test for m in sample.masks])
        everything = [path for group in groups for path in group]
        assert len(everything) == len(set(everything))
        for group in (category.train, category.validation):
            assert list(group) == sorted(group)
        for kind in {sample.defect for sample in category.test}:
            of_kind = [sample.path for sample in category.test if sample.defect == kind]
            assert of_kind == sorted(of_kind)
        for source in as_sources([*category.train, *tests]):
            assert source.read().ndim == 3


def test_opening_reads_no_image_and_fitting_no_test_image(layout, tmp_path, small, monkeypatch) -> None:
    root = BUILDERS[layout](tmp_path / "data")
    opened: list[Path] = []
    real = reading.Image.open
    monkeypatch.setattr(reading.Image, "open", lambda path, **kw: opened.append(Path(path)) or real(path, **kw))
    data = open_dataset(root)
    assert layout == LABELS_IN_MASKS or not opened
    tests = {p for c in data.categories for s in c.test for p in (s.path, *s.masks)} if layout != "cifar10" else set()
    opened.clear()
    for category in data.categories:
        for source in as_sources([str(path) for path in category.train]):
            source.read()
    assert layout == "cifar10" or opened
    assert not tests.intersection(opened)


def test_order_does_not_depend_on_the_file_system(layout, tmp_path, small, monkeypatch) -> None:
    root = BUILDERS[layout](tmp_path / "data")
    expected = open_dataset(root)
    for name in ("iterdir", "glob", "rglob"):
        real = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *a, real=real, **k: iter(list(real(*a, **k))[::-1]))
    assert open_dataset(root) == expected


@pytest.mark.parametrize("layout", ["mvtec_ad", "mvtec_loco", "btad", "folders"])
def test_hidden_files_and_lists_beside_are_left_alone(layout, tmp_path, small) -> None:
    root = BUILDERS[layout](tmp_path / "data")
    expected = open_dataset(root)
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / ".DS_Store").write_bytes(b"?")
        (folder / "._000.png").write_bytes(b"?")
        (folder / "license.txt").write_text("?")
    assert open_dataset(root) == expected


def test_a_category_alone_and_the_current_folder(tmp_path, small, monkeypatch) -> None:
    root = dataset_trees.mvtec_ad(tmp_path / "data")
    found = check_dataset(root / "screw")
    assert found.fine and [problem.severity for problem in found.problems] == ["note"]
    assert [category.name for category in found.data.categories] == ["screw"]
    monkeypatch.chdir(root / "screw")
    assert [category.name for category in open_dataset(".").categories] == ["screw"]


def test_loco_tells_the_natures_apart_and_keeps_every_mask(tmp_path, small) -> None:
    category = open_dataset(dataset_trees.mvtec_loco(tmp_path)).category("pushpins")
    by_nature = {sample.nature: sample for sample in category.test}
    assert [path.name for path in by_nature["logical"].masks] == ["000.png", "001.png"]
    assert by_nature["logical"].mask is None  # several: none of them is the mask
    assert by_nature["structural"].mask == by_nature["structural"].masks[0]
    assert by_nature[None].defect == "good" and not by_nature[None].masks
    assert [path.parent.name for path in category.validation] == ["good"]
    assert [(one.defect, one.area(100)) for one in category.saturations] == [("scratch", 50.0), ("missing", 10.0)]
    assert reading.read_masks(by_nature["logical"].masks).sum() == 6 * (4 + 3)


def test_scans_carry_their_points(tmp_path, small) -> None:
    pytest.importorskip("tifffile")
    category = open_dataset(dataset_trees.mvtec_3d(tmp_path)).category("tire")
    assert {path.parent.name for path in category.train} == {"rgb"}
    assert all(sample.points.parent.name == "xyz" and sample.points.is_file() for sample in category.test)
    assert [s.mask.parent.name for s in category.test if s.label] == ["gt"]
    assert not any(sample.masks for sample in category.test if not sample.label)
    assert ImageSource.of_file(category.train[0]).is_scan


@pytest.mark.parametrize("form", ["binary", "python"])
def test_cifar10_gives_the_images_that_its_own_reader_gives(tmp_path, small, monkeypatch, form) -> None:
    root = dataset_trees.cifar10(tmp_path / "binary")
    if form == "python":
        root = dataset_trees.cifar10_in_pickles(tmp_path / "python", root)
    monkeypatch.setattr("onlygood.images.datasets.cifar10.PER_CLASS", (5, 1))
    category = open_dataset(root).category("cat")
    whole = load_cifar10(root, "cat")
    assert np.array_equal([ImageSource.of_file(path).read() for path in category.train], whole.train)
    assert np.array_equal([reading.read_image(sample.path) for sample in category.test], whole.test)
    assert [sample.label for sample in category.test] == whole.labels.tolist()
    assert [sample.defect.replace("good", "cat") for sample in category.test] == whole.classes
    assert np.array_equal(as_sources(str(category.train[0]))[0].read(), whole.train[0])
    with pytest.raises(DataError, match="none with the number 10"):
        reading.read_image(category.train[0].parent / "10")


def test_pictures_of_one_tile_stay_on_one_side(tmp_path, small) -> None:
    (category,) = open_dataset(dataset_trees.magnetic_tile(tmp_path)).categories
    held_out = [sample.path for sample in category.test if not sample.label]

    def tiles(paths):
        return {int(path.stem.split("_")[-1]) // 1000 for path in paths}

    assert len(held_out) == 3 and len(tiles(held_out)) == 1
    assert not tiles(held_out) & tiles(category.train)
    # the tile whose first number has the smallest SHA-1, found by hand
    assert tiles(held_out) == {min(range(5), key=lambda n: hashlib.sha1(str(1000 * n).encode()).hexdigest())}


def test_good_surfaces_of_an_item_stay_on_one_side(tmp_path, small) -> None:
    (category,) = open_dataset(dataset_trees.kolektor_sdd(tmp_path)).categories
    held_out = {sample.path.parent for sample in category.test if not sample.label}
    assert len(held_out) == 1 and not held_out & {path.parent for path in category.train}
    assert sorted(s.path.parent.name for s in category.test if s.label) == ["kos01", "kos02", "kos04", "kos05"]


def test_own_folders(tmp_path) -> None:
    data = open_dataset(dataset_trees.folders(tmp_path / "line 3"))
    assert data.name == "line 3"
    assert [category.name for category in data.categories] == ["caps", "trays"]
    caps, trays = data.categories
    assert len(caps.train) == 5 and caps.counts()["good"] == 1 and caps.defects() == {"bad": 1}
    assert len(trays.train) == 3 and trays.defects() == {"dent": 1, "scratch": 1}
    assert all(sample.mask for sample in trays.test if sample.label)


def test_own_split_is_the_same_wherever_the_folder_lies(tmp_path) -> None:
    first = open_dataset(dataset_trees.folders(tmp_path / "a")).category("caps")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = open_dataset(tmp_path / "b").category("caps")
    assert [path.name for path in first.train] == [path.name for path in again.train]


def test_manifest(tmp_path) -> None:
    root = dataset_trees.manifest(tmp_path / "data")
    (category,) = open_dataset(root / "manifest.csv").categories
    assert category == open_dataset(root).categories[0] and category.name == "cap"
    assert category.counts() == {"train": 3, "validation": 1, "good": 1, "defect": 1, "all_good": 5}
    defect = next(sample for sample in category.test if sample.label)
    assert defect.defect == "scratch" and [path.name for path in defect.masks] == ["a.png", "b.png"]


def test_elpv_comes_from_its_package(tmp_path, monkeypatch) -> None:
    pytest.importorskip("elpv_dataset", reason="the package elpv-dataset is not installed")
    monkeypatch.chdir(tmp_path)
    data = open_dataset("elpv")  # with the published counts
    assert {c.name: (len(c.train), c.counts()["defect"]) for c in data.categories} == {
        "mono": (472, 313),
        "poly": (744, 402),
    }


def test_published_numbers_add_up_to_the_totals_in_the_papers() -> None:
    totals = {
        "mvtec_ad": [3629, 467, 1258],
        "mvtec_loco": [1772, 304, 575, 432, 561],
        "btad": [1799, 451, 290],
        "mpdd": [888, 176, 282],
        "visa": [8659, 962, 1200],
        "mvtec_3d": [2656, 294, 249, 948],
        "magnetic_tile": [952, 115, 85, 57, 32, 103],
        "cifar10": [50_000, 10_000, 90_000],
    }
    for layout, expected in totals.items():
        rows = [list(counts.values()) for counts in published.published_counts(layout).values()]
        assert np.sum(rows, axis=0).tolist() == expected, layout
        assert published.source_of_counts(layout)


@pytest.mark.parametrize("layout", sorted(COUNTS))
def test_other_numbers_than_published_are_told(layout, tmp_path) -> None:
    if layout == "mvtec_3d":
        pytest.importorskip("tifffile")
    root = BUILDERS[layout](tmp_path / "data")
    found = check_dataset(root)
    assert not found.fine
    told = " ".join(problem.message for problem in found.problems)
    for name, expected in published.published_counts(layout).items():
        assert name in told
        if name in COUNTS[layout]:
            number = next(iter(expected.values()))
            assert f"(published: {number})" in told
    with pytest.warns(DataWarning, match="published"):
        open_dataset(root)


def test_what_is_no_data_set(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no folder or file .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("?")
    for root in (tmp_path, tmp_path / "notes.txt"):
        assert set(recognise(root).reasons) == set(LAYOUTS) and recognise(root).layout is None
        with pytest.raises(DataError, match=r"none of the known layouts.*not MVTec AD: no folder holds train/"):
            open_dataset(root)
    with pytest.raises(DataError, match=r"Unknown layout 'coco'.*mvtec_ad"):
        open_dataset(tmp_path, "coco")
    for layout in LAYOUTS:
        with warnings.catch_warnings(), pytest.raises(DataError, match=r"\."):
            warnings.simplefilter("ignore", DataWarning)
            open_dataset(tmp_path, layout)


def test_the_folder_around_a_data_set_points_to_it(tmp_path, small) -> None:
    root = dataset_trees.mvtec_ad(tmp_path / "archive" / "mvtec")
    with pytest.raises(DataError, match=f"But {root} has one"):
        open_dataset(tmp_path / "archive")


def test_unknown_category(tmp_path, small) -> None:
    with pytest.raises(DataError, match=r"no category 'lid'. It has: bottle, screw"):
        open_dataset(dataset_trees.mvtec_ad(tmp_path)).category("lid")
