"""Miniature trees of every layout, in random noise: three training images, two good and two defective test images."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from onlygood.images.cifar10_batches import CLASSES, TEST, TRAIN

SHAPE = (12, 16)
rng = np.random.default_rng(3)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)).save(path)
    return path


def mask(path: Path, value: int = 255, part: slice = slice(2, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = np.zeros(SHAPE, np.uint8)
    marked[part, 3:9] = value
    Image.fromarray(marked).save(path)
    return path


def points(path: Path) -> Path:
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, rng.uniform(0.1, 1, (*SHAPE, 3)).astype(np.float32), photometric="minisblack", planarconfig="contig"
    )
    return path


def tree(folder: Path, good: str, bad: tuple[str, ...], ending: str = "png", mask_name: str = "{}_mask.png") -> None:
    for i in (2, 0, 1):
        picture(folder / "train" / good / f"{i:03d}.{ending}")
    for i in (1, 0):
        picture(folder / "test" / good / f"{i:03d}.{ending}")
    for number, kind in enumerate(bad):
        picture(folder / "test" / kind / f"{number:03d}.{ending}")
        mask(folder / "ground_truth" / kind / mask_name.format(f"{number:03d}"))


def mvtec_ad(root: Path) -> Path:
    for name in ("bottle", "screw"):
        tree(root / name, "good", ("broken", "contamination"))
    return root


def mpdd(root: Path) -> Path:
    for name in ("tubes", "connector"):
        tree(root / name, "good", ("anomalous", "bent"))
    return root


def btad(root: Path) -> Path:
    tree(root / "01", "ok", ("ko",), "bmp", "{}.png")
    tree(root / "02", "ok", ("ko",), "png", "{}.bmp")
    return root


CONFIG = [
    {"defect_name": "missing", "pixel_value": 255, "saturation_threshold": 10, "relative_saturation": False},
    {"defect_name": "scratch", "pixel_value": 200, "saturation_threshold": 0.5, "relative_saturation": True},
]


def mvtec_loco(root: Path) -> Path:
    for name in ("pushpins", "screw_bag"):
        folder = root / name
        for i in range(3):
            picture(folder / "train" / "good" / f"{i:03d}.png")
        picture(folder / "validation" / "good" / "000.png")
        picture(folder / "test" / "good" / "000.png")
        picture(folder / "test" / "logical_anomalies" / "000.png")
        picture(folder / "test" / "structural_anomalies" / "000.png")
        mask(folder / "ground_truth" / "logical_anomalies" / "000" / "000.png", 255)
        mask(folder / "ground_truth" / "logical_anomalies" / "000" / "001.png", 200, slice(8, 11))
        mask(folder / "ground_truth" / "structural_anomalies" / "000" / "000.png", 200)
        (folder / "defects_config.json").write_text(json.dumps(CONFIG))
    return root


def mvtec_3d(root: Path) -> Path:
    for name in ("bagel", "tire"):
        for kind in ("train/good", "validation/good", "test/good", "test/crack"):
            for i in range(3 if kind == "train/good" else 1):
                picture(root / name / kind / "rgb" / f"{i:03d}.png")
                points(root / name / kind / "xyz" / f"{i:03d}.tiff")
                if "test" in kind:
                    mask(root / name / kind / "gt" / f"{i:03d}.png", 255 if "crack" in kind else 0)
        (root / name / "calibration").mkdir()
    return root


def visa(root: Path) -> Path:
    rows = []
    for name in ("candle", "pcb1"):
        for i in range(5):
            path = picture(root / name / "Data" / "Images" / "Normal" / f"{i:04d}.JPG")
            split = "train" if i < 3 else "test"
            rows.append([name, split, "normal", path.relative_to(root).as_posix(), ""])
        for i in range(2):
            path = picture(root / name / "Data" / "Images" / "Anomaly" / f"{i:03d}.JPG")
            truth = mask(root / name / "Data" / "Masks" / "Anomaly" / f"{i:03d}.png", i + 1)
            rows.append([name, "test", "anomaly", *(p.relative_to(root).as_posix() for p in (path, truth))])
    return write_table(root / "split_csv" / "1cls.csv", ["object", "split", "label", "image", "mask"], rows).parents[1]


def magnetic_tile(root: Path) -> Path:
    for tile in range(5):
        for exposure in range(3):
            stem = f"exp{exposure + 1}_num_{1000 * tile + 20 * exposure}"
            mask(picture(root / "MT_Free" / "Imgs" / f"{stem}.jpg").with_suffix(".png"), 0)
    for kind in ("Blowhole", "Break", "Crack", "Fray", "Uneven"):
        mask(picture(root / f"MT_{kind}" / "Imgs" / "exp1_num_77.jpg").with_suffix(".png"))
    return root


def elpv(root: Path) -> Path:
    lines = []
    for cells in ("mono", "poly"):
        for i, probability in enumerate((*[0] * 20, 1, 1, 0.3333333333333333)):
            path = picture(root / "images" / f"{cells}{i:04d}.png")
            lines.append(f"images/{path.name}  {probability}   {cells}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def kolektor_sdd(root: Path) -> Path:
    for item in range(1, 6):
        for i in range(3):
            path = picture(root / f"kos{item:02d}" / f"Part{i}.jpg")
            mask(path.with_name(f"Part{i}_label.bmp"), 255 if i == item % 4 else 0)
    return root


def cifar10(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in (*TRAIN, *TEST):
        labels = rng.permutation(10).astype(np.uint8)[:, None]
        pixels = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
        (root / f"{name}.bin").write_bytes(np.hstack([labels, pixels]).tobytes())
    return root


def cifar10_in_pickles(root: Path, binary: Path) -> Path:
    """The same images in the other published form."""
    root.mkdir(parents=True, exist_ok=True)
    for path in binary.glob("*.bin"):
        records = np.frombuffer(path.read_bytes(), np.uint8).reshape(10, -1)
        table = {b"data": records[:, 1:].copy(), b"labels": records[:, 0].tolist()}
        (root / path.stem).write_bytes(pickle.dumps(table, protocol=2))
    return root


def folders(root: Path) -> Path:
    tree(root / "trays", "ok", ("scratch", "dent"))
    for i in range(6):
        picture(root / "caps" / "good" / f"{i}.png")
    picture(root / "caps" / "bad" / "a.png")
    return root


def manifest(root: Path) -> Path:
    rows = []
    for i in range(3):
        rows.append([picture(root / "good" / f"{i}.png"), "train", "good", "", "cap"])
    rows.append([picture(root / "good" / "v.png"), "validation", "normal", "", "cap"])
    rows.append([picture(root / "good" / "t.png"), "test", "0", "", "cap"])
    masks = [mask(root / "masks" / name) for name in ("a.png", "b.png")]
    rows.append([picture(root / "bad" / "x.png"), "test", "scratch", ";".join(relative(root, masks)), "cap"])
    rows = [[*relative(root, row[:1]), *row[1:]] for row in rows]
    write_table(root / "manifest.csv", ["path", "split", "label", "mask", "category"], rows)
    return root


def relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def write_table(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "mvtec_ad": mvtec_ad,
    "mpdd": mpdd,
    "btad": btad,
    "mvtec_loco": mvtec_loco,
    "mvtec_3d": mvtec_3d,
    "visa": visa,
    "magnetic_tile": magnetic_tile,
    "elpv": elpv,
    "kolektor_sdd": kolektor_sdd,
    "cifar10": cifar10,
    "folders": folders,
    "manifest": manifest,
}

#: Category -> counts of the miniature, under the keys that `published.toml` compares.
COUNTS: dict[str, dict[str, list[int]]] = {
    "mvtec_ad": {"bottle": [3, 2, 2], "screw": [3, 2, 2]},
    "mpdd": {"connector": [3, 2, 2], "tubes": [3, 2, 2]},
    "btad": {"01": [3, 2, 1], "02": [3, 2, 1]},
    "mvtec_loco": {"pushpins": [3, 1, 1, 1, 1], "screw_bag": [3, 1, 1, 1, 1]},
    "mvtec_3d": {"bagel": [3, 1, 1, 1], "tire": [3, 1, 1, 1]},
    "visa": {"candle": [3, 2, 2], "pcb1": [3, 2, 2]},
    "magnetic_tile": {"magnetic_tile": [15, 1, 1, 1, 1, 1]},
    "elpv": {"mono": [20, 2], "poly": [20, 2]},
    "kolektor_sdd": {"kolektor_sdd": [11, 4]},
    "cifar10": {name: [5, 1, 9] for name in CLASSES},
}
