"""Which runs there are to do: methods times data, seeds and shots."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onlygood.errors import ParameterError
from onlygood.evaluation.runs.data import open_all
from onlygood.evaluation.runs.measuring import make_detector
from onlygood.evaluation.runs.released import check_released
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.images.datasets import DataSet


@dataclass(frozen=True)
class Candidate:
    """A method as it is to be run.

    Attributes:
        method: Name.
        preset: Named set of parameters; None for the defaults.
        parameters: What is other than in the preset.
        seeds: Of this one alone; None for those of the sweep.
    """

    method: str
    preset: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] | None = None


@dataclass(frozen=True)
class Sweep:
    """Runs and the data they are to be done on.

    Attributes:
        specs: In the order in which they are done, none twice.
        data: The data sets by name.
    """

    specs: tuple[RunSpec, ...]
    data: Mapping[str, DataSet]


def plan(
    roots: Sequence[str | Path],
    candidates: Sequence[Candidate],
    *,
    categories: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    shots: Sequence[int | None] = (None,),
    draws: int = 1,
    most_train: int | None = None,
    protocol: str = "honest",
) -> Sweep:
    """All combinations as a sweep, checked before anything is begun.

    Runs that need the same features are far apart: one category after the other for each method, so that workers side
    by side seldom compute the same.

    Args:
        roots: Folders of data sets, as `images.datasets.open_dataset` takes them.
        candidates: Methods.
        categories: Names of those that are wanted; all if none is named.
        seeds: Of the detectors.
        shots: Numbers of training images; None among them is all.
        draws: How many draws of each number of shots.
        most_train: Training images at most where there are no shots; None for all.
        protocol: As `RunSpec` has it.

    Raises:
        DataError: A data set cannot be used.
        ParameterError: No method, data or category of a name, or a parameter or value that a method cannot have.
    """
    for what, given in (("data set", roots), ("method", candidates), ("seed", seeds), ("number of shots", shots)):
        if not given:
            raise ParameterError(f"A sweep needs at least one {what}.")
    if draws < 1:
        raise ParameterError(f"draws={draws}: a whole number of at least 1.")
    for candidate in candidates:
        made = make_detector(RunSpec("-", "-", candidate.method, candidate.preset, candidate.parameters))
        if protocol == "released":
            check_released(made)
    data = open_all(roots)
    wanted = [(one.name, part.name) for one in data.values() for part in one.categories]
    for name in categories:
        if name not in {category for _, category in wanted}:
            known = ", ".join(sorted({category for _, category in wanted}))
            raise ParameterError(f"There is no category {name!r} in the data. There are: {known}.")
    if categories:
        wanted = [pair for pair in wanted if pair[1] in categories]
    amounts = [(shot, draw) for shot in shots for draw in range(1 if shot is None else draws)]
    specs = [
        RunSpec(
            dataset,
            category,
            candidate.method,
            candidate.preset,
            candidate.parameters,
            seed,
            shot,
            draw,
            most_train if shot is None else None,
            protocol,
        )
        for (shot, draw), candidate in itertools.product(amounts, candidates)
        for seed in (seeds if candidate.seeds is None else candidate.seeds)
        for dataset, category in wanted
    ]
    return Sweep(tuple(dict.fromkeys(specs)), data)
