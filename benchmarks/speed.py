"""onlygood beside its peers: time, memory, size, start and accuracy, on the same images with the same weights.

    python benchmarks/speed.py --data FOLDER_OF_SETS --peers FOLDER_OF_PEERS --into docs/benchmarks.md

FOLDER_OF_PEERS is what benchmarks/peers/install.sh makes; without it anomalib is left out. FOLDER_OF_SETS holds data
sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. Every measurement is appended to
OUT/records.jsonl as it is made. With --skip-done a stopped run goes on; onlygood is measured again where its
code has changed since. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from development_sets import data_sets
from onlygood.evaluation.metrics import auroc
from onlygood.features.engines import DEVICES, ENGINES, is_installed
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from peers.options import BACKBONES, for_anomalib, for_ours, for_plain
from peers.protocol import Peer, PeerError, time_command
from records import Records, code, replace_between
from speed_page import page

HERE = Path(__file__).resolve().parent
STEPS = ("install", "fit", "inspect", "start", "backbones", "accuracy")
COMPARED = ("magnetic_tile", "elpv_mono")
ANOMALIB_ROUTES = ("engine", "torch", "onnx", "openvino", "openvino-f32")
#: The default of anomalib and of the papers; its greedy picks are too many to be all made.
LARGE_CORESET = 0.1
#: Threads of torch still spin for a moment after they are done.
PAUSE = 0.3


@dataclass(frozen=True)
class Model:
    """Something fitted: by whom, and how much of the bank it keeps."""

    family: str
    coreset: float

    @property
    def name(self) -> str:
        return f"{self.family}, " + ("full bank" if self.coreset == 1 else f"{100 * self.coreset:g} % coreset")

    @property
    def folder(self) -> str:
        return f"{self.family.split()[0]}-{100 * self.coreset:g}"


ONLYGOOD, ANOMALIB, PLAIN = "onlygood", "anomalib", "torch + faiss"
MODELS = (
    Model(ONLYGOOD, 1.0),
    Model(ONLYGOOD, 0.1),
    Model(ONLYGOOD, 0.01),
    Model(ANOMALIB, 0.1),
    Model(ANOMALIB, 0.01),
    Model(PLAIN, 0.1),
    Model(PLAIN, 0.01),
)
SCRIPTS = {ONLYGOOD: "ours.py", ANOMALIB: "anomalib_patchcore.py", PLAIN: "plain_patchcore.py"}
OPTIONS = {ONLYGOOD: for_ours, ANOMALIB: for_anomalib, PLAIN: for_plain}


class Bench:
    """What is measured with what, and where the records go."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.out: Path = given.out.resolve()
        self.work = self.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.records = Records(self.out / "records.jsonl")
        self.peers: Path | None = given.peers and given.peers.resolve()
        self.sets = data_sets(given.data, given.train)
        #: The sets on which onlygood and its peers are compared.
        self.compared: list[str] = given.sets or [name for name in COMPARED if name in self.sets]
        unknown = [name for name in self.compared if name not in self.sets]
        if unknown:
            raise SystemExit(f"There is no set {unknown[0]}. There are: {', '.join(self.sets)}. See --data.")
        self.models = [m for m in MODELS if m.family != ANOMALIB or self.peers]
        self.engines = [name for name in ENGINES if is_installed(name)]
        self.base = {"train": given.train, "size": given.size, "threads": given.threads}

    @contextmanager
    def peer(self, family: str) -> Iterator[Peer]:
        """A fresh process."""
        python = self.peers / "bin/python" if family == ANOMALIB and self.peers else Path(sys.executable)
        script, timeout = HERE / "peers" / SCRIPTS[family], self.given.timeout
        with Peer(python, script, threads=self.given.threads, folder=self.work, timeout=timeout) as child:
            yield child

    def folder(self, name: str, model: Model) -> Path:
        """Where the model of a set lies."""
        return self.out / "models" / f"{name}-{self.given.train}-{self.given.size}" / model.folder

    def wanted(self, kind: str, key: dict[str, Any], family: str = ONLYGOOD) -> bool:
        """Whether this is to be measured."""
        return not (self.given.skip_done and self.records.done(kind, key, ours=family == ONLYGOOD))

    def failed(self, kind: str, key: dict[str, Any], family: str) -> bool:
        """Whether this ended in an error before, with the code as it is, and is not to be tried again."""
        last = [r for r in self.records.of(kind, **key) if r["key"] == key] if self.given.skip_done else []
        now = bool(last) and (family != ONLYGOOD or last[-1]["code"] == code())
        return now and "error" in last[-1]["values"]

    def measure(self, kind: str, key: dict[str, Any], what: Callable[[], dict[str, Any]]) -> bool:
        """Measure and record; a peer that fails is a result, too."""
        try:
            values = what()
        except PeerError as error:
            values = {"error": str(error)[-3000:]}
        more = {f"anomalib's {k}" if k in ("torch", "openvino", "onnxruntime") else k: v for k, v in _more(values)}
        self.records.add(kind, key, values, **more)
        shown = {
            k: round(v, 3) if isinstance(v, float) else v for k, v in values.items() if not isinstance(v, dict | list)
        }
        print(f"{kind} {' '.join(map(str, key.values()))}: {json.dumps(shown)}", flush=True)
        return "error" not in values


