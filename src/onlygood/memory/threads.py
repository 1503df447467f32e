"""Linear algebra of small matrices on one thread (needs threadpoolctl; fitting only)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Keeps NumPy's, and SciPy's if it is imported already, linear algebra on one thread.

    Its threads wait for each other by spinning. Factorising matrices of a hundred rows by the thousand took fifty times
    as long on two cores that had other work, too.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
