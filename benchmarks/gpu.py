"""onlygood on a CUDA GPU beside the CPU of the same machine: fitting, inspecting, and whether the scores agree.

    python benchmarks/gpu.py --data FOLDER_OF_SETS --into docs/benchmarks.md

Needs torch and ONNX Runtime for CUDA. Every row is a process of its own. A model fitted on the GPU is searched exactly
there, and once more on the CPU; one fitted on the CPU is searched by graph. Records go to OUT/gpu.jsonl.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from development_sets import data_sets
from onlygood.evaluation.metrics import auroc
from onlygood.images.sources import spread
from peers.options import BACKBONES, for_ours
from peers.protocol import Peer, PeerError
from records import Records, replace_between, where
from speed_page import STAGES, table

HERE = Path(__file__).resolve().parent
#: Images scored with a model of the GPU on the CPU.
AGREEING = 5


@dataclass(frozen=True)
class Row:
    """Fitted on one device, inspected on one."""

    fitted: str
    inspected: str

    @property
    def search(self) -> str:
        return "graph" if self.fitted == "cpu" else "exact"

    @property
    def timed(self) -> bool:
        """Exact search on the CPU takes seconds for an image: a few scores, to compare, are enough."""
        return self.search == "graph" or self.inspected == "cuda"


ROWS = (Row("cuda", "cuda"), Row("cuda", "cpu"), Row("cpu", "cpu"))


def measure(given: argparse.Namespace, records: Records) -> None:
    """Fit on each device; then each row of the table."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    good, test = data_sets(given.data, given.train)[given.set]
    train = [str(path) for path in good]
    chosen = [test[i] for i in spread(len(test), given.test)]
    paths = [str(sample.path) for sample in chosen]
    timed = [paths[i] for i in spread(len(paths), given.images)]
    labels = np.array([sample.label for sample in chosen])
    folder = given.out.resolve()

    def ask(key: dict[str, Any], kind: str, what: Any) -> None:
        try:
            with Peer(
                sys.executable, HERE / "peers/ours.py", threads=given.threads, folder=folder, timeout=given.timeout
            ) as child:
                values = what(child)
        except PeerError as error:
            values = {"error": str(error)[-3000:]}
        records.add(kind, key, values, GPU=gpu)
        shown = {name: value for name, value in values.items() if name not in ("stages", "scores")}
        print(f"{kind} {key}: {shown}", flush=True)

    for backbone in given.backbones:
        base = {"set": given.set, "backbone": backbone, "train": len(train), "threads": given.threads}
        for device in ("cuda", "cpu"):
            asked = {
                "images": train,
                "into": folder / f"gpu-{backbone}-{device}",
                "threads": given.threads,
                "device": device,
            }
            asked |= for_ours(backbone, 1.0)
            ask({**base, "device": device}, "gpu fit", lambda child, asked=asked: child.ask("fit", **asked))
        for row in ROWS:

            def inspected(child: Peer, row: Row = row, backbone: str = backbone) -> dict[str, Any]:
                place = {"folder": folder / f"gpu-{backbone}-{row.fitted}", "device": row.inspected}
                child.ask("load", **place, threads=given.threads)
                if not row.timed:
                    return child.ask("inspect", images=paths[:AGREEING])
                values = child.ask("speed", images=timed, repeats=given.repeats, patches=given.patches)
                scores = child.ask("inspect", images=paths)["scores"]
                return {**values, "scores": scores, "auroc": auroc(labels, np.array(scores))}

            ask({**base, "fitted": row.fitted, "inspected": row.inspected}, "gpu inspect", inspected)


def page(records: Records) -> str:
    """Where it was measured, and a row for each backbone, place of fitting and place of inspecting."""
    rows = []
    fits = {(r["key"]["backbone"], r["key"]["device"]): r["values"] for r in records.good("gpu fit")}
    first: dict[str, list[float]] = {}
    for record in records.good("gpu inspect"):
        key, values = record["key"], record["values"]
        backbone = key["backbone"]
        row = Row(key["fitted"], key["inspected"])
        fitted = fits[backbone, row.fitted]
        reference = first.setdefault(backbone, values["scores"])
        most = max(abs(a - b) for a, b in zip(values["scores"], reference)) / max(reference)
        random = fitted["weights"].startswith("random")  # for timing only
        cells = [backbone + ", random weights" * random, row.fitted, f"{fitted['seconds']:.1f}"]
        cells += [row.inspected, row.search]
        if row.timed:
            stages = values["stages"]
            cells += [f"{stages[name]['median_ms']:.1f}" for name in STAGES]
            cells += [f"{stages['whole']['p95_ms']:.1f}", f"{values['images_per_second']:.0f}"]
            cells += ["-" if random or values["auroc"] is None else f"{values['auroc']:.4f}"]
        else:
            cells += ["-"] * (len(STAGES) + 3)
        rows.append([*cells, f"{most:.1e}"])
    head = ["backbone", "fitted on", "fit s", "inspected on", "search", *(f"{name} ms" for name in STAGES)]
    head += ["p95 ms", "images/s of a folder", "I-AUROC", "largest difference of a score to the first row"]
    return "\n\n".join([where(records.counting({})), table(head, rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets; without it ELPV alone")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="records and models")
    parser.add_argument("--into", type=Path, help="page in which the table is replaced, such as docs/benchmarks.md")
    parser.add_argument("--render", action="store_true", help="measure nothing, only make the table")
    parser.add_argument("--set", default="magnetic_tile")
    parser.add_argument("--backbones", nargs="*", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--train", type=int, default=209, help="training images at most, evenly spread")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=20, help="test images that are timed")
    parser.add_argument("--repeats", type=int, default=5, help="turns over these images")
    parser.add_argument("--test", type=int, default=150, help="test images of the AUROC")
    parser.add_argument("--patches", type=int, default=200, help="patches of the recall")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one answer of a process may take")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    records = Records(given.out / "gpu.jsonl")
    if not given.render:
        measure(given, records)
    text = page(records)
    print(text)
    if given.into:
        replace_between(given.into, "gpu", text)


if __name__ == "__main__":
    main()
