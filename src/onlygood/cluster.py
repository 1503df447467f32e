"""A Ray cluster to work on: one of one's own on this machine, or one that is there (extra `ray`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onlygood.errors import OnlyGoodError


@contextmanager
def ray_cluster(address: str | None, cpus: int) -> Iterator[Any]:
    """The module `ray`, connected within the block.

    Args:
        address: Of a cluster, such as `ray://head:10001` or `auto`; None starts one on this machine and stops it in the
            end.
        cpus: Of the cluster that is started.

    Raises:
        OnlyGoodError: The cluster cannot be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
    import ray

    try:
        if address is None:
            ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="error")
        else:
            ray.init(address, log_to_driver=False, logging_level="error")
    except Exception as error:  # of many kinds, from many layers
        where = f"cluster at {address}" if address else "cluster on this machine"
        raise OnlyGoodError(f"The Ray {where} cannot be used: {' '.join(str(error).split())}") from error
    try:
        yield ray
    finally:
        ray.shutdown()
