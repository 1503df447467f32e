"""Printed values beside our own: ours, the difference, and why the two may differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean, stdev
from typing import Any

from onlygood.errors import DataError
from onlygood.evaluation.runs.spec import PROTOCOLS
from onlygood.evaluation.tables.definitions import Row, development_rows, differences, rows_of
from onlygood.evaluation.tables.planning import complete
from onlygood.evaluation.tables.published import Paper, Published, Remark, members

#: Metrics of a data set the paper does not report on, in the order of the columns.
DEVELOPMENT_METRICS = ("image_auroc", "pixel_auroc", "aupro")
#: Metrics that are means of others.
_OF_OTHERS = {"image_auroc_natures": ("image_auroc_structural", "image_auroc_logical")}
#: What may differ from a row's own parameters and is then said.
_LOOSE = ("backbone", "precision")
_KEYS = ("dataset", "category", "method", "parameters", "metrics")


@dataclass(frozen=True)
class Compared:
    """One number of a table, printed and ours; shares are in 0..1.

    Attributes:
        table, row, dataset, category, metric, shots: Where it stands.
        published: The printed number; None if there is none.
        ours: Mean over the seeds; None if it was not run or not for every category of a mean.
        std: Standard deviation over the seeds (n - 1); None with fewer than two.
        seeds: Number of seeds.
        reasons: Why ours may differ, or why it is not there.
        swept: Name and value of the parameter that a figure has along its axis.
        oracle: Whether ours was chosen by test images.
    """

    table: str
    row: str
    dataset: str
    category: str
    metric: str
    shots: int | None = None
    published: Published | None = None
    ours: float | None = None
    std: float | None = None
    seeds: int = 0
    reasons: tuple[str, ...] = ()
    swept: tuple[str, Any] | None = None
    oracle: bool = False

    @property
    def difference(self) -> float | None:
        """Ours minus printed; None unless both are there."""
        return None if self.ours is None or self.published is None else self.ours - self.published.value

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What must be known of the printed number."""
        return self.published.remarks if self.published else ()


def compare(records: Sequence[Mapping[str, Any]], paper: Paper) -> tuple[Compared, ...]:
    """Every number of a paper's tables beside what was measured.

    Args:
        records: One for each run that ended: `dataset`, `category`, `method`, `parameters` (those that are not the
            defaults, or all), `seed` (0), `shots` (None), `metrics` (name -> value in 0..1), `protocol` (`honest`) and,
            of the protocol `released`, `honest_metrics`. Those are taken for rows that were printed so and no other.
        paper: The printed values, and by its name what each row is made of.

    Returns:
        In the order of the paper; then its figures and the data sets it does not report on, as far as they were run.

    Raises:
        DataError: A record lacks something or names an unknown method, which tells which record.
    """
    # Of runs recorded twice the later one counts: the better one would be an oracle.
    measured = list({one.key: one for one in (_Record(n, record) for n, record in enumerate(records))}.values())
    honest = [one for one in measured if one.protocol == "honest"]
    oracles = [one for one in measured if one.protocol != "honest"]
    rows = {(row.table, row.row, row.dataset): row for row in rows_of(paper.name)}
    of_rows: dict[tuple[str, str, str], tuple[_Ours, _Ours]] = {}
    compared = []
    for value in paper.values:
        key = (value.table, value.row, value.dataset)
        row = rows[key]
        if key not in of_rows:
            of_rows[key] = _Ours(row, honest), _Ours(row, oracles)
        own, chosen = of_rows[key]
        place = Compared(value.table, value.row, value.dataset, value.category, value.metric, value.shots, value)
        categories = members(value.dataset, value.category) or (value.category,)
        found = chosen.fill(place, categories) if any(one.kind == "oracle" for one in value.remarks) else place
        if found.ours is None:
            found = own.fill(place, categories)
        said = (
            (*differences(paper.name, value, found.oracle), row.differs) if found.ours is not None else (row.why_not,)
        )
        compared.append(replace(found, reasons=tuple(text for text in (*found.reasons, *said) if text)))
    reported = {row.dataset for row in rows.values()}
    figures = [row for row in rows.values() if row.table.startswith("Figure") and not row.why_not]
    others = sorted({one.dataset for one in measured} - reported)
    seen: set[tuple[Any, ...]] = set()
    for row in (*figures, *(row for name in others for row in development_rows(paper.name, name))):
        by_test = replace(row, row=f"{row.row}, released protocol")
        for ours in (_Ours(row, honest), *(() if row.swept else (_Ours(by_test, oracles),))):
            # On one backbone in place of all, rows that differ by theirs alone are one.
            what = (row.table, row.dataset, row.swept, frozenset(map(id, ours.records)))
            if ours.records and what not in seen:
                seen.add(what)
                compared += _unprinted(ours)
    return tuple(compared)


