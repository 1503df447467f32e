"""What every data set is, whatever its layout: categories of paths, and what was found wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from onlygood.errors import DataError
from onlygood.images.layouts import Sample

#: `error`: cannot be used as it is; `warning`: can be used, but is not what was published; `note`: worth knowing.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """Something found in a data set.

    Attributes:
        severity: `error` (it cannot be used as it is), `warning` (it can, but is not what was published) or `note`.
        message: What is wrong, naming the file, and how to mend it.
        path: The file or folder.
        category: Where it was found; None for the whole set.
    """

    severity: Severity
    message: str
    path: Path
    category: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "severity": self.severity,
            "category": self.category,
            "path": str(self.path),
            "message": self.message,
        }


class Problems(list[Problem]):
    """What a loader finds wrong, gathered so that everything is named at once."""

    def __init__(self) -> None:
        super().__init__()
        self.category: str | None = None

    def error(self, path: Path, message: str) -> None:
        """The set cannot be used as it is."""
        self.append(Problem("error", message, path, self.category))

    def warning(self, path: Path, message: str) -> None:
        """The set can be used, but is not what was published."""
        self.append(Problem("warning", message, path, self.category))

    def note(self, path: Path, message: str) -> None:
        """Worth knowing."""
        self.append(Problem("note", message, path, self.category))


@dataclass(frozen=True)
class Saturation:
    """How much of a defect must be found for it to count as found whole (`defects_config.json` of MVTec LOCO AD).

    Attributes:
        defect: Name of the type of defect.
        pixel_value: Value of its pixels in the mask files.
        threshold: Pixels, or a share of the defect's area where `relative`.
        relative: Which of the two.
    """

    defect: str
    pixel_value: int
    threshold: float
    relative: bool

    def area(self, region_area: int) -> float:
        """Saturation area in pixels of a region of so many pixels (Bergmann et al., IJCV 2022, section 4)."""
        area = int(self.threshold * region_area) if self.relative else min(self.threshold, region_area)
        return max(float(area), 1.0)  # a share of a tiny region rounds down to nothing


@dataclass(frozen=True)
class Category:
    """One product or texture: what to fit on and what to test on.

    Attributes:
        name: As the data set calls it.
        train: Good images to fit on, sorted.
        validation: Good images of the data set's own validation split, sorted; empty where it has none.
        test: Labelled images, sorted.
        saturations: Of MVTec LOCO AD, one for each type of defect; else empty.
    """

    name: str
    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    test: tuple[Sample, ...] = ()
    saturations: tuple[Saturation, ...] = ()

    def counts(self) -> dict[str, int]:
        """Images under `train`, `validation`, `good` and `defect`; and under `structural` and `logical` if told.

        `good` and `defect` are test images; `all_good` are those, training and validation images together.
        """
        good = sum(sample.label == 0 for sample in self.test)
        counts = {
            "train": len(self.train),
            "validation": len(self.validation),
            "good": good,
            "defect": len(self.test) - good,
            "all_good": len(self.train) + len(self.validation) + good,
        }
        natures = [sample.nature for sample in self.test]
        if any(natures):
            counts |= {nature: natures.count(nature) for nature in ("structural", "logical")}
        return counts

    def defects(self) -> dict[str, int]:
        """Test images of each type of defect, in order of name."""
        names = [sample.defect for sample in self.test if sample.label]
        return {name: names.count(name) for name in sorted(set(names))}


@dataclass(frozen=True)
class DataSet:
    """A data set on disk.

    Attributes:
        name: Such as `MVTec AD`; of folders and manifests their own name.
        layout: Name of the layout, such as `mvtec_ad`.
        root: Where it was found.
        categories: In order of name.
        split: Who parted it into training and test images, in words.
        problems: What was found wrong; no errors in a set that `open_dataset` returned.
    """

    name: str
    layout: str
    root: Path
    categories: tuple[Category, ...]
    split: str = ""
    problems: tuple[Problem, ...] = field(default=(), repr=False)

    def category(self, name: str) -> Category:
        """The category of that name; raises `DataError` if there is none."""
        for category in self.categories:
            if category.name == name:
                return category
        raise DataError(f"{self.name} has no category {name!r}. It has: {', '.join(c.name for c in self.categories)}.")


@dataclass(frozen=True)
class Layout:
    """One way in which data sets lie on disk.

    Attributes:
        name: Such as `mvtec_ad`.
        title: The data set as people call it.
        split: Who parted it into training and test images, in words.
        why_not: Called with the root: why it is not this layout, or None if it is. Looks at names only.
        load: Called with the root and where to put problems: the categories. Opens no image, except where a label
            is told by nothing but a mask (KolektorSDD).
    """

    name: str
    title: str
    split: str
    why_not: Callable[[Path], str | None]
    load: Callable[[Path, Problems], list[Category]]
