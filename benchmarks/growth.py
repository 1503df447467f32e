"""How time and memory grow with the training images, the input size and the backbone; by graph, coreset, exact search.

    python benchmarks/growth.py --into docs/benchmarks.md

Images are the good solar cells of ELPV (mono and poly, package elpv-dataset) that are not held out for testing. Where
more are asked for than there are, mirrored and turned copies follow. Every fit and every inspection runs in a
process of its own; records go to OUT/growth.jsonl as they are made. --skip-done goes on where a run was stopped; what
failed or took too long is tried again without it, or with --retry.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from onlygood.images.datasets.elpv import load_elpv
from onlygood.images.sources import spread
from peers.options import BACKBONES, weights_of
from peers.protocol import Peer, PeerError
from plot import Line, Panel, write_charts
from records import Records, code, replace_between, where

HERE = Path(__file__).resolve().parent
COUNTS = (50, 100, 200, 500, 1000, 2000)
SIZES = (224, 256, 320, 384, 448, 512)
#: Variant -> what `fit` is asked for; exact search is inspected with the graph's model and the index replaced.
VARIANTS: dict[str, dict[str, Any]] = {
    "graph": {"index": "graph"},
    "10 % coreset": {"coreset_ratio": 0.1},
    "exact": {"index": "exact"},
}
#: Turns of an image by which more are made of those there are: mirrored, upside down, a quarter turn...
TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSPOSE,
)
NOT_TRIED = "not tried: "
AXES = ("images", "size", "backbone")
#: The axes that are numbers, and what to write below them in a chart.
DRAWN = {"images": "training images", "size": "input side in pixels"}


class Growth:
    """What is measured, and where the records go."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.out: Path = given.out.resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.records = Records(self.out / "growth.jsonl")
        splits = [load_elpv(cells) for cells in ("mono", "poly")]
        #: Mono and poly in turns, so that every number of images holds both.
        mixed = itertools.zip_longest(*(split.train for split in splits))
        self.good = [path for pair in mixed for path in pair if path]
        test = [str(sample.path) for split in splits for sample in split.test]
        self.test = [test[i] for i in spread(len(test), given.test)]

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        script, timeout = HERE / "peers/ours.py", self.given.timeout
        with Peer(sys.executable, script, threads=self.given.threads, folder=self.out, timeout=timeout) as child:
            yield child

    def training(self, count: int) -> list[str]:
        """So many images; beyond those there are, turned copies."""
        found = [str(self.good[i]) for i in spread(len(self.good), count)]
        copies = self.out / "copies"
        copies.mkdir(exist_ok=True)
        for turn, path in itertools.product(TURNS, self.good):
            if len(found) >= count:
                return found
            copy = copies / f"{path.stem}-{turn.name.lower()}.png"
            if not copy.exists():
                with Image.open(path) as image:
                    image.transpose(turn).save(copy)
            found.append(str(copy))
        if len(found) < count:
            raise SystemExit(f"{count} images are more than {len(self.good)} and their turned copies.")
        return found

    def key(self, axis: str, value: Any, variant: str, what: str) -> dict[str, Any]:
        given = self.given
        fixed = {"images": given.fixed_images, "size": 256, "backbone": BACKBONES[0], axis: value}
        return {"axis": axis, "variant": variant, "what": what, "threads": given.threads, **fixed}

    def wanted(self, key: dict[str, Any], stopped: dict[tuple[str, str], str]) -> bool:
        """Whether to measure this; `stopped` says why a variant is not tried with larger values, and is added to."""
        which = (key["variant"], key["what"])
        last = [r for r in self.records.of("growth", **key) if r["code"] == code()] if self.given.skip_done else []
        failed = last[-1]["values"].get("error") if last else None
        if failed and not self.given.retry:
            stopped.setdefault(which, failed.removeprefix(NOT_TRIED).splitlines()[0])
            return False
        if last and not failed:
            return False
        if which in stopped:
            self.put(key, {"error": NOT_TRIED + stopped[which]})
        return which not in stopped

    def put(self, key: dict[str, Any], values: dict[str, Any]) -> None:
        self.records.add("growth", key, values)
        shown = {k: round(v, 2) if isinstance(v, float) else v for k, v in values.items() if not isinstance(v, list)}
        print(f"{key['axis']} {key[key['axis']]} {key['variant']} {key['what']}: {json.dumps(shown)}", flush=True)