class _Record:
    """One run that ended, ready to be looked up."""

    def __init__(self, number: int, record: Mapping[str, Any]) -> None:
        lacking = [key for key in _KEYS if record.get(key) is None]
        if lacking:
            raise DataError(f"Record {number} lacks {', '.join(lacking)}. Each needs: {', '.join(_KEYS)}.")
        self.dataset, self.category = str(record["dataset"]), str(record["category"])
        self.method, self.seed = str(record["method"]), int(record.get("seed") or 0)
        self.shots = record.get("shots")
        self.protocol = str(record.get("protocol") or "honest")
        if self.protocol not in PROTOCOLS:
            raise DataError(f"Record {number}: unknown protocol {self.protocol!r}. Known are: {', '.join(PROTOCOLS)}.")
        #: Of an oracle, what is had without the test images.
        self.honest = dict(record.get("honest_metrics") or {})
        try:
            self.parameters = complete(self.method, record["parameters"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"Record {number}: {error}") from error
        metrics = record["metrics"]
        self.metrics = {
            name: float(value) for name, value in metrics.items() if isinstance(value, int | float) and isfinite(value)
        }
        for name, parts in _OF_OTHERS.items():
            if all(part in self.metrics for part in parts):
                self.metrics.setdefault(name, fmean(self.metrics[part] for part in parts))
        if self.metrics.get("ms_per_image", 0) > 0:
            self.metrics.setdefault("images_per_second", 1000 / self.metrics["ms_per_image"])

    @property
    def key(self) -> str:
        parameters = sorted(self.parameters.items())
        return repr((self.dataset, self.category, self.method, parameters, self.seed, self.shots, self.protocol))

    def loosely(self) -> dict[str, Any]:
        return {name: value for name, value in self.parameters.items() if name not in _LOOSE}


class _Ours:
    """The records of one protocol that a row is made of: its own parameters, or the same on another backbone."""

    def __init__(self, row: Row, records: Iterable[_Record]) -> None:
        self.row = row
        self.reasons: list[str] = []
        here = [one for one in records if one.dataset == row.dataset]
        wanted = [(one.method, complete(one.method, one.parameters)) for one in row.settings]
        self.records = [one for one in here if (one.method, one.parameters) in wanted]
        if not self.records and wanted:
            loose = [(m, {key: v for key, v in p.items() if key not in _LOOSE}) for m, p in wanted]
            near = [one for one in here if (one.method, one.loosely()) in loose]
            self.records = _of_one_kind(near)
            if self.records:
                kind = self.records[0].parameters
                self.reasons += [
                    f"{name}: {_word(kind[name])} in place of {_word(wanted[0][1][name])}"
                    for name in _LOOSE
                    if kind[name] != wanted[0][1][name]
                ]
        self.oracle = any(one.protocol != "honest" for one in self.records)

    def fill(self, place: Compared, categories: Sequence[str]) -> Compared:
        """A place with our number, which is a mean over categories."""
        by_seed: dict[int, dict[str, _Record]] = {}
        for one in self.records:
            if one.shots == place.shots and one.category in categories and place.metric in one.metrics:
                by_seed.setdefault(one.seed, {})
        for seed, found in by_seed.items():
            for category in categories:
                value = self._best(seed, category, place)
                if value is not None:
                    found[category] = value
        complete_ones = [list(found.values()) for found in by_seed.values() if len(found) == len(categories)]
        whole = [fmean(one.metrics[place.metric] for one in found) for found in complete_ones]
        if not whole:
            most = max((len(found) for found in by_seed.values()), default=0)
            part = (f"ours: {most} of {len(categories)} categories so far",) if most else ()
            return replace(place, reasons=part)
        reasons = list(self.reasons)
        if self.oracle:
            found_without = [one.honest.get(place.metric) for found in complete_ones for one in found]
            known = [value for value in found_without if value is not None]
            without = f"; honest: {100 * fmean(known):.2f} %" if len(known) == len(found_without) else ""
            reasons.append(f"ours is an oracle, chosen by test images (released protocol){without}")
        elif len(self.row.settings) > 1:
            tried = len({repr(sorted(one.parameters.items())) for one in self.records})
            reasons.append(f"ours, too, is the best by test score, of {tried} of {len(self.row.settings)} settings")
        if len(whole) < self.row.seeds:
            reasons.append(f"ours: {len(whole)} of {self.row.seeds} seeds")
        spread = stdev(whole) if len(whole) > 1 else None
        oracle = self.oracle or len(self.row.settings) > 1
        return replace(place, ours=fmean(whole), std=spread, seeds=len(whole), reasons=tuple(reasons), oracle=oracle)

    def _best(self, seed: int, category: str, place: Compared) -> _Record | None:
        """The record of one seed and category; of several settings, that of the highest image AUROC."""
        fitting = [
            one
            for one in self.records
            if (one.seed, one.category, one.shots) == (seed, category, place.shots) and place.metric in one.metrics
        ]
        if not fitting:
            return None
        return max(fitting, key=lambda one: one.metrics.get("image_auroc", 0.0))


def _of_one_kind(records: Sequence[_Record]) -> list[_Record]:
    """Those of the backbone that most were run with: two are never mixed in one number."""
    kinds: dict[str, list[_Record]] = {}
    for one in records:
        kinds.setdefault(repr([one.parameters[name] for name in _LOOSE]), []).append(one)
    return max(sorted(kinds.items()), key=lambda kind: len(kind[1]))[1] if kinds else []


def _unprinted(ours: _Ours) -> Iterator[Compared]:
    """Our numbers of a row that has no printed ones."""
    row = ours.row
    categories = sorted({one.category for one in ours.records})
    for metric in _metrics_in_order(ours.records):
        for category in (*categories, *(["mean"] if len(categories) > 1 else [])):
            place = Compared(row.table, row.row, row.dataset, category, metric, swept=row.swept)
            wanted = (members(row.dataset, "mean") or categories) if category == "mean" else (category,)
            filled = ours.fill(place, wanted)
            if filled.ours is not None:
                yield filled


def _metrics_in_order(records: Iterable[_Record]) -> list[str]:
    there = {name for one in records for name in one.metrics}
    natures = sorted(name for name in there if name.startswith("image_auroc_"))
    return [name for name in (*DEVELOPMENT_METRICS, *natures, "images_per_second") if name in there]


def _word(value: Any) -> str:
    if value is None:
        return "the default"
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
