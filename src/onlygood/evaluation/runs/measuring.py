"""One run, from files to a record: fit, inspect the test images, compare with what is true."""

from __future__ import annotations

import datetime
import os
import platform
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onlygood.evaluation.machine import machine, source_hash, versions
from onlygood.evaluation.runs.data import Contents
from onlygood.evaluation.runs.memory import peak_bytes, reset_peak
from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.released import Choice, Released
from onlygood.evaluation.runs.shots import draw_shots
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.tunings import share_tuning
from onlygood.evaluation.speed import model_bytes
from onlygood.evaluation.testset import TestRun, run_test
from onlygood.images.layouts import Sample
from onlygood.images.sources import spread
from onlygood.progress import silent

if TYPE_CHECKING:
    from onlygood.evaluation.runs.features import SharedFeatures
    from onlygood.methods import Detector

#: False-reject rates, in percent, at whose thresholds false rejects and escapes are counted.
RATES = (1, 5)
#: Test images that are inspected once more for the time of one, at most.
TIMED = 20
#: Figures that the record of an oracle has twice.
COMPARED = ("image_auroc", "average_precision", "best_f1", "pixel_auroc", "aupro")
#: Lines of a traceback that are kept.
TAIL = 12


@dataclass(frozen=True)
class Task:
    """A run, and all that a worker on another machine needs for it besides the images.

    Attributes:
        spec: The run.
        contents: The category and its fingerprint.
        threads: Threads that it may use.
        features: Folder of shared features; None to compute everything.
        tunings: Folder of shared fine-tunings; None to fine-tune in every run.
        about: What else belongs into the record's circumstances, such as the number of workers.
    """

    spec: RunSpec
    contents: Contents
    threads: int
    features: Path | None = None
    tunings: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)


def measure(task: Task) -> Record:
    """Do a run. Whatever goes wrong becomes a record, too; only an interruption is raised."""
    started = now()
    circumstances = {**circumstances_here(), **task.about, "threads": task.threads}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figures, costs, more = _measured(task)
        circumstances |= {**more, "warnings": list(dict.fromkeys(str(one.message) for one in caught))}
        return Record(task.spec, "ok", started, now(), task.contents.fingerprint, figures, costs, circumstances)
    except Exception as error:
        tail = "\n".join(traceback.format_exc().splitlines()[-TAIL:])
        return failed(task, started, f"{type(error).__name__}: {error}", tail, circumstances)


def failed(task: Task, started: str, error: str, tail: str = "", circumstances: dict[str, Any] | None = None) -> Record:
    """The record of a run that failed; one line of `error`, the last lines of its traceback."""
    line = " ".join(error.split())
    about = circumstances if circumstances is not None else {**circumstances_here(), **task.about}
    return Record(
        task.spec, "failed", started, now(), task.contents.fingerprint, circumstances=about, error=line, traceback=tail
    )


def now() -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def circumstances_here() -> dict[str, Any]:
    """Host, machine, versions and the state of the source."""
    return {"host": platform.node(), "machine": machine(), "versions": versions(), "source": source_hash()}


def training_images(spec: RunSpec, contents: Contents) -> list[Path]:
    """The training images of a run."""
    train = contents.category.train
    if spec.shots is not None:
        return [train[place] for place in draw_shots(contents.hashes, contents.fingerprint, spec.shots, spec.draw)]
    return [train[place] for place in spread(len(train), spec.most_train or len(train))]


def make_detector(spec: RunSpec, threads: int | None = None) -> Detector:
    """The detector of a run, not fitted yet.

    Raises:
        ParameterError: Unknown method, preset or parameter, or a value that it cannot have.
    """
    from onlygood.methods.registry import check_parameters, find_method

    kind = find_method(spec.method)
    check_parameters(kind, spec.parameters)
    given = {**spec.parameters, "seed": spec.seed, "threads": threads}
    detector = kind.from_preset(spec.preset, **given) if spec.preset else kind(**given)
    detector._check_parameters()
    return detector


