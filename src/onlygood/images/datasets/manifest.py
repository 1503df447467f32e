"""A CSV manifest: one line for each image, with the columns path, split, label and, where wanted, mask and category.

Paths are relative to the CSV. `split` is train, validation or test; `label` is good (ok, normal, 0) or the type of
defect; `mask` may name several files, separated by `;`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from onlygood.images.datasets.base import Category, Layout, Problems
from onlygood.images.datasets.trees import sample_of
from onlygood.images.layouts import GOOD_NAMES, Sample

NAME = "manifest.csv"
NEEDED = ("path", "split", "label")
SPLITS = ("train", "validation", "test")


def file_of(root: Path) -> Path:
    """The manifest itself: the root, or `manifest.csv` in it."""
    return root / NAME if root.is_dir() else root


def _why_not(root: Path) -> str | None:
    if root.is_dir():
        return None if (root / NAME).is_file() else f"no file {NAME}"
    return None if root.suffix.lower() == ".csv" else "it is no .csv file"


def _load(root: Path, problems: Problems) -> list[Category]:
    table = file_of(root)
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            rows = list(reader)
            columns = [column.strip() for column in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.error(table, f"{table} cannot be read as CSV in UTF-8: {error}. Save it again.")
        return []
    lacking = [column for column in NEEDED if column not in columns]
    if lacking or not rows:
        what = f"lacks the column {lacking[0]!r}" if lacking else "lists no image"
        problems.error(table, f"{table} {what}. Its columns are path, split, label and, if wanted, mask and category.")
        return []
    parts: dict[str, dict[str, list[Path]]] = {}
    tests: dict[str, list[Sample]] = {}
    seen: dict[Path, int] = {}
    for number, row in enumerate(rows, 2):
        cells = {str(key).strip(): (value or "").strip() for key, value in row.items() if isinstance(value, str)}
        name = cells.get("category") or (table.parent.resolve().name if table.name == NAME else table.stem)
        problems.category = name
        parts.setdefault(name, {split: [] for split in SPLITS})
        tests.setdefault(name, [])
        line = _line(table, number, cells, seen, problems)
        if line is None:
            continue
        if cells["split"] == "test":
            tests[name].append(line)
        else:
            parts[name][cells["split"]].append(line.path)
    categories = []
    for name in sorted(parts):
        categories.append(
            Category(
                name,
                tuple(sorted(parts[name]["train"])),
                tuple(sorted(parts[name]["validation"])),
                tuple(sorted(tests[name], key=lambda sample: sample.path)),
            )
        )
    return categories


def _line(table: Path, number: int, cells: dict[str, str], seen: dict[Path, int], problems: Problems) -> Sample | None:
    """What a line says of an image; None, and an error, if it cannot be used."""
    where = f"Line {number} of {table}"
    split, label = cells.get("split", ""), cells.get("label", "")
    if not cells.get("path"):
        problems.error(table, f"{where} names no image. Fill in its path or remove the line.")
        return None
    path = table.parent / cells["path"]
    defect = "good" if label.lower() in GOOD_NAMES or label == "0" else "defective" if label == "1" else label
    masks = tuple(table.parent / part.strip() for part in cells.get("mask", "").split(";") if part.strip())
    wrong = None
    if split not in SPLITS:
        wrong = f"{where} has the split {split!r}. Write train, validation or test."
    elif not defect:
        wrong = f"{where} has no label. Write good or the type of defect."
    elif split != "test" and defect != "good":
        wrong = f"{where} puts the defective image {path} ({label}) into {split}, but only good images belong there."
    elif path in seen:
        wrong = f"{where} lists {path} again, after line {seen[path]}. Remove one."
    elif not path.is_file():
        wrong = f"{where} names the image {path}, which is not there. Copy it, or mend the path."
    for mask in masks:
        if not mask.is_file():
            wrong = wrong or f"{where} names the mask {mask}, which is not there. Copy it, or mend the path."
    seen.setdefault(path, number)
    if wrong:
        problems.error(table, wrong)
        return None
    return sample_of(path, defect, masks if defect != "good" else ())


MANIFEST = Layout("manifest", "CSV manifest", "as the manifest says", _why_not, _load)
