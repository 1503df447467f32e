"""Doing a sweep: what is left of it, one record as each run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from onlygood.errors import DataError, ParameterError
from onlygood.evaluation.runs.data import Contents, read_contents
from onlygood.evaluation.runs.measuring import Task
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.sweep import Sweep
from onlygood.parallel import cores
from onlygood.progress import Report, silent

#: Threads of a worker unless it is told: few methods make good use of more.
THREADS = 4


class RunEngine(Protocol):
    """What does tasks, here or elsewhere."""

    threads: int

    def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records as runs end, in any order; a task is taken when there is room for it."""
        ...


@dataclass
class Outcome:
    """What became of the runs of a sweep.

    Attributes:
        done: Runs finished now.
        before: Runs that were finished already.
        failed: Records of runs that failed, now or, if they were not to be tried again, before.
    """

    done: int = 0
    before: int = 0
    failed: list[Record] = field(default_factory=list)


def share_cores(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers and threads of each that the cores of this machine suffice for.

    Raises:
        ParameterError: A number below 1, or more workers or threads than cores.
    """
    there = cores()
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ParameterError(f"{name}={value}: a whole number of at least 1.")
    if threads is None:
        threads = max(1, there // workers) if workers else min(THREADS, there)
    workers = workers or max(1, there // threads)
    if workers * threads > there:
        raise ParameterError(
            f"{workers} workers with {threads} threads each are more than the {there} cores here: they would slow each "
            "other down. Take fewer workers or threads."
        )
    return workers, threads


def run_sweep(
    sweep: Sweep,
    records: Records,
    engine: RunEngine,
    *,
    features: Path | None = None,
    tunings: Path | None = None,
    retry: bool = False,
    progress: Report | None = None,
    told: Callable[[Record], None] | None = None,
) -> Outcome:
    """Do the runs of a sweep that have no record yet, and write a record as each ends.

    Args:
        sweep: The runs.
        records: Where they are recorded. What is recorded there is not done again.
        engine: What does them.
        features: Folder of features that runs share; None for none.
        tunings: Folder of fine-tunings that runs share, and from which a run that was stopped goes on; None for none.
        retry: Whether runs that failed before are tried again.
        progress: Called as `progress("runs", done, total)`; before that, while files are read, for each category.
        told: Called with each record once it is written.

    Raises:
        DataError: The data differs from that of records in the file, or cannot be read; or the file cannot be used.
    """
    report = progress or silent
    outcome = Outcome()
    total, ended = len(sweep.specs), 0
    statuses = records.statuses(sweep.specs)
    left = []
    for spec in sweep.specs:
        status = statuses.get(spec.key)
        if status == "ok":
            outcome.before += 1
        elif status == "failed" and not retry:
            outcome.failed += [record for record in [records.get(spec)] if record is not None]
        else:
            left.append(spec)
    ended = total - len(left)
    contents = _contents(sweep, left, records, report)
    report("runs", ended, total)

    def tasks() -> Iterator[Task]:
        nonlocal ended
        for spec in left:
            if records.statuses([spec]).get(spec.key) == "ok":  # another sweep has done it meanwhile
                outcome.before += 1
                ended += 1
                report("runs", ended, total)
                continue
            yield Task(spec, contents[spec.dataset, spec.category], engine.threads, features, tunings)

    for record in engine.run(tasks()):
        records.add(record)
        if record.status == "ok":
            outcome.done += 1
        else:
            outcome.failed.append(record)
        ended += 1
        report("runs", ended, total)
        if told is not None:
            told(record)
    return outcome


def _contents(
    sweep: Sweep, specs: Iterable[RunSpec], records: Records, report: Report
) -> dict[tuple[str, str], Contents]:
    """The categories of these runs, read once; that they are what was measured before is made sure of."""
    found: dict[tuple[str, str], Contents] = {}
    for name in dict.fromkeys((spec.dataset, spec.category) for spec in specs):
        dataset, category = name
        found[name] = read_contents(sweep.data[dataset].category(category), report)
        others = records.fingerprints(dataset, category) - {found[name].fingerprint}
        if others:
            raise DataError(
                f"{records.path} holds runs on other images of {dataset}/{category} than those in "
                f"{sweep.data[dataset].root}. Figures of different data must not be mixed: name another file for the "
                "records, or restore the images."
            )
    return found
