"""Accuracy, false rejects and time of every row of docs/results.md, on real images, in one command.

    python benchmarks/results.py --data FOLDER_OF_SETS --into docs/results.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. One record per
run is appended to results.jsonl; a run that is there already is not repeated, so an interrupted sweep goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np

import onlygood
from onlygood.errors import DataWarning
from onlygood.evaluation.runs.memory import peak_bytes
from onlygood.evaluation.speed import model_bytes
from onlygood.evaluation.testset import run_test
from onlygood.images import find_good_images, find_labelled_images
from onlygood.images.elpv import load_elpv
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from onlygood.methods import Detector
from onlygood.progress import TerminalProgress

SEEDED = (0, 1, 2)
LDKNN_PUBLISHED = "99.1, ResNet-18 (K = 5)"
REB_PUBLISHED = "99.3, ResNet-18 (K = 5)"
DEFECTMAKER_PUBLISHED = "98.7, ResNet-18"


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Attributes:
        make: The detector, for a seed and a checkpoint of its fine-tuning.
        seeds: It is run with; one where nothing is drawn.
        published: The image AUROC of the published system that it corresponds to, on MVTec AD unless another set is
            named, and its backbone.
    """

    make: Callable[[int, Path], Detector]
    seeds: tuple[int, ...] = (0,)
    published: str = ""


ROWS = {
    "1-NN, full bank, plain maximum": Row(
        lambda s, c: onlygood.KNN(image_score="max", seed=s), published="98.2, ResNet-18 (REB, PatchCore at 100 %)"
    ),
    "1-NN, full bank": Row(lambda s, c: onlygood.KNN(seed=s)),
    "1-NN, 10 % coreset": Row(lambda s, c: onlygood.KNN(coreset=0.1, seed=s), SEEDED),
    "1-NN, 1 % coreset": Row(lambda s, c: onlygood.KNN(coreset=0.01, seed=s), SEEDED),
    "PatchCore, paper": Row(
        lambda s, c: onlygood.PatchCore.from_preset("paper", seed=s), SEEDED, "99.2, WideResNet-50 (10 %)"
    ),
    "PatchCore, released": Row(
        lambda s, c: onlygood.PatchCore.from_preset("released", seed=s), SEEDED, "99.2, WideResNet-50 (10 %)"
    ),
    "LDKNN, paper (K=5, alpha=1, maximum)": Row(
        lambda s, c: onlygood.LDKNN.from_preset("paper", seed=s), published=LDKNN_PUBLISHED
    ),
    "LDKNN = REB as it comes": Row(lambda s, c: onlygood.REB(seed=s), published=LDKNN_PUBLISHED),
    "REB, K and alpha by synthetic defects": Row(lambda s, c: onlygood.REB(k="auto", alpha="auto", seed=s), SEEDED),
    "REB, fine-tuned (quick)": Row(
        lambda s, c: onlygood.REB(fine_tune="quick", checkpoint=c, seed=s), SEEDED, REB_PUBLISHED
    ),
    "DefectMaker (quick) + 1-NN": Row(
        lambda s, c: onlygood.REB(fine_tune="quick", alpha=0.0, checkpoint=c, seed=s), SEEDED, DEFECTMAKER_PUBLISHED
    ),
    "LOF": Row(lambda s, c: onlygood.LOF(seed=s)),
    "LDOF": Row(lambda s, c: onlygood.LDOF(seed=s)),
    "GDE (whole image)": Row(lambda s, c: onlygood.GDE(seed=s), SEEDED),
    "DN2 (whole image)": Row(lambda s, c: onlygood.DN2(seed=s)),
    "SPADE": Row(lambda s, c: onlygood.SPADE(seed=s)),
    "PaDiM": Row(lambda s, c: onlygood.PaDiM(seed=s), SEEDED, "95.8, WideResNet-50 (SimpleNet's table)"),
    "DFM": Row(lambda s, c: onlygood.DFM(seed=s), SEEDED),
    "BTF, colour alone": Row(lambda s, c: onlygood.BTF(seed=s), SEEDED, "78.5, WideResNet-50, on MVTec 3D-AD"),
    "BTM, colour alone": Row(lambda s, c: onlygood.BTM(seed=s), SEEDED, "81.6, WideResNet-50, on MVTec 3D-AD"),
    "SimpleNet, quick": Row(
        lambda s, c: onlygood.SimpleNet.from_preset("quick", seed=s), SEEDED, "99.6, WideResNet-50, best epoch"
    ),
    "ULSAD, quick": Row(
        lambda s, c: onlygood.ULSAD.from_preset("quick", seed=s), SEEDED, "97.65, WideResNet-50, best epoch"
    ),
}
#: What the other rows' errors are compared with.
BASELINE = "1-NN, full bank, plain maximum"
#: Where the tables go in the page named with --into.
MARKS = ("<!-- tables -->", "<!-- end of tables -->")
COLUMNS = {
    "image_auroc": "I-AUROC",
    "pixel_auroc": "P-AUROC",
    "aupro": "AUPRO",
    "frr1": "false rejects at 1 %",
    "frr5": "at 5 %",
    "escape1": "escapes at 1 %",
    "escape5": "at 5 %",
    "fit_s": "fit s",
    "ms": "inspect ms",
    "model_mb": "model MB",
    "peak_mib": "peak MiB",
}


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