def _more(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Versions of anomalib's environment, which go where the others are."""
    versions = values.pop("versions", {})
    names = ("anomalib", "torch", "openvino", "onnxruntime")
    return [(name, versions[name]) for name in names if "anomalib" in versions]


# fitting


def fit(bench: Bench) -> None:
    """Seconds, memory and file size of fitting, every fit in a process of its own."""
    for repeat in range(bench.given.fits):
        for name in bench.compared:
            for model in bench.models if repeat % 2 == 0 else reversed(bench.models):
                fit_one(bench, name, model, repeat)


def fit_one(bench: Bench, name: str, model: Model, repeat: int) -> None:
    """One fit; the first of each is the one that is inspected with, the others are thrown away."""
    key = {"set": name, "model": model.name, **bench.base, "repeat": repeat}
    folder = bench.folder(name, model)
    if (folder.is_dir() or repeat) and not bench.wanted("fit", key, model.family):
        return
    good = [str(path) for path in bench.sets[name][0]]
    asked = OPTIONS[model.family](BACKBONES[0], model.coreset, bench.given.size)
    if model.family == ANOMALIB and model.coreset == LARGE_CORESET and bench.given.picks:
        asked["picks"] = bench.given.picks

    def measured(into: Path) -> dict[str, Any]:
        with bench.peer(model.family) as child:
            answer = child.ask("fit", images=good, into=into, threads=bench.given.threads, **asked)
            return {**answer, "images": len(good), "versions": child.ready["versions"]}

    if repeat:
        with tempfile.TemporaryDirectory(dir=bench.work) as again:
            bench.measure("fit", key, lambda: measured(Path(again) / "model"))
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not bench.measure("fit", key, lambda: measured(folder)):
        shutil.rmtree(folder, ignore_errors=True)
        return
    if model.family == ANOMALIB:

        def exported() -> dict[str, Any]:
            with bench.peer(ANOMALIB) as child:
                return child.ask("export", folder=folder, threads=bench.given.threads)

        bench.measure("export", {"set": name, "model": model.name, **bench.base}, exported)


# inspecting


def routes(bench: Bench, name: str, model: Model) -> list[str]:
    """The ways to inspect with a model; of anomalib those whose export did not fail."""
    if model.family == ONLYGOOD:
        return bench.engines if model.coreset == 1 else bench.engines[:1]
    if model.family == PLAIN:
        return ["plain"]
    exports = bench.records.good("export", set=name, model=model.name, **bench.base)
    made = exports[-1]["values"]["seconds"] if exports else {}
    return [r for r in ANOMALIB_ROUTES if r == "engine" or isinstance(made.get(r.split("-")[0]), float)]


def contenders(bench: Bench, name: str) -> list[tuple[Model, str]]:
    """What was fitted on a set, by each route."""
    there = [model for model in bench.models if bench.folder(name, model).is_dir()]
    return [(model, route) for model in there for route in routes(bench, name, model)]


def timed_images(bench: Bench, name: str) -> list[str]:
    """Test images, evenly spread over the good and the defective ones."""
    test = bench.sets[name][1]
    return [str(test[i].path) for i in spread(len(test), bench.given.images)]


def inspect(bench: Bench) -> None:
    """Milliseconds of each image and memory, all contenders taking turns; then the AUROC of each."""
    for name in bench.compared:
        if any(bench.folder(name, model).is_dir() for model in bench.models):
            inspect_set(bench, name)
        else:
            print(f"Nothing is fitted on {name} yet; the step fit does it.", file=sys.stderr)


def inspect_set(bench: Bench, name: str) -> None:
    """All turns of one set. A turn that lacks one contender is taken again by all, so that none is timed alone."""
    images = timed_images(bench, name)

    def key(model: Model, route: str) -> dict[str, Any]:
        return {"set": name, "model": model.name, "route": route, **bench.base}

    present = [(m, r) for m, r in contenders(bench, name) if not bench.failed("load", key(m, r), m.family)]
    turns = [
        repeat
        for repeat in range(bench.given.repeats)
        if any(bench.wanted("inspect", {**key(m, r), "repeat": repeat}, m.family) for m, r in present)
    ]
    left = [
        (m, r) for m, r in present if not drawn_at_random(bench, name, m) and bench.wanted("auroc", key(m, r), m.family)
    ]
    with ExitStack() as stack:
        children: dict[tuple[Model, str], Peer] = {}
        for model, route in present if turns else left:
            load = partial(loaded, bench, stack, children, (model, route), bench.folder(name, model), images)
            bench.measure("load", key(model, route), load)
        for repeat in turns:
            for (model, route), child in list(children.items())[:: 1 if repeat % 2 == 0 else -1]:
                time.sleep(PAUSE)
                turn = partial(one_turn, child, images, route)
                bench.measure("inspect", {**key(model, route), "repeat": repeat}, turn)
        test = bench.sets[name][1]
        chosen = [test[i] for i in spread(len(test), bench.given.test)]
        for model, route in left:
            if (model, route) in children:
                scored = partial(test_auroc, children[model, route], chosen, route)
                bench.measure("auroc", key(model, route), scored)


def one_turn(child: Peer, images: list[str], route: str) -> dict[str, Any]:
    """Every image once."""
    answer = child.ask("inspect", images=images, route=route)
    return {**answer, "median_ms": median(answer["milliseconds"]), "versions": child.ready["versions"]}


def loaded(
    bench: Bench,
    stack: ExitStack,
    children: dict[tuple[Model, str], Peer],
    contender: tuple[Model, str],
    folder: Path,
    images: list[str],
) -> dict[str, Any]:
    """Put a fresh process with a model, warm, among the children; the seconds of loading."""
    model, route = contender
    child = stack.enter_context(bench.peer(model.family))
    answer = child.ask("load", folder=folder, route=route, threads=bench.given.threads)
    child.ask("inspect", images=images[:3], route=route)  # not counted
    children[contender] = child
    return {**answer, "start_seconds": child.start_seconds, "versions": child.ready["versions"]}


def drawn_at_random(bench: Bench, name: str, model: Model) -> bool:
    """Whether part of a coreset was not picked but drawn, so that its AUROC says nothing."""
    fits = bench.records.good("fit", set=name, model=model.name, **bench.base, repeat=0)
    values = fits[-1]["values"] if fits else {}
    return values.get("greedy_picks", values.get("bank", 0)) < values.get("bank", 0)


def test_auroc(child: Peer, test: list[Sample], route: str) -> dict[str, Any]:
    """Image AUROC of a process that has loaded a model."""
    scores: list[float] = []
    for start in range(0, len(test), 25):
        part = [str(sample.path) for sample in test[start : start + 25]]
        scores += child.ask("inspect", images=part, route=route)["scores"]
    labels = np.array([sample.label for sample in test])
    return {"auroc": auroc(labels, np.array(scores)), "good": int((labels == 0).sum()), "defective": int(labels.sum())}


# starting and installing


def start(bench: Bench) -> None:
    """Seconds of commands from start to exit, and from the start of a process to its first answer."""
    name = bench.compared[0]
    fitted = bench.folder(name, MODELS[0]) / "model.og"
    image = timed_images(bench, name)[0]
    clean = bench.out / "environments" / "inspect" / "bin" / "onlygood"
    program: list[str | Path] = [clean] if clean.exists() else [sys.executable, "-m", "onlygood"]
    python = clean.with_name("python") if clean.exists() else Path(sys.executable)
    commands: dict[str, tuple[str, list[str | Path]]] = {
        "onlygood --help": (ONLYGOOD, [*program, "--help"]),
        "import onlygood": (ONLYGOOD, [python, "-c", "import onlygood"]),
        "import onlygood.methods": (ONLYGOOD, [python, "-c", "import onlygood.methods"]),
    }
    if fitted.exists():
        commands["onlygood inspect, one image"] = (ONLYGOOD, [*program, "inspect", fitted, image])
    if bench.peers:
        commands["anomalib --help"] = (ANOMALIB, [bench.peers / "bin/anomalib", "--help"])
        commands["import anomalib.models"] = (ANOMALIB, [bench.peers / "bin/python", "-c", "import anomalib.models"])
    read = set()
    for repeat in range(1, bench.given.starts + 1):
        for command, (family, words) in commands.items():
            key = {"what": command, "threads": bench.given.threads, "repeat": repeat}
            if bench.wanted("start", key, family):
                timed = partial(time_command, words, fine=(0, 1), threads=bench.given.threads)
                if command not in read:  # once for its files to come into memory
                    timed()
                    read.add(command)
                bench.measure("start", key, timed)
    for repeat in range(1, bench.given.starts + 1):
        for model, route in contenders(bench, name):
            if model.coreset != (1 if model.family == ONLYGOOD else LARGE_CORESET):
                continue
            key = {"what": f"first answer: {model.name}, {route}", "threads": bench.given.threads, "repeat": repeat}
            if bench.wanted("start", key, model.family):
                folder = bench.folder(name, model)
                bench.measure("start", key, lambda m=model, r=route, f=folder: first_answer(bench, m, r, f, image))


def first_answer(bench: Bench, model: Model, route: str, folder: Path, image: str) -> dict[str, Any]:
    """From starting a process to the score of its first image."""
    started = time.perf_counter()
    with bench.peer(model.family) as child:
        child.ask("load", folder=folder, route=route, threads=bench.given.threads)
        child.ask("inspect", images=[image], route=route)
        return {"seconds": time.perf_counter() - started}


def install(bench: Bench) -> None:
    """Packages and megabytes of clean environments: to inspect, and to fit."""
    for what, extras in (("inspect", ""), ("fit", "[fit]")):
        key = {"what": f"onlygood{extras}"}
        if bench.wanted("install", key):
            bench.measure("install", key, lambda w=what, e=extras: clean_environment(bench.out / "environments" / w, e))
    sizes = bench.peers / "installed.json" if bench.peers else None
    if sizes and sizes.exists():
        for what, values in json.loads(sizes.read_text()).items():
            if bench.wanted("install", {"what": what}, ANOMALIB):
                bench.measure("install", {"what": what}, lambda v=values: dict(v))


def clean_environment(folder: Path, extras: str) -> dict[str, Any]:
    """Make one with onlygood and nothing else, at the versions of constraints.txt."""
    root = HERE.parent
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", folder])
    with tempfile.TemporaryDirectory() as tree:  # building leaves files in the tree
        shutil.copytree(root / "src", Path(tree) / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / file, tree)
        started = time.perf_counter()
        quiet = ["--quiet", "--disable-pip-version-check", "-c", root / "constraints.txt"]
        run([folder / "bin/python", "-m", "pip", "install", *quiet, f"{tree}{extras}"])
        seconds = time.perf_counter() - started
    answer = run([folder / "bin/python", HERE / "peers" / "installed.py"])
    return {**json.loads(answer), "seconds": seconds}


def run(command: list[str | Path]) -> str:
    """Run a command and give its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"{command[0]} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


# against the backbone, and against exact search


def backbones(bench: Bench) -> None:
    """The whole of inspecting against the backbone alone, for networks of every size; times are of one process."""
    name = bench.compared[0]
    for backbone in bench.given.backbones:
        keys = {e: {"set": name, "backbone": backbone, "engine": e, **bench.base} for e in bench.engines}
        wanted = {engine: key for engine, key in keys.items() if bench.wanted("backbone", key)}
        if not wanted:
            continue
        folder = bench.folder(name, MODELS[0]).with_name(f"backbone-{backbone}")
        values = fitted_ours(bench, name, folder, for_ours(backbone, 1.0, bench.given.size) | {"index": "graph"})
        for engine, key in wanted.items():
            bench.measure("backbone", key, lambda e=engine, v=values, f=folder: speed_of(bench, name, f, e, v))
        shutil.rmtree(folder, ignore_errors=True)


def speed_of(bench: Bench, name: str, folder: Path, engine: str, fitted: dict[str, Any]) -> dict[str, Any]:
    """Each step of inspecting in a fresh process."""
    if "error" in fitted:
        raise PeerError(fitted["error"])
    with bench.peer(ONLYGOOD) as child:
        child.ask("load", folder=folder, route=engine, threads=bench.given.threads)
        images = timed_images(bench, name)
        answer = child.ask("speed", images=images, route=engine, repeats=bench.given.repeats)
    return {**answer, "fit_seconds": fitted["seconds"], "fit_peak_mib": fitted["peak_mib"], **_kept(fitted)}


def _kept(fitted: dict[str, Any]) -> dict[str, Any]:
    return {name: fitted[name] for name in ("vectors", "bank", "dim", "index", "weights", "file_mib")}


def fitted_ours(bench: Bench, name: str, folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """A fit of ours in a process of its own, or its error."""
    shutil.rmtree(folder, ignore_errors=True)
    good = [str(path) for path in bench.sets[name][0]]
    try:
        with bench.peer(ONLYGOOD) as child:
            return child.ask("fit", images=good, into=folder, threads=bench.given.threads, **asked)
    except PeerError as error:
        return {"error": str(error)[-3000:]}


def accuracy(bench: Bench) -> None:
    """AUROC of the graph and of exact search, each fitted and inspected with it, and recall of the graph."""
    for name in bench.given.sets or bench.sets:
        test = bench.sets[name][1]
        for index in bench.given.indexes:
            key = {"set": name, "index": index, **bench.base}
            if not bench.wanted("accuracy", key):
                continue
            folder = bench.folder(name, MODELS[0]).with_name(f"accuracy-{index}")
            device = bench.given.exact_device if index == "exact" else "cpu"
            asked = for_ours(BACKBONES[0], 1.0, bench.given.size) | {"index": index, "device": device}
            values = fitted_ours(bench, name, folder, asked)

            def measured(folder: Path = folder, test: list[Sample] = test, values: dict[str, Any] = values) -> Any:
                if "error" in values:
                    raise PeerError(values["error"])
                chosen = [test[i] for i in spread(len(test), bench.given.accuracy_test or len(test))]
                with bench.peer(ONLYGOOD) as child:
                    child.ask("load", folder=folder, threads=bench.given.threads)
                    found = test_auroc(child, chosen, "onnxruntime")
                    of_good = [str(sample.path) for sample in chosen if sample.label == 0]
                    good = child.ask("recall", images=of_good, patches=bench.given.patches)
                    every = child.ask("recall", images=[str(s.path) for s in chosen], patches=bench.given.patches)
                recall = {"recall": every["recall"], "patches": every["patches"]}
                recall |= {"deciding_good": good["deciding"], "deciding": every["deciding"]}
                return {**found, **recall, "fit_seconds": values["seconds"], **_kept(values)}

            bench.measure("accuracy", key, measured)
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets; without it ELPV alone")
    parser.add_argument("--peers", type=Path, help="environment of anomalib; without it anomalib is left out")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="records, models, environments")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced, such as docs/benchmarks.md")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(STEPS), help=f"{','.join(STEPS)}")
    parser.add_argument("--skip-done", action="store_true", help="do not repeat what is in the records")
    parser.add_argument("--render", action="store_true", help="measure nothing, only make the tables")
    parser.add_argument("--sets", nargs="*", help="compared on; by default magnetic_tile and elpv_mono")
    parser.add_argument("--backbones", nargs="*", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--train", type=int, default=209, help="training images at most, evenly spread")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=20, help="test images that are timed")
    parser.add_argument("--repeats", type=int, default=10, help="turns over these images")
    parser.add_argument("--fits", type=int, default=3, help="fits of each")
    parser.add_argument("--starts", type=int, default=5, help="starts of each command")
    parser.add_argument("--picks", type=int, default=300, help="greedy picks of anomalib's 10 %% coreset; 0 for all")
    parser.add_argument("--test", type=int, default=200, help="test images of the AUROC beside the times, at most")
    parser.add_argument("--accuracy-test", type=int, help="test images of the step accuracy, at most; all by default")
    parser.add_argument(
        "--indexes", nargs="*", default=["exact", "graph"], choices=("exact", "graph"), help="of the step accuracy"
    )
    parser.add_argument("--exact-device", default="cpu", choices=DEVICES, help="of exact search in the step accuracy")
    parser.add_argument("--patches", type=int, default=5000, help="patches of the recall")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds that one answer of a process may take")
    given = parser.parse_args()
    wrong = [step for step in given.only if step not in STEPS]
    if wrong:
        parser.error(f"there is no step {wrong[0]}; there are {', '.join(STEPS)}")
    if given.peers and not given.render and not (given.peers / "bin/python").exists():
        parser.error(f"there is no environment in {given.peers}; benchmarks/peers/install.sh makes it")
    if not given.render:
        bench = Bench(given)
        steps = {f.__name__: f for f in (install, fit, inspect, start, backbones, accuracy)}
        for step in STEPS:
            if step in given.only:
                steps[step](bench)
    tables = page(Records(given.out / "records.jsonl"))
    print(tables)
    if given.into:
        replace_between(given.into, "tables", tables)


if __name__ == "__main__":
    main()
