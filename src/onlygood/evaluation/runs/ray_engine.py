"""The engine `ray`: the same runs on a cluster of machines, or on this one, through Ray (extra `ray`).

Only this process writes records. The images, and the folder of shared features if there is one, must lie under the same
paths on every machine of the cluster, and onlygood must be installed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from onlygood.cluster import ray_cluster
from onlygood.errors import OnlyGoodError, require
from onlygood.evaluation.runs.local import TRIES
from onlygood.evaluation.runs.measuring import Task, failed, measure, now
from onlygood.evaluation.runs.records import Record
from onlygood.parallel import THREAD_VARIABLES, cores


class RayEngine:
    """Runs tasks wherever the cluster has room.

    Args:
        threads: Threads of each run; so many CPUs of the cluster are reserved for it.
        address: Of a cluster, such as `ray://head:10001` or `auto`; None starts one on this machine and stops it in the
            end.
        workers: Runs at a time, at most; None for as many as the cluster has CPUs for.

    Raises:
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self, threads: int, address: str | None = None, workers: int | None = None) -> None:
        require("ray", "ray", "The engine ray")
        self.threads, self.address, self.workers = threads, address, workers

    def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records as runs end; a task is taken when the cluster has room for it."""
        count = cores() if self.workers is None else self.workers * self.threads
        with ray_cluster(self.address, count) as ray:
            yield from self._records(ray, tasks)

    def _records(self, ray: Any, tasks: Iterable[Task]) -> Iterator[Record]:
        total = int(ray.cluster_resources().get("CPU", 0))
        if total < self.threads:
            raise OnlyGoodError(f"The Ray cluster has {total} CPUs; a run needs {self.threads}. Take fewer threads.")
        most = min(self.workers or total, total // self.threads)
        variables = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        remote = ray.remote(num_cpus=self.threads, max_retries=TRIES - 1, runtime_env={"env_vars": variables})(measure)
        waiting = iter(tasks)
        running: dict[Any, tuple[Task, str]] = {}
        while True:
            while len(running) < most and (task := next(waiting, None)) is not None:
                task = replace(task, about={**task.about, "workers": most})
                running[remote.remote(task)] = (task, now())
            if not running:
                return
            for one in ray.wait(list(running))[0]:
                task, started = running.pop(one)
                try:
                    record: Record = ray.get(one)
                except ray.exceptions.RayError as error:
                    record = failed(task, started, f"The worker was killed, {TRIES} times. {type(error).__name__}")
                yield record