def run(row: str, seed: int, checkpoint: Path, good: list[Path], test: list[Sample]) -> dict[str, Any]:
    """Fit, inspect and evaluate; rates as fractions, times in seconds and milliseconds, memory of this process."""
    warnings.simplefilter("ignore", DataWarning)
    detector = ROWS[row].make(seed, checkpoint)
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
    return {
        **record,
        "fit_s": fit_s,
        "ms": tested.ms_per_image,
        "model_mb": model_bytes(detector) / 1e6,
        "peak_mib": (peak_bytes() or 0) / 2**20,
        "n_train": len(good),
        "n_groups": groups,
    }


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: for each set, one line per row; mean over seeds, with the standard deviation of the AUROC."""
    lines = []
    for name in dict.fromkeys(r["set"] for r in records):
        of_set = [r for r in records if r["set"] == name]
        size = f"{of_set[0]['n_train']} training images in {of_set[0]['n_groups']} groups"
        lines += [f"### {name}", "", size + f"; {of_set[0]['n_good']} good, {of_set[0]['n_defect']} defective", ""]
        lines += ["| method | seeds | " + " | ".join(COLUMNS.values()) + " |", "|---|---" + "|---" * len(COLUMNS) + "|"]
        for row in ROWS:
            same = [r for r in of_set if r["row"] == row]
            if same:
                lines.append(f"| {row} | {len(same)} | " + " | ".join(_cell(same, c) for c in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


def averages(records: list[dict[str, Any]]) -> str:
    """Markdown: image AUROC averaged over the sets, and the error against plain 1-NN's."""
    sets = list(dict.fromkeys(r["set"] for r in records))
    lines = [
        "| method | mean I-AUROC | error (1 - AUROC) relative to plain 1-NN | published I-AUROC, not checkable here |",
        "|---|---|---|---|",
    ]
    baseline = None
    for row, what in ROWS.items():
        each = [[r["image_auroc"] for r in records if r["set"] == s and r["row"] == row] for s in sets]
        if not all(each):
            continue
        figure = mean(mean(values) for values in each)
        baseline = 1 - figure if row == BASELINE else baseline
        relative = f"{(1 - figure) / baseline:.0%}" if baseline else "-"
        lines.append(f"| {row} | {figure:.4f} | {relative} | {what.published or '-'} |")
    return "\n".join(lines)


def _cell(records: list[dict[str, Any]], column: str) -> str:
    values = [r[column] for r in records if r.get(column) is not None]
    if not values:
        return "-"
    if column in ("fit_s", "ms", "model_mb", "peak_mib"):
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
    records = (
        [json.loads(line) for line in arguments.records.read_text().splitlines()] if arguments.records.exists() else []
    )
    done = {(r["set"], r["row"], r["seed"], r["cap"]) for r in records}
    sets = data_sets(arguments.data, arguments.train)
    for row in arguments.rows:
        for seed in ROWS[row].seeds[: arguments.seeds]:
            for name, (good, test) in sets.items():
                if (arguments.sets and name not in arguments.sets) or (name, row, seed, arguments.train) in done:
                    continue
                labels = [sample.label for sample in test]
                about = {"set": name, "row": row, "seed": seed, "cap": arguments.train}
                counts = {"n_good": labels.count(0), "n_defect": labels.count(1)}
                checkpoint = arguments.records.with_name(f"{name}-{seed}-{arguments.train}.checkpoint")
                tuned_before = checkpoint.exists()  # rows with the same fine-tuning share it
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                    measured = process.submit(run, row, seed, checkpoint, good, test).result()
                record = {**about, **counts, **measured}
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
