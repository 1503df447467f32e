"""Several images at a time: one is decoded while another goes through the backbone and a third is searched for."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: What libraries read when they are loaded: how many threads OpenMP, OpenBLAS, MKL and others may start.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

_this_thread = threading.local()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(function: Callable[[T], R], items: Sequence[T], workers: int | None = None) -> Iterator[R]:
    """`function` of each item, several at a time in threads; results come in the order of the items.

    At most twice as many items as workers are begun before their turn. An exception is raised at its item's turn;
    what has not begun by then is not begun.

    Args:
        function: Called from several threads.
        items: What it is called with.
        workers: Threads; None for one per core. With one, or one item, or inside such a thread, it is called in this
            thread.
    """
    workers = min(threads_here(workers), len(items))
    if workers < 2:
        yield from map(function, items)
        return
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, "onlygood", as_worker) as pool:
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > 2 * workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def threads_here(threads: int | None = None) -> int:
    """How many threads work may be shared out to: as asked for, None for one per core; one inside a worker."""
    return 1 if is_worker() else threads or cores()


def is_worker() -> bool:
    """Whether this thread is one of several that share the cores: then it should start no further ones."""
    return getattr(_this_thread, "worker", False)


def as_worker() -> None:
    """Make this thread one of several that share the cores."""
    _this_thread.worker = True
