"""The engine `local`: worker processes on this machine, each with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from onlygood.evaluation.runs.measuring import Task, failed, measure, now
from onlygood.evaluation.runs.records import Record
from onlygood.parallel import THREAD_VARIABLES

#: Tries of a run whose worker is killed.
TRIES = 2


@dataclass
class _Worker:
    process: Any
    connection: Connection
    task: Task | None = None
    tries: int = 0
    started: str = ""


class LocalEngine:
    """Runs tasks in processes of their own, each of which does one run after the other.

    A run whose worker is killed (by the system for want of memory, say) is tried once more in a new one, then recorded
    as failed. The workers end with this process, however it ends.

    Args:
        workers: Processes.
        threads: Threads of each: of the detector, the search, torch and linear algebra.
        fresh: Whether each run has a process of its own, so that its peak of memory holds nothing that an earlier run
            left behind.
    """

    def __init__(self, workers: int, threads: int, *, fresh: bool = False) -> None:
        self.workers, self.threads, self.fresh = workers, threads, fresh
        self._all: list[_Worker] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records as runs end; a task is taken when a worker is free for it."""
        waiting, again = iter(tasks), list[tuple[Task, int]]()
        try:
            while True:
                while len(self._busy()) < self.workers:
                    task, tries = again.pop() if again else (next(waiting, None), 0)
                    if task is None:
                        break
                    self._give(task, tries + 1)
                if not self._busy():
                    return
                for connection in wait([worker.connection for worker in self._busy()]):
                    worker = next(one for one in self._all if one.connection is connection)
                    assert worker.task is not None
                    task, record = worker.task, self._receive(worker)
                    if record is not None:
                        yield record
                    elif worker.tries < TRIES:
                        again.append((task, worker.tries))
                    else:
                        yield failed(task, worker.started, _how_it_ended(worker.process.exitcode))
        finally:
            self._stop()

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._all if worker.process.pid is not None]

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._all if worker.task is not None]

    def _give(self, task: Task, tries: int) -> None:
        task = replace(task, about={**task.about, "workers": self.workers, "tries": tries})
        idle = [worker for worker in self._all if worker.task is None]
        worker = idle[0] if idle else self._start()
        worker.task, worker.tries, worker.started = task, tries, now()
        try:
            worker.connection.send(task)
        except OSError:  # killed while it was idle; its connection is at its end, which is seen to later
            return

    def _receive(self, worker: _Worker) -> Record | None:
        """What a worker sends; None if it is gone."""
        try:
            record: Record = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            worker.connection.close()
            self._all.remove(worker)
            return None
        worker.task = None
        if self.fresh:
            worker.connection.close()  # upon which it ends by itself
            worker.process.join()
            self._all.remove(worker)
        return record

    def _start(self) -> _Worker:
        # forking a process that has threads may leave locks held for ever, and libraries read their settings but once
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), name="onlygood-worker")
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(self.threads))):
            process.start()
        theirs.close()
        self._all.append(_Worker(process, ours))
        return self._all[-1]

    def _stop(self) -> None:
        for worker in self._all:
            worker.connection.close()  # an idle worker ends by itself
            if worker.task is not None:
                worker.process.terminate()
        for worker in self._all:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._all = []


def _work(connection: Connection) -> None:
    """Do runs until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(measure(task))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to take the record


def _how_it_ended(code: int | None) -> str:
    """A sentence of how a worker ended, by its exit status."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        mend = " Perhaps memory ran out: try fewer workers." if name == "SIGKILL" else ""
        return f"The worker was killed ({name}), {TRIES} times.{mend}"
    return f"The worker ended by itself with status {code}, {TRIES} times."


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