def _measured(task: Task) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Figures, costs and circumstances."""
    from onlygood.evaluation.runs.features import SharedFeatures

    reset_peak()
    shared = None if task.features is None else SharedFeatures(task.features)
    images, samples = training_images(task.spec, task.contents), task.contents.category.test
    detector = make_detector(task.spec, task.threads)
    tuned = task.tunings is not None and share_tuning(detector, task.spec, task.contents.fingerprint, task.tunings)
    released = Released(task.spec.dataset, samples) if task.spec.protocol == "released" else None
    with nullcontext() if shared is None else shared.used():
        started = time.perf_counter()
        if released is not None:
            detector = released.fitted(detector, images)
        else:
            detector.fit([str(path) for path in images], progress=silent)
        costs: dict[str, Any] = {"fit_seconds": round(time.perf_counter() - started, 3)}
        costs |= {"fit_shared_images": 0 if shared is None else shared.found, "fit_shared_tuning": tuned}
        costs["fit_peak_bytes"] = peak_bytes()
        tested = run_test(detector, samples)
        figures = _figures(detector, tested)
        if released is not None:
            figures = _beside(figures, detector, tested, released.choose(detector))
        costs["peak_bytes"] = peak_bytes()
        costs["ms_per_image"] = round(_milliseconds(detector, samples, shared), 3)
    costs["model_bytes"] = model_bytes(detector)
    spec = detector.graph_.spec
    more = {
        "backbone": spec.backbone,
        "weights_sha256": spec.weights_sha256,
        "engine": detector.graph_.engine.name,
        "notes": _plain(detector.training_.notes),
        "shared_images": 0 if shared is None else shared.found,
    }
    return figures, costs, more


def _figures(detector: Detector, tested: TestRun, thresholds: bool = True) -> dict[str, Any]:
    """What depends on the data and the specification alone: the same on every machine of one kind.

    Rates are fractions, `false_reject_1` and `escape_1` those at the threshold that promises 1 % false rejects; without
    `thresholds` they are None.
    """
    found = tested.evaluate().as_dict()
    labels = np.array([sample.label for sample in tested.samples])
    kinds = np.array([sample.defect for sample in tested.samples], dtype=object)
    scores = np.array([one.score for one in tested.inspections], np.float64)
    names = ("image_auroc", "average_precision", "best_f1", "pixel_auroc", "aupro", "aupro_limit")
    figures = {name: found[name] for name in names}
    per_type = [
        {"name": row["name"], "total": row["total"], "image_auroc": row["image_auroc"]} for row in found["per_type"]
    ]
    for percent in RATES:
        threshold = detector.calibration_.at(percent / 100, max(percent / 100, 0.05)).ng_threshold
        figures[f"false_reject_{percent}"] = _share(scores[labels == 0] > threshold) if thresholds else None
        figures[f"escape_{percent}"] = _share(scores[labels == 1] <= threshold) if thresholds else None
        for row in per_type:
            row[f"escape_{percent}"] = _share(scores[kinds == row["name"]] <= threshold) if thresholds else None
    figures |= {
        "n_train": len(detector.training_.names),
        "n_groups": len(set(detector.training_.groups)),
        "n_good": found["n_good"],
        "n_defect": found["n_defect"],
        "n_without_mask": found["n_without_mask"],
        "per_type": per_type,
        "scores": {
            "name": _names(tested.samples),
            "defect": [sample.defect for sample in tested.samples],
            "score": scores.tolist(),
        },
    }
    return _plain(figures)


def _beside(honest: dict[str, Any], detector: Detector, tested: TestRun, choice: Choice) -> dict[str, Any]:
    """The figures of an oracle, and beside each the honest one, `honest_image_auroc` and so on.

    Thresholds are of the detector as it was fitted, so an oracle has no false rejects and escapes.
    """
    found = _figures(detector, choice.tested(detector, tested), thresholds=False)
    rates = tuple(f"{name}_{percent}" for percent in RATES for name in ("false_reject", "escape"))
    about = {"oracle": True, "chosen": choice.chosen, "tried": list(choice.tried)}
    beside = {f"honest_{name}": honest[name] for name in (*COMPARED, *rates)}
    return {**found, **_plain(about), **beside}


def _milliseconds(detector: Detector, samples: Sequence[Sample], shared: SharedFeatures | None) -> float:
    """Milliseconds from file to verdict and map, the mean of some test images; features are not shared."""
    some = [samples[place] for place in spread(len(samples), TIMED)]
    with nullcontext() if shared is None else shared.paused():
        run_test(detector, some[:1], allow_training_images=True)  # the first one allocates
        return run_test(detector, some, allow_training_images=True).ms_per_image


def _names(samples: Sequence[Sample]) -> list[str]:
    """Paths of the images below their common folder, with forward slashes."""
    paths = [sample.path for sample in samples]
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(common).as_posix() for path in paths]


def _share(cases: Any) -> float | None:
    return float(np.mean(cases)) if len(cases) else None


def _plain(value: Any) -> Any:
    """Plain JSON types: NumPy's numbers as Python's, what is not finite as None."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
