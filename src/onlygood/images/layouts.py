"""Folder layouts: good images only, MVTec AD, and plain good/bad folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import DataError
from onlygood.images.reading import EXTENSIONS
from onlygood.images.scans import POINT_EXTENSIONS

GOOD_NAMES = frozenset({"good", "ok", "normal"})
BAD_NAMES = frozenset({"bad", "ng", "defect", "defective", "anomaly"})
SALIENCY_SUFFIX = "_saliency"
#: Folders of a scan that are not listed, and those beside them that are.
SCAN_FOLDERS = {"xyz": ("rgb",), "gt": ("rgb", "xyz")}


@dataclass(frozen=True)
class Sample:
    """One labelled image on disk.

    Attributes:
        path: The image file.
        defect: `good`, or the name of its kind of defect.
        mask: The ground-truth mask file of a defective image; None if there is none, or if there are several.
        masks: All its mask files: one, none, or one for each defect (MVTec LOCO AD).
        nature: `structural` or `logical` where the data set tells them apart; else None.
        points: The file of 3-D points behind its pixels, if there is one.
    """

    path: Path
    defect: str
    mask: Path | None = None
    masks: tuple[Path, ...] = ()
    nature: str | None = None
    points: Path | None = None

    def __post_init__(self) -> None:
        """One mask may be given as either."""
        if self.mask is not None and not self.masks:
            object.__setattr__(self, "masks", (self.mask,))
        elif self.mask is None and len(self.masks) == 1:
            object.__setattr__(self, "mask", self.masks[0])

    @property
    def label(self) -> int:
        """0 for good, 1 for defective."""
        return int(self.defect != "good")


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted by path; hidden files and saliency maps left out.

    Of scans (MVTec 3D-AD: `rgb/`, `xyz/` and `gt/` side by side) the files in `rgb/` stand for the whole; where there
    are only points, the files in `xyz/`.

    Raises:
        DataError: The folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Check the path.")
    found = sorted(path for path in folder.rglob("*") if is_image(path, folder))
    if not found:
        raise DataError(f"The folder {folder} holds no image ({', '.join(sorted(EXTENSIONS))}).")
    return found


def find_good_images(folder: str | Path) -> list[Path]:
    """The good images to fit on: `folder/train/good` (MVTec AD), `folder/good`, or all images below.

    Raises:
        DataError: The folder is missing or empty, or holds defect images that would be learned as good.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Check the path.")
    if (folder / "train").is_dir():
        folder = folder / "train"
    good = _good_subfolder(folder)
    if good is None and (folder / "test").is_dir():
        raise DataError(
            f"{folder} holds a test folder but no train/good folder: its test images would be learned as good. "
            "Name the folder of good images itself."
        )
    bad = [path.name for path in folder.iterdir() if path.is_dir() and path.name.lower() in BAD_NAMES]
    if good is None and bad:
        raise DataError(
            f"{folder} holds a folder {bad[0]} but none called good, ok or normal: defects would be learned as "
            "good. Name the folder of good images itself."
        )
    return find_images(good or folder)


def find_labelled_images(folder: str | Path) -> list[Sample]:
    """Test images with their labels, sorted.

    Read are `folder/test/<good|defect>/` with `folder/ground_truth/<defect>/<stem>_mask.png` (MVTec AD) or with
    `rgb/`, `xyz/` and `gt/` inside (MVTec 3D-AD), or `folder/<good|bad|...>/` where one subfolder is called good, ok
    or normal and every other one is a kind of defect.

    Raises:
        DataError: The layout is neither, or an MVTec defect image lacks its mask while others have one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Check the path.")
    root = folder / "test" if (folder / "test").is_dir() else folder
    kinds = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    kinds = [path for path in kinds if path.name not in {"ground_truth", "train"}]
    if not kinds:
        raise DataError(
            f"{folder} is neither an MVTec AD folder (test/good, test/<defect>) nor a folder "
            "with subfolders good and bad. Sort the test images so."
        )
    if root == folder and _good_subfolder(folder) is None:
        raise DataError(
            f"{folder} has no subfolder called good, ok or normal, so nothing says which images are good. "
            "Rename or add it."
        )
    masks = folder / "ground_truth"
    samples = []
    for kind in kinds:
        defect = "good" if kind.name.lower() in GOOD_NAMES else kind.name
        mask_folder = masks / kind.name
        for path in find_images(kind):
            mask = None
            own_masks = path.parent.parent / "gt"  # of a scan
            if defect != "good" and path.parent.name in ("rgb", "xyz") and own_masks.is_dir():
                mask = _mask_of(path, own_masks)
            elif defect != "good" and masks.is_dir():
                mask = _mask_of(path, mask_folder)
            samples.append(Sample(path, defect, mask))
    return samples


def _mask_of(image: Path, folder: Path) -> Path:
    for name in (f"{image.stem}_mask", image.stem):
        for extension in sorted(EXTENSIONS):
            if (folder / f"{name}{extension}").is_file():
                return folder / f"{name}{extension}"
    raise DataError(f"The mask of {image} is missing: expected {folder / (image.stem + '_mask.png')}.")


def _good_subfolder(folder: Path) -> Path | None:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name.lower() in GOOD_NAMES:
            return path
    return None


def is_image(path: Path, root: Path) -> bool:
    """Whether a file below `root` is an image to be listed: no hidden file, saliency map or other half of a scan."""
    folder = path.parent
    if folder.name in ("xyz", "gt") and any((folder.parent / beside).is_dir() for beside in SCAN_FOLDERS[folder.name]):
        return False
    endings = EXTENSIONS.union(POINT_EXTENSIONS) if folder.name == "xyz" else EXTENSIONS
    if path.suffix.lower() not in endings or path.stem.endswith(SALIENCY_SUFFIX):
        return False
    return not any(part.startswith(".") for part in path.relative_to(root).parts) and path.is_file()
