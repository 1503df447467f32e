"""What a coreset costs in an exported detector: the table of docs/export.md.

    python benchmarks/exporting.py --data FOLDER_OF_SETS --into docs/export.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. The detector is REB as
it comes. Scores of the reduced detectors are those of the library; the graph says the same, which exporting checks.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import onlygood
from development_sets import data_sets
from onlygood.errors import DataWarning
from onlygood.evaluation.metrics import auroc
from onlygood.exporting.coreset import VECTORS, rank_correlation
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from onlygood.methods.anomaly_map import image_score
from onlygood.progress import silent

MARKS = ("<!-- tables -->", "<!-- end of tables -->")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)


def scores_of(detector: Any, features: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([image_score(detector._patch_scores(one), detector.image_score) for one in features])


def verdicts_of(detector: Any, scores: np.ndarray) -> np.ndarray:
    return np.array([str(detector.calibration_.verdict(float(score))) for score in scores])


def rows_of(name: str, good: Sequence[Path], test: Sequence[Sample]) -> list[str]:
    """One row for the whole bank and one for each coreset."""
    full = onlygood.REB().fit([str(path) for path in good], progress=silent)
    labels = [sample.label for sample in test]
    sources = onlygood.images.as_sources([str(sample.path) for sample in test])
    features = [full.graph_.features(source)[0] for source in sources]
    before = scores_of(full, features)
    total = len(full.bank_)
    counts = sorted({*(round(share * total) for share in SHARES), *([VECTORS] if total > VECTORS else [])})
    lines = []
    for detector in [*full.reductions(counts, progress=silent), full]:
        after = scores_of(detector, features)
        rejected, escaped = (
            np.mean(verdicts_of(detector, after)[np.equal(labels, label)] == word)
            for label, word in ((0, "NG"), (1, "OK"))
        )
        count = len(detector.bank_)
        lines.append(
            f"| {name}, {len(good)} / {len(test)} | {count:,} ({count / total:.1%}) "
            f"| {rank_correlation(full.calibration_.scores, detector.calibration_.scores):.3f} "
            f"| {rank_correlation(before, after):.3f} | {auroc(labels, after):.3f} | {rejected:.1%} | {escaped:.1%} "
            f"| {np.mean(verdicts_of(full, before) == verdicts_of(detector, after)):.1%} |"
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=60, help="training images of a set at most")
    parser.add_argument("--test", type=int, default=150, help="test images of a set at most, evenly spread")
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--into", type=Path, help="page in which the table is replaced")
    given = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    lines = [
        f"onlygood {onlygood.__version__}, Python {platform.python_version()}.",
        "",
        "| set, training / test images | vectors | fidelity | rank correlation on test images | I-AUROC "
        "| good called NG | defects called OK | verdict as with the whole bank |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (good, test) in data_sets(given.data, given.train).items():
        if not given.sets or name in given.sets:
            lines += rows_of(name, good, [test[i] for i in spread(len(test), given.test)])
    if given.into:
        before, rest = given.into.read_text().split(MARKS[0])
        given.into.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


if __name__ == "__main__":
    main()
