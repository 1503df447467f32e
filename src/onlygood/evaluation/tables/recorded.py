"""Between the tables and `onlygood.evaluation.runs`: plans as runs, and records of runs as what is compared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onlygood.evaluation.runs.data import open_all
from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import PROTOCOLS, RunSpec
from onlygood.evaluation.runs.sweep import Sweep
from onlygood.evaluation.tables.planning import Plan
from onlygood.evaluation.tables.published import categories_of, title_of
from onlygood.features.backbones import registry
from onlygood.images.datasets import DataSet
from onlygood.images.datasets.published import published_counts

#: Figures of a record that tables may show.
_METRICS = ("image_auroc", "pixel_auroc", "aupro")
#: Names of the two types of defect of MVTec LOCO AD.
_NATURES = {"structural_anomalies": "structural", "logical_anomalies": "logical"}


@dataclass(frozen=True)
class Data:
    """Data sets on disk by the names that the tables have.

    Attributes:
        sets: By their own names.
        names: Name in the tables -> its categories that are there.
        origin: `(name, category)` in the tables -> name and category on disk.
    """

    sets: Mapping[str, DataSet]
    names: Mapping[str, Sequence[str]]
    origin: Mapping[tuple[str, str], tuple[str, str]]


def open_data(roots: Iterable[str | Path]) -> Data:
    """Open data sets; what is not as published is not taken for the papers'.

    Raises:
        DataError: One cannot be used, or two have the same name.
    """
    sets = open_all(roots)
    names: dict[str, list[str]] = {}
    origin = {}
    for data in sets.values():
        for category in data.categories:
            counts = category.counts()
            name = table_name(data.name, category.name, counts["train"], counts["good"], counts["defect"])
            names.setdefault(name, []).append(category.name)
            origin[name, category.name] = (data.name, category.name)
    return Data(sets, names, origin)


def table_name(dataset: str, category: str, train: int | None, good: int, defect: int) -> str:
    """Name of a data set in the tables: the papers' own only if the category has its name and its numbers of images.

    Args:
        dataset: Its name in the records.
        category: Name of the category.
        train: Training images; None if it is not known how many there were to choose from.
        good: Good test images.
        defect: Defective test images.
    """
    name = next((one for one in categories_of() if title_of(one) == dataset), None)
    if name is None:
        return dataset
    expected = published_counts(name).get(category)
    if category not in categories_of()[name]:
        return category
    if expected is None:  # CIFAR-10: the loader takes the published archive or nothing
        return name
    defects = expected.get("defect", expected.get("structural", 0) + expected.get("logical", 0))
    same = (good, defect) == (expected["good"], defects) and train in (None, expected["train"])
    return name if same else f"{category} (other images than {dataset})"


def backbones_at_hand() -> set[str]:
    """Backbones whose weights are in a package, in a cache, or in torch hub's."""
    from onlygood.errors import WeightsError
    from onlygood.features.weights import resolve

    found = set()
    for name, spec in registry().items():
        try:
            resolve(spec, allow_download=False)
        except WeightsError:
            continue
        found.add(name)
    return found


def as_sweep(plan: Plan, data: Data) -> Sweep:
    """A plan as runs. The seed of a few-shot run is the number of its draw."""
    specs = []
    for run in plan.runs:
        dataset, category = data.origin[run["dataset"], run["category"]]
        shots = run["shots"]
        specs.append(
            RunSpec(
                dataset,
                category,
                run["method"],
                None,
                run["parameters"],
                seed=0 if shots is not None else run["seed"],
                shots=shots,
                draw=run["seed"] if shots is not None else 0,
                protocol=run.get("protocol", PROTOCOLS[0]),
            )
        )
    return Sweep(tuple(dict.fromkeys(specs)), data.sets)


def to_compare(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Records as `compare` takes them; failed runs and those on a part of the training images are left out."""
    return [_plain(one) for one in records if one.status == "ok" and one.spec.most_train is None]


def datasets_of(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Data set -> categories, of plain records."""
    found: dict[str, dict[str, None]] = {}
    for one in records:
        found.setdefault(one["dataset"], {})[one["category"]] = None
    return {name: list(categories) for name, categories in found.items()}


def _plain(record: Record) -> dict[str, Any]:
    from onlygood.methods.registry import find_method

    spec, figures = record.spec, record.figures
    preset = find_method(spec.method).presets[spec.preset] if spec.preset else {}
    metrics = {name: figures[name] for name in _METRICS if figures.get(name) is not None}
    for row in figures.get("per_type", ()):
        if row["name"] in _NATURES and row["image_auroc"] is not None:
            metrics[f"image_auroc_{_NATURES[row['name']]}"] = row["image_auroc"]
    honest = {name: figures[f"honest_{name}"] for name in _METRICS if figures.get(f"honest_{name}") is not None}
    if "ms_per_image" in record.costs and not figures.get("oracle"):
        metrics["ms_per_image"] = record.costs["ms_per_image"]
    train = None if spec.shots is not None else figures["n_train"]
    return {
        "dataset": table_name(spec.dataset, spec.category, train, figures["n_good"], figures["n_defect"]),
        "category": spec.category,
        "method": spec.method,
        "parameters": {**preset, **spec.parameters},
        "seed": spec.seed if spec.shots is None else _draw(spec),
        "shots": spec.shots,
        "protocol": spec.protocol,
        "metrics": metrics,
        **({"honest_metrics": honest} if figures.get("oracle") else {}),
    }


def _draw(spec: RunSpec) -> int:
    """One number for the draw and the detector's seed."""
    return spec.draw if spec.seed == 0 else spec.draw + 10_000 * spec.seed


def limited(plan: Plan, methods: Collection[str]) -> Plan:
    """A plan of some methods only."""
    return Plan(plan.paper, tuple(run for run in plan.runs if run["method"] in methods), plan.cannot)
