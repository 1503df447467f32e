"""Whether a long-lived process stays as it is: memory over many inspections, and many threads at one detector.

    python benchmarks/steady.py --into docs/benchmarks.md

Solar cells (ELPV mono, package elpv-dataset). Every inspection must give the score of the first of its image. Records
go to OUT/steady.jsonl; --skip-done keeps what is there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from onlygood.features.engines import ENGINES, is_installed
from onlygood.images.datasets.elpv import load_elpv
from onlygood.images.sources import spread
from peers.options import for_ours
from peers.protocol import Peer, PeerError
from records import Records, replace_between, where

HERE = Path(__file__).resolve().parent


def measure(given: argparse.Namespace, records: Records) -> None:
    """Fit once, then each engine with one thread and with many, each in a fresh process."""
    split = load_elpv("mono")
    train = [str(split.train[i]) for i in spread(len(split.train), given.train)]
    images = [str(split.test[i].path) for i in spread(len(split.test), given.images)]
    folder = given.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def peer() -> Peer:
        return Peer(sys.executable, HERE / "peers/ours.py", threads=given.threads, folder=folder, timeout=given.timeout)

    fitted = False
    for engine in (name for name in ENGINES if is_installed(name)):
        for workers in (1, given.workers):
            key = {"engine": engine, "workers": workers, "inspections": given.count, "train": given.train}
            key["threads"] = given.threads
            if given.skip_done and records.done("steady", key):
                continue
            try:
                if not fitted:
                    with peer() as child:
                        asked = {"images": train, "into": folder / "steady-model", "threads": given.threads}
                        child.ask("fit", **asked, **for_ours("efficientnet_lite0", 1.0))
                    fitted = True
                with peer() as child:
                    child.ask("load", folder=folder / "steady-model", threads=given.threads, route=engine)
                    many = {"count": given.count, "workers": workers, "every": max(1, given.count // 20)}
                    values = child.ask("steady", images=images, route=engine, **many)
            except PeerError as error:
                values = {"error": str(error)[-3000:]}
            records.add("steady", key, values)
            print(f"{engine}, {workers} threads: {values.get('error', '') or summary(values)}", flush=True)


def summary(values: dict[str, Any]) -> str:
    """The figures of one run in words."""
    count = values["memory_mib"][-1][0]
    text = ", ".join(f"{mib:.0f} after {done:,}" for done, mib in checkpoints(values))
    return f"MiB: {text}; {count / values['seconds']:.1f} images a second; other scores: {values['different']}"


def checkpoints(values: dict[str, Any]) -> list[tuple[int, float]]:
    """Memory at the start, after a tenth, half and all of the inspections."""
    series = values["memory_mib"]
    last = series[-1][0]
    wanted = (0, last // 10, last // 2, last)
    return [min(((done, mib) for done, mib in series), key=lambda pair: abs(pair[0] - at)) for at in wanted]


def page(records: Records) -> str:
    """Where it was measured, and one row for each run."""
    rows = records.good("steady")
    head = [
        "engine",
        "threads at one detector",
        "inspections",
        "MiB at first",
        "after a tenth",
        "after half",
        "at last",
    ]
    head += ["images a second", "inspections with another score"]
    lines = [where(records.counting({})), "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        key, values = row["key"], row["values"]
        memory = [f"{mib:.0f}" for _, mib in checkpoints(values)]
        rate = f"{key['inspections'] / values['seconds']:.1f}"
        cells = [key["engine"], str(key["workers"]), f"{key['inspections']:,}", *memory, rate, str(values["different"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-output"))
    parser.add_argument("--into", type=Path, help="page in which the table is replaced, such as docs/benchmarks.md")
    parser.add_argument("--skip-done", action="store_true", help="do not repeat what is in the records")
    parser.add_argument("--render", action="store_true", help="measure nothing, only make the table")
    parser.add_argument("--count", type=int, default=10_000, help="inspections of each run")
    parser.add_argument("--workers", type=int, default=8, help="threads that inspect at the same time")
    parser.add_argument("--train", type=int, default=209)
    parser.add_argument("--images", type=int, default=50, help="images that are inspected again and again")
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--timeout", type=float, default=7200)
    given = parser.parse_args()
    records = Records(given.out / "steady.jsonl")
    if not given.render:
        measure(given, records)
    print(page(records))
    if given.into:
        replace_between(given.into, "steady", page(records))


if __name__ == "__main__":
    main()
