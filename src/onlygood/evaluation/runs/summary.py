"""Recorded runs drawn together: means over seeds and draws, for each candidate and category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from statistics import fmean, stdev
from typing import Any

from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import RunSpec

#: Data set and category.
Column = tuple[str, str]


@dataclass(frozen=True)
class Value:
    """A metric of a candidate, in the metric's own unit.

    Attributes:
        mean: Over the seeds and draws; each counts once, with its mean over the categories.
        std: Standard deviation over the seeds and draws (n - 1); None with fewer than two.
        runs: Seeds and draws.
    """

    mean: float
    std: float | None
    runs: int


class Summary:
    """Records by candidate (method, preset, parameters, shots) and category.

    Args:
        records: Finished and failed runs.

    Attributes:
        rows: Candidates: specifications without data set, category, seed and draw. Methods by name, numbers by size.
        columns: `(data set, category)`, in order.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._records: dict[tuple[RunSpec, Column], list[Record]] = {}
        for record in records:
            place = candidate_of(record.spec), (record.spec.dataset, record.spec.category)
            self._records.setdefault(place, []).append(record)
        self.rows = sorted({row for row, _ in self._records}, key=_order)
        self.columns = sorted({column for _, column in self._records})

    @cached_property
    def common(self) -> dict[str, Any]:
        """Parameters that are given for all candidates, with the same value."""
        if len(self.rows) < 2:
            return {}
        first = self.rows[0].parameters
        return {
            name: value
            for name, value in first.items()
            if all(name in row.parameters and row.parameters[name] == value for row in self.rows)
        }

    def name(self, row: RunSpec) -> str:
        """A candidate in words, without what all have in common."""
        return name_of(row, self.common)

    def columns_of(self, dataset: str) -> list[Column]:
        """The categories of a data set."""
        return [column for column in self.columns if column[0] == dataset]

    def value(self, row: RunSpec, columns: Sequence[Column], metric: str) -> Value | None:
        """A metric of a candidate, as the mean over categories.

        Args:
            row: The candidate.
            columns: The categories; a seed or draw counts only if it has the metric for all of them, for a mean over
                some would not be comparable.
            metric: Key of the figures or costs of a record.
        """
        draws: dict[tuple[int, int], list[float]] = {}
        for column in columns:
            for record in self._records.get((row, column), ()):
                value = {**record.costs, **record.figures}.get(metric)
                if isinstance(value, int | float) and isfinite(value):
                    draws.setdefault((record.spec.seed, record.spec.draw), []).append(value)
        whole = [fmean(values) for values in draws.values() if len(values) == len(columns)]
        if not whole or not columns:
            return None
        return Value(fmean(whole), stdev(whole) if len(whole) > 1 else None, len(whole))

    def failures(self, row: RunSpec, column: Column) -> int:
        """Failed runs of a candidate on a category."""
        return sum(record.status == "failed" for record in self._records.get((row, column), ()))


def candidate_of(spec: RunSpec) -> RunSpec:
    """The specification without data set, category, seed and draw: what is the same where runs are averaged."""
    return replace(spec, dataset="", category="", seed=0, draw=0)


def name_of(row: RunSpec, without: Mapping[str, Any] | Sequence[str] = ()) -> str:
    """A candidate in words; some parameters may be left out."""
    kept = {name: value for name, value in row.parameters.items() if name not in without}
    shots = [] if row.shots is None else ["1 shot" if row.shots == 1 else f"{row.shots} shots"]
    most = [] if row.most_train is None else [f"at most {row.most_train} images"]
    return ", ".join([replace(row, parameters=kept).variant, *shots, *most])


def swept_lines(rows: Sequence[RunSpec], parameter: str) -> dict[RunSpec, dict[float, RunSpec]]:
    """Candidates that differ in one number alone, where there are at least two of a kind.

    A candidate that leaves the parameter out has the value of its preset or the method's default.

    Args:
        rows: Candidates.
        parameter: Name of the parameter.

    Returns:
        By what they have in common (the candidate without the parameter and without what is at its default): the
        candidates by the parameter's value, ascending.
    """
    lines: dict[RunSpec, dict[float, RunSpec]] = {}
    for row in rows:
        at = row.parameters.get(parameter, _default(row, parameter))
        if isinstance(at, bool) or not isinstance(at, int | float):
            continue
        rest = {
            name: value for name, value in row.parameters.items() if name != parameter and value != _default(row, name)
        }
        lines.setdefault(replace(row, parameters=rest), {})[float(at)] = row
    return {rest: dict(sorted(found.items())) for rest, found in lines.items() if len(found) > 1}


def _default(row: RunSpec, parameter: str) -> Any:
    """The value a parameter has where it is not given; None if that is not known."""
    from onlygood.methods.registry import METHODS

    kind = METHODS.get(row.method)
    if kind is None:  # a method of another version
        return None
    return kind.presets.get(row.preset or "", {}).get(parameter, getattr(kind, parameter, None))


def _order(row: RunSpec) -> tuple[Any, ...]:
    """Methods by name, few shots behind all images, numbers by size."""
    numbers = [(name, *_by_size(value)) for name, value in sorted(row.parameters.items())]
    return row.method, row.preset or "", row.shots is not None, numbers, row.shots or 0, row.most_train or 0


def _by_size(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return not number, value if number else 0.0, str(value)
