"""The package faiss, imported at first use and kept from getting in the way of the feature graph's threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from onlygood.parallel import is_worker


@cache
def faiss_module() -> Any:
    """The package; its own type hints leave out half of what it has.

    Its threads are told to sleep while they wait: by default they spin, and so take the cores from the backbone of the
    next image. OpenMP reads this wish only while it is loaded.
    """
    name = "OMP_WAIT_POLICY"
    before = os.environ.get(name)
    os.environ.setdefault(name, "PASSIVE")
    try:
        import faiss
    finally:
        if before is None:
            del os.environ[name]
    return faiss


@contextmanager
def threads_of_faiss(count: int | None) -> Iterator[None]:
    """Threads of what the calling thread asks of faiss: None for all cores; one where several threads share them."""
    faiss = faiss_module()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if is_worker() else count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
