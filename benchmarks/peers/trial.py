"""A short trial of the peers: do they run, do their routes agree, what AUROC do they reach? Not the benchmark.

    python benchmarks/peers/trial.py --peers FOLDER_OF_ENVIRONMENT --data SET

SET is laid out as MVTec AD is. Runs in onlygood's environment.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from options import ANOMALIB, for_anomalib, for_plain
from protocol import Peer, time_command

from onlygood.evaluation.metrics import auroc

HERE = Path(__file__).parent


def spread(files: list[Path], count: int) -> list[str]:
    """`count` of the files, evenly spread."""
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [str(files[i]) for i in chosen]


def show(what: str, answer: dict[str, Any]) -> None:
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in answer.items() if k != "step"}
    print(f"{what}: {json.dumps(rounded)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", choices=ANOMALIB, default="efficientnet_lite0")
    parser.add_argument("--train", type=int, default=20)
    parser.add_argument("--test", type=int, default=10, help="half of them good")
    parser.add_argument("--ratio", type=float, default=0.01)
    parser.add_argument("--picks", type=int)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()

    train = spread(sorted((given.data / "train/good").iterdir()), given.train)
    good = spread(sorted((given.data / "test/good").iterdir()), given.test // 2)
    bad = spread(sorted(f for f in (given.data / "test").glob("*/*") if f.parent.name != "good"), given.test // 2)
    labels = np.array([False] * len(good) + [True] * len(bad))
    theirs, plain = for_anomalib(given.backbone, given.ratio), for_plain(given.backbone, given.ratio)
    python = given.peers / "bin/python"
    scores: dict[str, np.ndarray[Any, Any]] = {}

    show("anomalib --help", time_command([given.peers / "bin/anomalib", "--help"]))
    show("import anomalib.models", time_command([python, "-c", "import anomalib.models"]))
    with tempfile.TemporaryDirectory() as work:

        def peer(interpreter: str | Path, script: str) -> Peer:
            return Peer(interpreter, HERE / script, threads=given.threads, folder=work)

        def inspect(name: str, interpreter: str | Path, script: str, folder: str, route: str) -> None:
            with peer(interpreter, script) as child:
                child.ask("load", folder=folder, route=route, threads=given.threads)
                child.ask("inspect", images=good[:1], route=route)  # warm
                answer = child.ask("inspect", images=good + bad, route=route)
            times, scores[name] = answer.pop("milliseconds"), np.array(answer.pop("scores"))
            answer["median_ms"], answer["auroc"] = float(np.median(times)), auroc(labels, scores[name])
            show(f"inspect {name}", answer)

        for name, interpreter, script, asked in (
            ("anomalib", python, "anomalib_patchcore.py", theirs),
            ("plain", sys.executable, "plain_patchcore.py", plain),
        ):
            folder = f"{work}/{name}"
            with peer(interpreter, script) as child:
                show(f"{name} ready after {child.start_seconds:.1f} s", child.ready)
                same = {"images": train, "into": folder, "threads": given.threads, "picks": given.picks}
                show(f"fit {name}", child.ask("fit", **same, **asked))
            routes = ["plain"]
            if name == "anomalib":
                routes = ["engine", "torch", "onnx", "openvino", "openvino-f32"]
                with peer(interpreter, script) as child:
                    done = child.ask("export", folder=folder, threads=given.threads)
                show(f"export {name}", done)
                routes = [r for r in routes if not isinstance(done["seconds"].get(r.split("-")[0]), str)]
            for route in routes:
                inspect(f"{name} {route}", interpreter, script, folder, route)
    reference = scores["anomalib engine"]
    for name, values in scores.items():
        away = np.abs(values - reference).max() / reference.mean()
        print(f"{name}: {np.round(values, 4).tolist()}, at most {away:.2%} of the mean score from the engine's")


if __name__ == "__main__":
    main()
