"""Accuracy, false rejects and time of every row of docs/results.md, on real images, in one command.

    python benchmarks/results.py --data FOLDER_OF_SETS --into docs/results.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. One record per
run is appended to results.jsonl; a run that is there already is not repeated, so an interrupted sweep goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np

import onlygood
from onlygood.errors import DataWarning
from onlygood.evaluation.testset import run_test
from onlygood.images import find_good_images, find_labelled_images
from onlygood.images.elpv import load_elpv
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from onlygood.methods import Detector
from onlygood.progress import TerminalProgress

SEEDED = (0, 1, 2)
#: Row -> detector for a seed and a checkpoint of its fine-tuning, and the seeds it is run with.
ROWS: dict[str, tuple[Callable[[int, Path], Detector], tuple[int, ...]]] = {
    "1-NN, full bank, plain maximum": (lambda s, c: onlygood.KNN(image_score="max", seed=s), (0,)),
    "1-NN, full bank": (lambda s, c: onlygood.KNN(seed=s), (0,)),
    "1-NN, 10 % coreset": (lambda s, c: onlygood.KNN(coreset=0.1, seed=s), SEEDED),
    "1-NN, 1 % coreset": (lambda s, c: onlygood.KNN(coreset=0.01, seed=s), SEEDED),
    "BTF, colour alone": (lambda s, c: onlygood.BTF(seed=s), (0,)),
    "BTM, colour alone": (lambda s, c: onlygood.BTM(seed=s), (0,)),
    "LDKNN, paper (K=5, alpha=1, maximum)": (lambda s, c: onlygood.LDKNN.from_preset("paper", seed=s), (0,)),
    "LDKNN = REB as it comes": (lambda s, c: onlygood.REB(seed=s), (0,)),
    "REB, K and alpha by synthetic defects": (lambda s, c: onlygood.REB(k="auto", alpha="auto", seed=s), SEEDED),
    "REB, fine-tuned (quick)": (lambda s, c: onlygood.REB(fine_tune="quick", checkpoint=c, seed=s), SEEDED),
    "DefectMaker (quick) + 1-NN": (
        lambda s, c: onlygood.REB(fine_tune="quick", alpha=0.0, checkpoint=c, seed=s),
        SEEDED,
    ),
    "SimpleNet": (lambda s, c: onlygood.SimpleNet(seed=s), SEEDED),
    "ULSAD": (lambda s, c: onlygood.ULSAD(seed=s), SEEDED),
    "ULSAD, quick": (lambda s, c: onlygood.ULSAD.from_preset("quick", seed=s), SEEDED),
    "SimpleNet, quick": (lambda s, c: onlygood.SimpleNet.from_preset("quick", seed=s), SEEDED),
}
#: Where the tables go in the page named with --into.
MARKS = ("<!-- tables -->", "<!-- end of tables -->")
COLUMNS = ("image_auroc", "pixel_auroc", "aupro", "frr1", "frr5", "escape1", "escape5", "fit_s", "ms")


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


def run(detector: Detector, good: list[Path], test: list[Sample]) -> dict[str, Any]:
    """Fit, inspect and evaluate; rates as fractions, times in seconds and milliseconds."""
    started = time.perf_counter()
    with TerminalProgress() as bars:
        detector.fit([str(path) for path in good], progress=bars)
        fit_s = time.perf_counter() - started
        tested = run_test(detector, test, progress=bars)
    figures = tested.evaluate().as_dict()
    labels = np.array([sample.label for sample in test])
    scores = np.array([i.score for i in tested.inspections])
    record = {key: figures[key] for key in ("image_auroc", "pixel_auroc", "aupro")}
    for percent in (1, 5):
        threshold = detector.calibration_.at(percent / 100, max(percent / 100, 0.05)).ng_threshold
        record[f"frr{percent}"] = float((scores[labels == 0] > threshold).mean())
        record[f"escape{percent}"] = float((scores[labels == 1] <= threshold).mean())
    groups = len(set(detector.training_.groups))
    return {**record, "fit_s": fit_s, "ms": tested.ms_per_image, "n_train": len(good), "n_groups": groups}


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: for each set, one line per row; mean over seeds, with the standard deviation of the AUROC."""
    lines = []
    for name in dict.fromkeys(r["set"] for r in records):
        of_set = [r for r in records if r["set"] == name]
        size = f"{of_set[0]['n_train']} training images in {of_set[0]['n_groups']} groups"
        lines += [f"### {name}", "", size + f"; {of_set[0]['n_good']} good, {of_set[0]['n_defect']} defective", ""]
        lines += [
            "| method | seeds | I-AUROC | P-AUROC | AUPRO | false rejects at 1 % | at 5 % | escapes at 1 % | at 5 % "
            "| fit s | inspect ms |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in ROWS:
            same = [r for r in of_set if r["row"] == row]
            if same:
                lines.append(f"| {row} | {len(same)} | " + " | ".join(_cell(same, c) for c in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


def averages(records: list[dict[str, Any]]) -> str:
    """Markdown: image AUROC averaged over the sets, and the error against plain 1-NN's."""
    sets = list(dict.fromkeys(r["set"] for r in records))
    lines = ["| method | mean I-AUROC | error (1 - AUROC) relative to plain 1-NN |", "|---|---|---|"]
    baseline = None
    for row in ROWS:
        each = [[r["image_auroc"] for r in records if r["set"] == s and r["row"] == row] for s in sets]
        if not all(each):
            continue
        figure = mean(mean(values) for values in each)
        baseline = baseline or 1 - figure
        lines.append(f"| {row} | {figure:.4f} | {(1 - figure) / baseline:.0%} |")
    return "\n".join(lines)


def _cell(records: list[dict[str, Any]], column: str) -> str:
    values = [r[column] for r in records if r[column] is not None]
    if not values:
        return "-"
    if column in ("fit_s", "ms"):
        return f"{median(values):.0f}"
    if column.startswith(("frr", "escape")):
        return f"{100 * mean(values):.1f} %"
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 and column == "image_auroc" else ""
    return f"{mean(values):.3f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=200, help="training images of a set at most")
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--records", type=Path, default=Path("results.jsonl"))
    parser.add_argument("--seeds", type=int, default=len(SEEDED), help="how many of a row's seeds")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced, such as docs/results.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    records = (
        [json.loads(line) for line in arguments.records.read_text().splitlines()] if arguments.records.exists() else []
    )
    done = {(r["set"], r["row"], r["seed"], r["cap"]) for r in records}
    sets = data_sets(arguments.data, arguments.train)
    for row in arguments.rows:
        make, seeds = ROWS[row]
        for seed in seeds[: arguments.seeds]:
            for name, (good, test) in sets.items():
                if (arguments.sets and name not in arguments.sets) or (name, row, seed, arguments.train) in done:
                    continue
                labels = [sample.label for sample in test]
                about = {"set": name, "row": row, "seed": seed, "cap": arguments.train}
                counts = {"n_good": labels.count(0), "n_defect": labels.count(1)}
                checkpoint = arguments.records.with_name(f"{name}-{seed}-{arguments.train}.checkpoint")
                tuned_before = checkpoint.exists()  # rows with the same fine-tuning share it
                record = {**about, **counts, **run(make(seed, checkpoint), good, test)}
                if tuned_before and "DefectMaker" in row:
                    record["fit_s"] = None
                records.append(record)
                with arguments.records.open("a") as file:
                    file.write(json.dumps(record) + "\n")
    records = [r for r in records if r["cap"] == arguments.train]
    about = f"onlygood {onlygood.__version__}, Python {platform.python_version()}, {platform.machine()}"
    tables = f"{about}\n\n{averages(records)}\n\n{table(records)}"
    print(tables)
    if arguments.into:
        before, rest = arguments.into.read_text().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        arguments.into.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
