"""Folder trees as MVTec AD's: `train/good`, `test/<good|defect>`, `ground_truth/<defect>`; shared by many layouts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from onlygood.images.datasets.base import Category, Problems
from onlygood.images.layouts import Sample, is_image
from onlygood.images.reading import EXTENSIONS


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, hidden ones left out; empty if it is none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_in(folder: Path) -> list[Path]:
    """Image files right in a folder, sorted, hidden ones and saliency maps left out; empty if it is none."""
    return sorted(path for path in folder.iterdir() if is_image(path, folder)) if folder.is_dir() else []


def category_folders(root: Path, published: Iterable[str] = ()) -> list[Path]:
    """The root itself if it is a category (it holds `train` or `test`), else its subfolders that are.

    A subfolder with a published category's name counts even if it holds neither, so that this is told.
    """
    if _is_category(root):
        return [root]
    known = set(published)
    return [path for path in subfolders(root) if _is_category(path) or path.name in known]


def why_no_categories(root: Path, published: Iterable[str]) -> str | None:
    """Why the root holds no categories of the published names, and only such; None if it does."""
    known = list(published)
    found = category_folders(root)
    if not found:
        return "no folder holds train/ and test/"
    strange = [path.name for path in found if path.name not in known]
    return f"it has no category {strange[0]!r}" if strange else None


def load_tree(
    folder: Path, problems: Problems, good: str = "good", *, validation: bool = False, masked: bool = True
) -> Category:
    """A category as MVTec AD lays it out.

    Args:
        folder: Of the category.
        problems: Where to put them.
        good: Name of the folders of good images.
        validation: Whether there must be a folder `validation`.
        masked: Whether every defective image must have a mask.
    """
    train = good_images(folder / "train", good, problems)
    held_out = good_images(folder / "validation", good, problems) if validation else []
    return Category(folder.name, tuple(train), tuple(held_out), tuple(_tests(folder, good, problems, masked)))


def good_images(folder: Path, good: str, problems: Problems) -> list[Path]:
    """The images of `folder/good`; anything beside it is an error, for it would be left out in silence."""
    found = images_in(folder / good)
    if not found:
        what = "holds no image" if (folder / good).is_dir() else "is missing"
        problems.error(folder / good, f"The folder {folder / good} {what}. Unpack the data set again.")
    for other in subfolders(folder):
        if other.name != good:
            problems.error(other, f"{other} lies beside {folder / good}, but only good images are fitted on. Move it.")
    return found


def defect_folders(folder: Path, good: str, problems: Problems) -> list[tuple[Path, str]]:
    """Folders of test images and `good` or the type of defect of each; a missing good or defect folder is an error."""
    test = folder / "test"
    kinds = [(path, "good" if path.name == good else path.name) for path in subfolders(test)]
    if not kinds:
        problems.error(test, f"The folder {test} {'is empty' if test.is_dir() else 'is missing'}. Unpack it again.")
    elif not any(kind == "good" for _, kind in kinds):
        problems.error(test / good, f"The folder {test / good} is missing. Unpack the data set again.")
    elif len(kinds) == 1:
        problems.error(test, f"The folder {test} holds no folder of defective images. Unpack the data set again.")
    return kinds


def masks_by_stem(folder: Path, suffix: str = "_mask") -> dict[str, Path]:
    """Mask files of a folder by the stem of the image that each belongs to (`000_mask.png` and `000.png`: `000`)."""
    found: dict[str, Path] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file():
                found[path.stem.removesuffix(suffix)] = path
    return found


def _tests(folder: Path, good: str, problems: Problems, masked: bool) -> list[Sample]:
    samples: list[Sample] = []
    truth = folder / "ground_truth"
    for kind, defect in defect_folders(folder, good, problems):
        images = images_in(kind)
        if not images:
            problems.error(kind, f"The folder {kind} holds no image. Unpack the data set again.")
        if defect == "good":
            samples += [Sample(path, defect) for path in images]
            continue
        masks = masks_by_stem(truth / kind.name)
        for path in images:
            mask = masks.pop(path.stem, None)
            if mask is None and masked:
                expected = truth / kind.name / f"{path.stem}_mask.png"
                problems.error(expected, f"The mask of {path} is missing: expected {expected}. Unpack it again.")
            samples.append(Sample(path, defect, mask))
        for stem, mask in masks.items():
            problems.error(mask, f"The mask {mask} has no image {kind / stem}.png. Unpack the data set again.")
    for other in subfolders(truth):
        if not (folder / "test" / other.name).is_dir():
            problems.error(other, f"{other} holds masks, but there is no folder {folder / 'test' / other.name}.")
    return samples


def _is_category(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / "test").is_dir()
