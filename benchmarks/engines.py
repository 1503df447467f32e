"""Speed of each engine in each precision, and what int8 does to accuracy: the tables of docs/engines.md.

    python benchmarks/engines.py --data FOLDER_OF_SETS --into docs/engines.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. Times are of the
feature graph alone, one image at a time; the engines run each image one after the other, so that a busy moment strikes
all alike.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import onlygood
from development_sets import data_sets
from onlygood.errors import DataWarning
from onlygood.evaluation.metrics import auroc
from onlygood.features import FeatureGraph
from onlygood.features.engines import ENGINES, is_installed
from onlygood.features.export import build_feature_graph
from onlygood.features.quantize import CALIBRATION_IMAGES, quantized
from onlygood.images import as_sources, resize
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from onlygood.progress import silent

MARKS = ("<!-- tables -->", "<!-- end of tables -->")
PRECISIONS = ("float32", "int8")


def prepared(paths: list[Path], count: int, size: int) -> np.ndarray:
    """At most `count` images uint8 `(n, size, size, 3)`, evenly spread."""
    chosen = [as_sources([str(paths[i])])[0] for i in spread(len(paths), count)]
    return np.stack([resize(source.read(), size, source.name) for source in chosen])


def speed(good: list[Path], size: int, runs: int) -> list[str]:
    """Median and 95th percentile in milliseconds, and the features against those of the first row."""
    images = prepared(good, CALIBRATION_IMAGES, size)
    exact = build_feature_graph(size=size)
    graphs = {"float32": exact, "int8": quantized(exact, images)}
    lines = [
        "| threads | engine | precision | median ms | p95 ms | features: mean (lowest) cosine to the first row |",
        "|---|---|---|---|---|---|",
    ]
    for threads in (1, 2):
        made = {
            (engine, precision): FeatureGraph(graphs[precision].onnx, graphs[precision].spec, threads, engine)
            for precision in PRECISIONS
            for engine in ENGINES
            if is_installed(engine)
        }
        took: dict[tuple[str, str], list[float]] = {key: [] for key in made}
        first = None
        for number in range(-3, runs):
            order = list(made.items())
            for key, graph in order if number % 2 else reversed(order):
                image = images[number % len(images)][None]
                started = time.perf_counter()
                graph(image)
                if number >= 0:
                    took[key].append(1000 * (time.perf_counter() - started))
        for (engine, precision), graph in made.items():
            features = graph(images[:8])
            first = features if first is None else first
            lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(features, axis=-1)
            cosine = (first * features).sum(-1) / lengths
            ms = took[engine, precision]
            lines.append(
                f"| {threads} | {engine} | {precision} | {np.median(ms):.2f} | {np.percentile(ms, 95):.2f} "
                f"| {cosine.mean():.4f} ({cosine.min():.4f}) |"
            )
    return lines


def accuracy(sets: dict[str, tuple[list[Path], list[Sample]]], most_test: int) -> list[str]:
    """Image AUROC of REB as it comes, and how far the scores of another engine are, for each precision."""
    installed = [name for name in ENGINES if is_installed(name)]
    lines = [
        "| set | training / test images | precision | "
        + " | ".join(f"I-AUROC, {name}" for name in installed)
        + " | largest difference between engines, share of the highest score | other verdicts |",
        "|---|---|---|" + "---|" * (len(installed) + 2),
    ]
    for name, (good, test) in sets.items():
        test = [test[i] for i in spread(len(test), most_test)]
        labels = np.array([sample.label for sample in test])
        for precision in PRECISIONS:
            detector = onlygood.REB(precision=precision).fit([str(path) for path in good], progress=silent)
            scores, verdicts = [], []
            for engine in installed:
                graph = detector.graph_
                detector.graph_ = FeatureGraph(graph.onnx, graph.spec, graph.threads, engine)
                found = [detector.inspect([str(s.path)], maps=False, progress=silent)[0] for s in test]
                scores.append(np.array([one.score for one in found]))
                verdicts.append([one.verdict for one in found])
            figures = " | ".join(f"{auroc(labels, one):.4f}" for one in scores)
            apart = max(float(np.abs(one - scores[0]).max() / scores[0].max()) for one in scores)
            other = sum(a != b for a, b in zip(verdicts[0], verdicts[-1], strict=True))
            lines.append(f"| {name} | {len(good)} / {len(test)} | {precision} | {figures} | {apart:.1e} | {other} |")
            print(lines[-1], flush=True)
    return lines


def about() -> str:
    """Machine and versions in one line."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    packages = [f"{name} {version(name)}" for name in ENGINES if is_installed(name)]
    flags: Any = next((line.split() for line in _lines("/proc/cpuinfo") if line.startswith("flags")), [])
    extra = ", ".join(flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in flags)
    return (
        f"onlygood {onlygood.__version__}, {', '.join(packages)}, Python {platform.python_version()}; {cpu}"
        f" ({extra}), {os.cpu_count()} cores."
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=100, help="training images of a set at most")
    parser.add_argument("--test", type=int, default=150, help="test images of a set at most, evenly spread")
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced")
    given = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    sets = {k: v for k, v in data_sets(given.data, given.train).items() if not given.sets or k in given.sets}
    times = speed(next(iter(sets.values()))[0], given.size, given.runs)
    print("\n".join(times), flush=True)
    tables = "\n".join([about(), "", *times, "", *accuracy(sets, given.test)])
    if given.into:
        before, rest = given.into.read_text().split(MARKS[0])
        given.into.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


if __name__ == "__main__":
    main()
