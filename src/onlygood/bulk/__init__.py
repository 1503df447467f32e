"""Very many images, on a cluster or on this machine, through Ray Data (extra `ray`).

Images lie in folders that all machines see, or in an object store; each is read where it is inspected. The results are
Parquet files, one row for each image. A run that was stopped goes on: images that have a row keep it.
"""

from __future__ import annotations

from onlygood.bulk.results import Bulk
from onlygood.bulk.running import inspect_bulk

__all__ = ["Bulk", "inspect_bulk"]