def run_axis(growth: Growth, axis: str, values: list[Any]) -> None:
    """Every value of one axis, smallest first; a variant that fails or takes too long is not tried with larger ones."""
    stopped: dict[tuple[str, str], str] = {}
    folder = growth.out / "growth-model"
    for value in values:
        shutil.rmtree(folder, ignore_errors=True)
        for variant in growth.given.variants:
            key = growth.key(axis, value, variant, "fit")
            vectors = key["images"] * (key["size"] // 8) ** 2
            if variant != "exact" or vectors <= growth.given.exact_fits:
                fit(growth, key, folder, stopped)
            inspect(growth, growth.key(axis, value, variant, "inspect"), folder, stopped)
        shutil.rmtree(folder, ignore_errors=True)


def fit(
    growth: Growth, key: dict[str, Any], folder: Path, stopped: dict[tuple[str, str], str], again: bool = False
) -> None:
    """One fit in a fresh process; `again` where its model is needed although it was measured before."""
    if not again and not growth.wanted(key, stopped):
        return
    asked = {"backbone": key["backbone"], "size": key["size"], "weights": weights_of(key["backbone"])}
    into = folder / key["variant"].split()[0]
    images = growth.training(key["images"])

    def ask(child: Peer) -> dict[str, Any]:
        options = asked | VARIANTS[key["variant"]]
        return child.ask("fit", images=images, into=into, threads=growth.given.threads, **options)

    attempt(growth, key, ask, stopped)


def inspect(growth: Growth, key: dict[str, Any], folder: Path, stopped: dict[tuple[str, str], str]) -> None:
    """Times of all turns together, and the highest memory of a process that only inspects."""
    if not growth.wanted(key, stopped):
        return
    exact = key["variant"] == "exact"  # with the graph's model, whose fit is not quadratic
    variant = "graph" if exact else key["variant"]
    model = folder / variant.split()[0]
    if not (model / "model.og").exists() and (variant, "fit") not in stopped:
        fit(growth, {**key, "variant": variant, "what": "fit"}, folder, stopped, again=True)
    if not (model / "model.og").exists():
        growth.put(key, {"error": f"{NOT_TRIED}there is no model"})
        return

    def ask(child: Peer) -> dict[str, Any]:
        child.ask("load", folder=model, threads=growth.given.threads, index="exact" if exact else None)
        child.ask("inspect", images=growth.test[:2])  # not counted
        answers = [child.ask("inspect", images=growth.test) for _ in range(1 if exact else growth.given.repeats)]
        ms = np.concatenate([answer["milliseconds"] for answer in answers])
        figures = {"median_ms": float(np.median(ms)), "p95_ms": float(np.percentile(ms, 95)), "runs": len(ms)}
        return {**figures, "peak_mib": answers[-1]["peak_mib"]}

    attempt(growth, key, ask, stopped)


def attempt(
    growth: Growth, key: dict[str, Any], ask: Callable[[Peer], dict[str, Any]], stopped: dict[tuple[str, str], str]
) -> None:
    """Record what a fresh process answers, or its error."""
    try:
        with growth.peer() as child:
            values = ask(child)
    except PeerError as error:
        values = {"error": str(error)[-3000:]}
        stopped[key["variant"], key["what"]] = str(error).splitlines()[0]
    growth.put(key, values)


# the page


def page(records: Records) -> str:
    """Where it was measured, and a table for each axis."""
    parts = [where(records.counting({}))]
    for axis in AXES:
        rows = table(records, axis)
        if rows:
            parts += [f"### By {axis}", rows]
            parts += [f"![{axis}](images/{chart(axis)})"] if axis in DRAWN and records.good("growth", axis=axis) else []
    return "\n\n".join(parts)


def table(records: Records, axis: str) -> str:
    """Markdown: one row for each value and variant."""
    grouped: dict[tuple[Any, str], dict[str, dict[str, Any]]] = {}
    for record in records.of("growth", axis=axis):
        key = record["key"]
        grouped.setdefault((key[axis], key["variant"]), {})[key["what"]] = record["values"]
    if not grouped:
        return ""
    head = [axis, "search", "vectors", "fit s", "fit peak MiB", "inspect median ms", "p95 ms", "inspect peak MiB"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    order = list(VARIANTS)
    for (value, variant), found in sorted(
        grouped.items(), key=lambda item: (_rank(item[0][0]), order.index(item[0][1]))
    ):
        fit, inspect = found.get("fit", {}), found.get("inspect", {})
        why = fit.get("error", "").strip().splitlines()
        late = re.search(r"\(it had (\d+) s\)", why[0]) if why else None
        said = f"over {late[1]}" if late else why[0][:70] if why else "-"
        random = ", random weights" if str(fit.get("weights", "")).startswith("random") else ""
        cells = [f"{value}{random}", variant, f"{fit['bank']:,}" if "bank" in fit else "-"]
        cells += [f"{fit['seconds']:.1f}" if "seconds" in fit else said, _whole(fit.get("peak_mib"))]
        cells += [_one(inspect.get("median_ms")), _one(inspect.get("p95_ms")), _whole(inspect.get("peak_mib"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rank(value: Any) -> Any:
    return BACKBONES.index(value) if value in BACKBONES else value


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def chart(axis: str) -> str:
    """File name of the chart of an axis."""
    return f"growth-{axis}.svg"


def draw(records: Records, folder: Path) -> list[Path]:
    """The charts of the two axes that are numbers."""
    written = []
    for axis, name in DRAWN.items():
        if not records.good("growth", axis=axis):
            continue

        def lines(what: str, figure: str, axis: str = axis) -> list[Line]:
            found = []
            for variant in VARIANTS:
                rows = records.good("growth", axis=axis, variant=variant, what=what)
                found.append(Line(variant, [(r["key"][axis], r["values"][figure]) for r in rows]))
            return found

        path = folder / chart(axis)
        write_charts(
            path,
            [
                Panel("Inspecting, ms for an image", name, lines("inspect", "median_ms")),
                Panel("Fitting, seconds", name, lines("fit", "seconds")),
                Panel("Peak memory of fitting, MiB", name, lines("fit", "peak_mib")),
                Panel("Peak memory of inspecting, MiB", name, lines("inspect", "peak_mib")),
            ],
        )
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="records, copies, models")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced, such as docs/benchmarks.md")
    parser.add_argument("--charts", type=Path, help="folder of the SVG charts; by default `images` beside the page")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(AXES), help=",".join(AXES))
    parser.add_argument("--skip-done", action="store_true", help="do not repeat what is in the records")
    parser.add_argument("--render", action="store_true", help="measure nothing, only make tables and charts")
    parser.add_argument("--counts", type=int, nargs="*", default=list(COUNTS))
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--backbones", nargs="*", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--fixed-images", type=int, default=100, help="images for the axes size and backbone")
    parser.add_argument(
        "--exact-fits", type=int, default=220_000, help="most vectors fitted by exact search (quadratic)"
    )
    parser.add_argument("--retry", action="store_true", help="try again what failed or took too long")
    parser.add_argument("--test", type=int, default=20, help="test images that are timed")
    parser.add_argument("--repeats", type=int, default=3, help="turns over these images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds that one fit may take")
    given = parser.parse_args()
    if not given.render:
        growth = Growth(given)
        values = {"images": sorted(given.counts), "size": sorted(given.sizes), "backbone": given.backbones}
        for axis in AXES:
            if axis in given.only:
                run_axis(growth, axis, values[axis])
    records = Records(given.out / "growth.jsonl")
    charts = given.charts or (given.into.parent / "images" if given.into else given.out)
    print(page(records))
    for path in draw(records, charts):
        print(f"written {path}", file=sys.stderr)
    if given.into:
        replace_between(given.into, "growth", page(records))


if __name__ == "__main__":
    main()
