from __future__ import annotations

from pathlib import Path

import pytest

from onlygood.errors import DataError
from onlygood.images import find_good_images, find_labelled_images


def plant(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    return root


def names(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


MVTEC = (
    "train/good/001.png",
    "train/good/000.png",
    "test/good/000.png",
    "test/scratch/000.png",
    "test/scratch/001.png",
    "test/dent/000.png",
    "ground_truth/scratch/000_mask.png",
    "ground_truth/scratch/001_mask.png",
    "ground_truth/dent/000_mask.png",
)


def test_mvtec_training_images(tmp_path: Path) -> None:
    plant(tmp_path, *MVTEC)
    expected = ["train/good/000.png", "train/good/001.png"]
    assert names(tmp_path, find_good_images(tmp_path)) == expected
    assert names(tmp_path, find_good_images(tmp_path / "train")) == expected
    assert names(tmp_path, find_good_images(str(tmp_path / "train" / "good"))) == expected


def test_mvtec_test_images_with_masks(tmp_path: Path) -> None:
    plant(tmp_path, *MVTEC)
    samples = find_labelled_images(tmp_path)
    assert [(s.path.relative_to(tmp_path).as_posix(), s.defect, s.label) for s in samples] == [
        ("test/dent/000.png", "dent", 1),
        ("test/good/000.png", "good", 0),
        ("test/scratch/000.png", "scratch", 1),
        ("test/scratch/001.png", "scratch", 1),
    ]
    truth = tmp_path / "ground_truth"
    assert [s.mask for s in samples] == [
        truth / "dent" / "000_mask.png",
        None,
        truth / "scratch" / "000_mask.png",
        truth / "scratch" / "001_mask.png",
    ]


@pytest.mark.parametrize("lost", ["ground_truth/scratch/001_mask.png", "ground_truth/dent/000_mask.png"])
def test_a_missing_mask_is_named(tmp_path: Path, lost: str) -> None:
    plant(tmp_path, *MVTEC)
    path = tmp_path / lost
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
    with pytest.raises(DataError, match="mask") as caught:
        find_labelled_images(tmp_path)
    assert str(path) in str(caught.value)


def test_no_masks_at_all_is_fine(tmp_path: Path) -> None:
    plant(tmp_path, *(file for file in MVTEC if "ground_truth" not in file))
    assert all(sample.mask is None for sample in find_labelled_images(tmp_path))


@pytest.mark.parametrize("good", ["good", "ok", "normal", "OK"])
def test_plain_good_and_bad_folders(tmp_path: Path, good: str) -> None:
    plant(tmp_path, f"{good}/1.jpg", f"{good}/2.JPG", "bad/1.jpg", "crack/7.tiff")
    assert names(tmp_path, find_good_images(tmp_path)) == [f"{good}/1.jpg", f"{good}/2.JPG"]
    found = sorted((s.defect, s.path.name, s.label) for s in find_labelled_images(tmp_path))
    assert found == [("bad", "1.jpg", 1), ("crack", "7.tiff", 1), ("good", "1.jpg", 0), ("good", "2.JPG", 0)]


def test_a_plain_folder_sorted_with_its_subfolders(tmp_path: Path) -> None:
    plant(tmp_path, "b.png", "day2/a.bmp", "day1/z.webp", "a.tif")
    assert names(tmp_path, find_good_images(tmp_path)) == ["a.tif", "b.png", "day1/z.webp", "day2/a.bmp"]


def test_hidden_files_saliency_maps_and_notes_are_ignored(tmp_path: Path) -> None:
    plant(tmp_path, "a.png", "a_saliency.png", ".b.png", ".cache/c.png", "notes.txt", "Thumbs.db", "._a.png")
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path, find_good_images(tmp_path)) == ["a.png"]


def test_hidden_folders_are_no_defect_kind(tmp_path: Path) -> None:
    plant(tmp_path, "good/1.png", "bad/1.png", ".thumbs/1.png")
    assert {sample.defect for sample in find_labelled_images(tmp_path)} == {"good", "bad"}


def test_a_hidden_folder_above_does_not_matter(tmp_path: Path) -> None:
    root = plant(tmp_path / ".data" / "parts", "a.png")
    assert len(find_good_images(root)) == 1


def test_test_images_are_never_learned_as_good(tmp_path: Path) -> None:
    plant(tmp_path, "test/good/1.png", "test/bad/1.png")
    with pytest.raises(DataError, match="train/good"):
        find_good_images(tmp_path)


def test_a_bad_folder_is_never_learned_as_good(tmp_path: Path) -> None:
    plant(tmp_path, "bad/1.png", "more/2.png")
    with pytest.raises(DataError, match="learned as good"):
        find_good_images(tmp_path)


def test_subfolders_none_of_which_is_good(tmp_path: Path) -> None:
    plant(tmp_path, "day1/1.png", "day2/2.png")
    with pytest.raises(DataError, match="good, ok or normal"):
        find_labelled_images(tmp_path)


def test_no_subfolders(tmp_path: Path) -> None:
    plant(tmp_path, "1.png")
    with pytest.raises(DataError, match="neither"):
        find_labelled_images(tmp_path)


@pytest.mark.parametrize("find", [find_good_images, find_labelled_images])
def test_missing_or_empty_folder(tmp_path: Path, find: object) -> None:
    with pytest.raises(DataError, match="no folder"):
        find(tmp_path / "gone")  # type: ignore[operator]
    (tmp_path / "good").mkdir()
    with pytest.raises(DataError, match="holds no image") as caught:
        find(tmp_path)  # type: ignore[operator]
    assert str(tmp_path) in str(caught.value)
