"""Do PatchCore, PaDiM and DFM compute what anomalib's do? Both are given the same features of real images.

    python benchmarks/agreement.py --peers FOLDER_OF_ENVIRONMENT --data SET [--into docs/agreement.md]

FOLDER_OF_ENVIRONMENT is made by benchmarks/peers/install.sh, SET is laid out as MVTec AD is. Our detectors are fitted
and asked through their own interface; anomalib's model functions get the same features (peers/anomalib_numbers.py).
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import onlygood
from onlygood.errors import DataWarning
from onlygood.features.backbones import find_backbone
from onlygood.features.weights import load_network, resolve
from onlygood.images import as_sources, find_good_images, find_labelled_images
from onlygood.images.preparing import resize
from onlygood.images.sources import spread
from onlygood.memory import greedy_coreset
from onlygood.memory.bank import halved
from onlygood.methods import Detector

#: Where the table goes in the page named with --into.
MARKS = ("<!-- table -->", "<!-- end of table -->")
SIZE, B, POOL, SHARE, D = 256, 9, 2, 0.97, 50
#: anomalib adds 0.01 to the diagonal, and 0.00001 once more.
EPS = 0.01001
Arrays = dict[str, np.ndarray]


def feature_maps(images: np.ndarray) -> list[np.ndarray]:
    """Maps `(n, c, h, w)` at strides 4, 8 and 16, by torch."""
    spec = find_backbone("efficientnet_lite0")
    network = load_network(spec, resolve(spec, allow_download=False)).eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    with torch.no_grad():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std
        return [m.numpy() for m in network.feature_maps(x, spec.pyramid)]


def ours(train: list[str], test: list[str], images: np.ndarray) -> tuple[Arrays, Arrays]:
    """What anomalib is given, and our numbers under the names of its."""
    common: dict[str, Any] = {"size": SIZE, "groups": "none"}
    core = onlygood.PatchCore.from_preset("paper", index="exact", b=B, **common).fit(train)
    padim = onlygood.PaDiM.from_preset("released", d=D, eps=EPS, **common).fit(train)
    released = {"pool": POOL, "components": SHARE, **common}
    dfm = onlygood.DFM.from_preset("released", **released).fit(train)
    nll = onlygood.DFM.from_preset("paper", **released).fit(train)

    finest, fine, coarse = feature_maps(images)
    queries = np.stack([halved(f) for f in of_graph(core, test)]).astype(np.float32)
    points = of_graph(core, train)[:6].reshape(-1, queries.shape[-1])[::3]
    torch.manual_seed(0)
    start = int(torch.randint(high=len(points), size=(1,)))
    picks = greedy_coreset(points, len(points) // 10, start=start, projection=None)
    kept = of_graph(padim, train + test)[..., padim.channels_].transpose(0, 3, 1, 2)
    given = {
        "padim_train": np.ascontiguousarray(kept[: len(train)]),
        "padim_test": np.ascontiguousarray(kept[len(train) :]),
        "finest": finest,
        "fine": fine,
        "coarse": coarse,
        "bank": core.bank_.vectors.astype(np.float32),
        "queries": queries,
        "points": points,
        "picks": picks,
        "b": np.array(B),
        "size": np.array(SIZE),
        "channels": padim.channels_,
        "train": np.array(len(train)),
        "pool": np.array(POOL),
        "components": np.array(len(dfm.subspace_.axes)),
        "share": np.array(SHARE),
    }
    found = {
        "patchcore_features": of_graph(core, train + test).transpose(0, 3, 1, 2),
        "padim_features": kept,
        "picks": picks,
        "nll_scores": nll.score(test),
    }
    for name, detector in (("patchcore", core), ("padim", padim), ("dfm", dfm)):
        scored = [detector._scores_of(source) for source in as_sources(test)]
        found[f"{name}_distances"] = np.stack([one.patches for one in scored])
        found[f"{name}_scores"] = np.array([one.score for one in scored])
        found[f"{name}_maps"] = np.stack([i.map for i in detector.inspect(test) if i.map is not None])
    found["dfm_components"] = given["components"]
    return given, found


def of_graph(detector: Detector, files: list[str]) -> np.ndarray:
    """Patch features `(n, h, w, D)` of a detector's own graph."""
    return np.stack([detector.graph_.features(source)[0] for source in as_sources(files)])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, relative to the largest number."""
    a, b = (np.asarray(x, np.float64).reshape(len(b), -1) for x in (a, b))
    return float(np.abs(a - b).max() / np.abs(b).max())


def inner(maps: np.ndarray, margin: int = 20) -> np.ndarray:
    """Maps without the border, which both blur otherwise."""
    return maps.reshape(-1, SIZE, SIZE)[:, margin:-margin, margin:-margin]


def rows(mine: Arrays, theirs: Arrays) -> list[tuple[str, str, str]]:
    """What is compared, largest relative difference, remark."""

    def row(what: str, name: str, other: str = "", remark: str = "") -> tuple[str, str, str]:
        return what, f"{difference(mine[name], theirs[other or name]):.1e}", remark

    same = int((mine["picks"] == theirs["picks"]).sum())
    padim_max = theirs["padim_maps"].reshape(len(mine["padim_scores"]), -1).max(axis=1)
    own = int(theirs["dfm_own_components"].ravel()[0])
    return [
        row("PatchCore, features from maps", "patchcore_features"),
        ("PatchCore, greedy coreset", f"{same} of {len(mine['picks'])} picks the same", "same start, no projection"),
        row("PatchCore, patch distances", "patchcore_distances"),
        row(f"PatchCore, re-weighted image score (b = {B})", "patchcore_scores"),
        row("PaDiM, features from maps", "padim_features"),
        row(
            "PaDiM, Mahalanobis distances",
            "padim_distances",
            "padim_double_distances",
            f"eps = {EPS}, as anomalib adds it twice; anomalib told to compute in double precision (in single "
            f"precision, as it does by itself: {difference(mine['padim_distances'], theirs['padim_distances']):.1e})",
        ),
        (
            "PaDiM, map off the border",
            f"{difference(inner(mine['padim_maps']), inner(theirs['padim_maps'])):.1e}",
            "20 pixels: the blurs mirror the border with and without its edge",
        ),
        ("PaDiM, image score", f"{difference(mine['padim_scores'], padim_max):.1e}", "maximum of the map"),
        row(
            "DFM, reconstruction error of each cell",
            "dfm_distances",
            "dfm_maps",
            f"{int(mine['dfm_components'])} components in both; by its own rule for {SHARE} anomalib keeps {own}",
        ),
        row("DFM, image score", "dfm_scores"),
        row(
            "DFM, likelihood",
            "nll_scores",
            remark="" if theirs["nll_fits"] else "anomalib's `fit` raises TypeError; set up by hand",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=20)
    parser.add_argument("--test", type=int, default=8)
    parser.add_argument("--into", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    good = find_good_images(arguments.data)
    labelled = find_labelled_images(arguments.data)
    train = [str(good[i]) for i in spread(len(good), arguments.train)]
    test = [str(labelled[i].path) for i in spread(len(labelled), arguments.test)]
    images = np.stack([resize(s.read(), SIZE, s.name) for s in as_sources(train + test)])
    given, mine = ours(train, test, images)
    child = Path(__file__).parent / "peers" / "anomalib_numbers.py"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(source, **given)
        subprocess.run([arguments.peers / "bin" / "python", child, source, target], check=True)
        theirs: Arrays = dict(np.load(target))
    lines = [
        f"onlygood {onlygood.__version__} and anomalib {theirs['version']} (torch {theirs['torch']}), "
        f"{platform.machine()}; {len(train)} training and {len(test)} test images of {arguments.data.name}, "
        f"EfficientNet-Lite0 at {SIZE} pixels",
        "",
        "| what | largest difference, relative to the largest value | remark |",
        "|---|---|---|",
        *(f"| {what} | {figure} | {remark} |" for what, figure, remark in rows(mine, theirs)),
    ]
    print("\n".join(lines))
    if arguments.into:
        before, rest = arguments.into.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        arguments.into.write_text("\n".join([before + MARKS[0], *lines, MARKS[1] + after]))


if __name__ == "__main__":
    main()
