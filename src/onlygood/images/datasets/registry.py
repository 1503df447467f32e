"""The layouts, which of them a folder has, and the data set in it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import DataError, DataWarning
from onlygood.images.datasets.base import Category, DataSet, Layout, Problems
from onlygood.images.datasets.cifar10 import CIFAR10
from onlygood.images.datasets.elpv import ELPV, elpv_folder
from onlygood.images.datasets.folders import FOLDERS
from onlygood.images.datasets.kolektor import KOLEKTOR_SDD
from onlygood.images.datasets.magnetic_tile import MAGNETIC_TILE
from onlygood.images.datasets.manifest import MANIFEST
from onlygood.images.datasets.mvtec_ad import BTAD, MPDD, MVTEC_3D, MVTEC_AD
from onlygood.images.datasets.mvtec_loco import MVTEC_LOCO
from onlygood.images.datasets.published import compare
from onlygood.images.datasets.trees import name_of, subfolders
from onlygood.images.datasets.visa import VISA

#: In the order in which a folder is compared with them: the first that fits is it.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        MANIFEST,
        CIFAR10,
        ELPV,
        VISA,
        KOLEKTOR_SDD,
        MAGNETIC_TILE,
        MVTEC_3D,
        MVTEC_LOCO,
        MVTEC_AD,
        MPDD,
        BTAD,
        FOLDERS,
    )
}
#: Problems named in an error; the rest are counted.
_SHOWN = 5


@dataclass(frozen=True)
class Recognition:
    """What a folder was recognised as.

    Attributes:
        root: The folder or file.
        layout: Name of the layout; None if it is none.
        reasons: Layout -> why it is not that one; of those looked at before one fitted.
    """

    root: Path
    layout: str | None
    reasons: dict[str, str]


def recognise(root: str | Path) -> Recognition:
    """Which layout a root has, by the names of its folders and files; or why none.

    Raises:
        DataError: There is nothing at that path.
    """
    root = _existing(root)
    reasons: dict[str, str] = {}
    for name, layout in LAYOUTS.items():
        reason = layout.why_not(root)
        if reason is None:
            return Recognition(root, name, reasons)
        reasons[name] = reason
    return Recognition(root, None, reasons)


def read_dataset(root: str | Path, layout: str | None = None) -> DataSet:
    """The data set in a folder with all that was found wrong, errors too: to report on it, not to use it.

    Args and errors as for `open_dataset`, but that nothing wrong inside the set is raised.
    """
    root = _existing(root)
    if layout is None:
        found = recognise(root)
        if found.layout is None:
            raise DataError(f"{root} has none of the known layouts. {_reasons(found)}")
        layout = found.layout
    elif layout not in LAYOUTS:
        raise DataError(f"Unknown layout {layout!r}. There are: {', '.join(LAYOUTS)}.")
    chosen = LAYOUTS[layout]
    problems = Problems()
    categories = chosen.load(root, problems)
    _need_images(root, categories, problems)
    if not categories and not problems:
        problems.error(root, f"{root} holds no category of {chosen.title}. Name the folder that does.")
    compare(layout, root, categories, problems)
    name = name_of(root).removesuffix(".csv") if layout in (MANIFEST.name, FOLDERS.name) else chosen.title
    ordered = tuple(sorted(categories, key=lambda category: category.name))
    return DataSet(name, layout, root, ordered, chosen.split, tuple(problems))


def open_dataset(root: str | Path, layout: str | None = None) -> DataSet:
    """The data set in a folder, ready to be used.

    Opens no image and no mask (KolektorSDD's labels excepted: nothing else tells its good images). What differs
    from the published set is in `problems` and is warned of once.

    Args:
        root: Folder of the data set, of one of its categories, or a CSV manifest; `elpv` for what the package
            elpv-dataset brings.
        layout: One of `LAYOUTS`; None to recognise it.

    Raises:
        DataError: Nothing is there, it has no known layout, or files are missing or misplaced; the message names
            them.
    """
    data = read_dataset(root, layout)
    errors = [problem.message for problem in data.problems if problem.severity == "error"]
    if errors:
        more = f" And {len(errors) - _SHOWN} more; `onlygood data check` lists all." if len(errors) > _SHOWN else ""
        raise DataError(f"{data.name} in {data.root} cannot be used: " + " ".join(errors[:_SHOWN]) + more)
    differences = [problem.message for problem in data.problems if problem.severity == "warning"]
    if differences:
        more = f" ({len(differences) - 1} more differences)" if len(differences) > 1 else ""
        warnings.warn(f"{data.name} in {data.root}: {differences[0]}{more}", DataWarning, stacklevel=2)
    return data


def _need_images(root: Path, categories: list[Category], problems: Problems) -> None:
    """A category without images of some sort is an error, unless what is missing was named already."""
    named = {problem.category for problem in problems if problem.severity == "error"}
    for category in categories:
        problems.category = category.name
        counts = category.counts()
        for key, what in (("train", "training"), ("good", "good test"), ("defect", "defective test")):
            if not counts[key] and category.name not in named:
                problems.error(root, f"{category.name} in {root} has no {what} image. Add some.")
    problems.category = None


def _existing(root: str | Path) -> Path:
    path = Path(root)
    if not path.exists() and str(root) == ELPV.name:
        return elpv_folder()
    if not path.exists():
        raise DataError(f"There is no folder or file {path}. Check the path.")
    return path


def _reasons(found: Recognition) -> str:
    reasons = "; ".join(f"not {LAYOUTS[name].title}: {reason}" for name, reason in found.reasons.items())
    for inside in subfolders(found.root):
        if any(layout.why_not(inside) is None for layout in LAYOUTS.values()):
            return f"But {inside} has one: name that. ({reasons})"
    return f"{reasons[0].upper()}{reasons[1:]}."
