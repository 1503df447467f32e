"""The data sets that the benchmarks measure on."""

from __future__ import annotations

from pathlib import Path

from onlygood.images import find_good_images, find_labelled_images
from onlygood.images.datasets.elpv import load_elpv
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread


def data_sets(folder: Path | None, train: int) -> dict[str, tuple[list[Path], list[Sample]]]:
    """Training images (at most `train`, spread evenly) and labelled test images of each set; ELPV needs no folder."""
    sets = {
        path.name: (find_good_images(path), find_labelled_images(path))
        for path in (sorted(folder.iterdir()) if folder else ())
        if (path / "train").is_dir()
    }
    for cells in ("mono", "poly"):
        split = load_elpv(cells)
        sets[f"elpv_{cells}"] = (split.train, split.test)
    return {name: ([good[i] for i in spread(len(good), train)], test) for name, (good, test) in sets.items()}
