"""How well does the label-free choice of `onlygood choose` rank candidates? Compared with true test images.

    python benchmarks/ranking.py --data FOLDER_OF_SETS --into docs/choosing.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. Each set's candidates
are compared as a user would do it, on its training images; then each is fitted on all of these and scored on the
labelled test images. One record per set is appended to ranking.jsonl; a set that is there already is not repeated.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from development_sets import data_sets
from onlygood.errors import DataWarning
from onlygood.evaluation.choosing import CANDIDATES, choose
from onlygood.evaluation.metrics import auroc
from onlygood.images.layouts import Sample
from records import replace_between


def measured(name: str, good: list[Path], test: list[Sample], names: list[str]) -> dict[str, Any]:
    """Estimate and truth of each candidate on one set."""
    candidates = [one for one in CANDIDATES if one.name in names]
    choice = choose([str(path) for path in good], candidates)
    labels = [sample.label for sample in test]
    truth = []
    for candidate in candidates:
        detector = candidate.make().fit([str(path) for path in good])
        truth.append(auroc(labels, detector.score([str(sample.path) for sample in test])))
    return {
        "set": name,
        "candidates": [one.name for one in candidates],
        "estimates": [one.auroc for one in choice.estimates],
        "truth": truth,
        "recommended": choice.recommended,
        "held_out": choice.held_out,
    }


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: rank correlation, and what following the recommendation or the highest estimate would have cost."""
    lines = [
        "| set | candidates | held-out images | rank correlation | true AUROC of the default | of the recommended "
        "| of the highest estimate | of the truly best |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        truth = r["truth"]
        rho = spearmanr(r["estimates"], truth).statistic if len(set(truth)) > 1 else float("nan")
        rank = "- (all alike)" if np.isnan(rho) else f"{rho:.2f}"
        chosen, highest = truth[r["recommended"]], truth[int(np.argmax(r["estimates"]))]
        figures = " | ".join(f"{value:.3f}" for value in (truth[0], chosen, highest, max(truth)))
        lines.append(f"| {r['set']} | {len(truth)} | {r['held_out']} | {rank} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=200, help="training images of a set at most")
    parser.add_argument("--records", type=Path, default=Path("ranking.jsonl"))
    parser.add_argument("--candidates", nargs="*", default=[one.name for one in CANDIDATES])
    parser.add_argument("--into", type=Path, help="page in which the table is replaced, such as docs/choosing.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    records = (
        [json.loads(line) for line in arguments.records.read_text().splitlines()] if arguments.records.exists() else []
    )
    done = {record["set"] for record in records}
    for name, (good, test) in data_sets(arguments.data, arguments.train).items():
        if name not in done:
            records.append(measured(name, good, test, arguments.candidates))
            with arguments.records.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
    print(table(records))
    if arguments.into:
        replace_between(arguments.into, "ranks", table(records))


if __name__ == "__main__":
    main()
