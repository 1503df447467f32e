"""Bulk inspection on a Ray cluster."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onlygood.bulk.listing import BulkImage, Part, list_images, named, parts_of
from onlygood.bulk.results import Bulk, Results
from onlygood.cluster import ray_cluster
from onlygood.errors import OnlyGoodError, ParameterError, require
from onlygood.parallel import THREAD_VARIABLES, cores
from onlygood.reports.pictures import Pictures

#: What Ray Data hands out to workers: with fewer parts each is one, so that all workers have something to do.
BLOCKS = 1000


def inspect_bulk(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    into: str | Path,
    *,
    maps: str | Path | None = None,
    overlay: str | Path | None = None,
    original_size: bool = False,
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
) -> Bulk:
    """Inspect images wherever a Ray cluster has room; scores are those of `Detector.inspect`, one by one.

    Where `into` holds the results of a run that was stopped, or of fewer images, this goes on: images that have a row
    are not inspected again.

    Args:
        model: Model file; it is sent to the workers.
        images: Files and folders, or URIs of files and folders in an object store, such as `s3://bucket/parts`, but not
            both at once. A listing is a list of them. An image that is named twice gets one row.
        into: Folder to write, or the URI of one.
        maps: Folder for the anomaly maps, as 32-bit TIFF; all machines must see it under the same path.
        overlay: Folder for the overlays, as PNG; likewise.
        original_size: Maps in the size of each image rather than in the detector's input size.
        address: Of a cluster; None starts one on this machine.
        workers: At most; by default as many as there are CPUs for.
        threads: Of each worker.

    Raises:
        MissingDependencyError: Ray Data is not installed.
        DataError: There is no image, or `into` holds something else or was begun with another model file or pictures.
        ModelFileError: The model file cannot be used.
        ParameterError: A number below 1, or pictures in an object store.
        OnlyGoodError: The cluster cannot be used or is too small, or the store cannot be reached.
    """
    for package in ("ray", "pyarrow", "pandas"):
        require(package, "ray", "Bulk inspection")
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ParameterError(f"{name}={value}: a whole number of at least 1.")
    pictures = Pictures(_folder("overlay", overlay), _folder("maps", maps), original_size)
    from onlygood.methods import load

    load(model)  # what is wrong with it is said before a cluster is started
    content = Path(model).read_bytes()
    with _reaching():
        listed = list_images(images)
        results = Results(str(into))
        finished = results.begin(_settings(content, pictures))
        parts = parts_of(named(listed, finished), finished)
        if parts:
            _on_cluster(parts, content, str(into), pictures, address, workers, threads)
        results.close()
        return results.counted(len(finished))


def _on_cluster(
    parts: Sequence[Part],
    model: bytes,
    into: str,
    pictures: Pictures,
    address: str | None,
    workers: int | None,
    threads: int,
) -> None:
    with ray_cluster(address, 1 + (workers or cores()) * threads) as ray:
        # one CPU is left to Ray Data itself, or nothing would ever begin
        most = (int(ray.cluster_resources().get("CPU", 0)) - 1) // threads
        if most < 1:
            raise OnlyGoodError(f"The Ray cluster is too small: {threads + 1} CPUs are needed. Take fewer threads.")
        most = min(workers or most, most, len(parts))
        import ray.data as data

        data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every step
        into = into if "://" in into else str(Path(into).absolute())
        given = {"model": [ray.put(model)], "threads": threads, "into": into, "pictures": pictures}
        try:
            blocks = min(len(parts), BLOCKS)
            data.from_items([asdict(part) for part in parts], override_num_blocks=blocks).map_batches(
                _Actor,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_kwargs=given,
                compute=data.ActorPoolStrategy(size=most),
                num_cpus=threads,
                runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(threads))},
            ).materialize()
        except ray.exceptions.RayError as error:
            raise OnlyGoodError(f"The Ray cluster failed: {' '.join(str(error).split())}") from error


class _Actor:
    """A worker on the cluster: the detector is loaded once."""

    def __init__(self, model: list[Any], threads: int, into: str, pictures: Pictures) -> None:
        import ray

        from onlygood.bulk.worker import Worker
        from onlygood.methods import load

        with tempfile.NamedTemporaryFile(suffix=".og", delete=False) as file:
            file.write(ray.get(model[0]))
        try:
            self._worker = Worker(load(file.name, threads=threads), into, pictures)
        finally:
            Path(file.name).unlink()  # it stays mapped

    def __call__(self, batch: Any) -> Any:
        """Rows of a batch are parts; only their names are handed back."""
        for row in batch.to_pylist():
            self._worker.do(Part(row["name"], [BulkImage(**image) for image in row["images"]]))
        return batch.select(["name"])


def _settings(model: bytes, pictures: Pictures) -> dict[str, Any]:
    """What must stay the same for rows to go together."""
    folders = {"maps": pictures.maps, "overlay": pictures.overlay}
    return {
        "model": hashlib.sha256(model).hexdigest(),
        **{name: None if folder is None else str(folder) for name, folder in folders.items()},
        "original_size": pictures.original_size,
    }


def _folder(name: str, folder: str | Path | None) -> Path | None:
    if folder is None:
        return None
    if "://" in str(folder):
        raise ParameterError(f"{name}={folder}: pictures are written into a folder that all machines see, not a store.")
    return Path(folder).absolute()


@contextmanager
def _reaching() -> Iterator[None]:
    """Errors of stores and disks, from many layers, as one of ours."""
    try:
        yield
    except OnlyGoodError:
        raise
    except (OSError, ValueError) as error:
        raise OnlyGoodError(f"Images or results cannot be reached: {' '.join(str(error).split())}") from error
