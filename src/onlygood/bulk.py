"""Very many images, on a cluster or on this machine, through Ray Data (extra `ray`).

Images lie in folders that all machines see, or in an object store; each is read where it is inspected. The results are
Parquet files, one row for each image.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onlygood.cluster import ray_cluster
from onlygood.errors import DataError, OnlyGoodError, ParameterError, require
from onlygood.images.layouts import find_images
from onlygood.images.reading import EXTENSIONS
from onlygood.parallel import THREAD_VARIABLES, cores

#: Images that a worker is given at a time.
BATCH = 16


@dataclass(frozen=True)
class Bulk:
    """What became of the images.

    Attributes:
        into: Folder or URI of the Parquet files. Columns: `path`, `verdict` (OK, REVIEW, NG), `score`, `p_value`,
            `width`, `height`, `regions` (JSON, as `Region.as_dict`) and `error`, which is null unless the image could
            not be inspected; then the others are.
        verdicts: Number of images by verdict.
        failed: Number of those that could not be inspected.
    """

    into: str
    verdicts: dict[str, int]
    failed: int


def inspect_bulk(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    into: str | Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
) -> Bulk:
    """Inspect images wherever a Ray cluster has room; scores are those of `Detector.inspect`, one by one.

    Args:
        model: Model file; it is sent to the workers.
        images: Files and folders, or URIs of files and folders in an object store, such as `s3://bucket/parts`, but not
            both at once. A listing is a list of them.
        into: Folder to write, which must not be there yet, or the URI of one.
        address: Of a cluster; None starts one on this machine.
        workers: At most; by default as many as there are CPUs for.
        threads: Of each worker.

    Raises:
        MissingDependencyError: Ray Data is not installed.
        DataError: There is no image, or `into` is there.
        ModelFileError: The model file cannot be used.
        ParameterError: A number below 1.
        OnlyGoodError: The cluster cannot be used or is too small, or the store cannot be read.
    """
    for package in ("ray", "pyarrow", "pandas"):
        require(package, "ray", "Bulk inspection")
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ParameterError(f"{name}={value}: a whole number of at least 1.")
    from onlygood.methods import load

    load(model)  # what is wrong with it is said before a cluster is started
    stored, files = _listed(images)
    with _whole(str(into)) as target, ray_cluster(address, 1 + (workers or cores()) * threads) as ray:
        # one CPU is left to reading and writing, or nothing would ever begin
        most = (int(ray.cluster_resources().get("CPU", 0)) - 1) // threads
        if most < 1:
            raise OnlyGoodError(f"The Ray cluster is too small: {threads + 1} CPUs are needed. Take fewer threads.")
        _run(ray, Path(model).read_bytes(), stored, files, target, min(workers or most, most), threads)
    return _counted(str(into))


def _run(ray: Any, model: bytes, stored: bool, files: list[str], target: str, workers: int, threads: int) -> None:
    import ray.data as data

    data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every step
    kept = ray.put(model)
    try:
        if stored:
            endings = sorted(ending.lstrip(".") for ending in EXTENSIONS)
            found = data.read_binary_files(files, include_paths=True, file_extensions=endings)
        else:
            found = data.from_items(
                [{"path": file} for file in files], override_num_blocks=min(len(files), 4 * workers)
            )
        found.map_batches(
            _Inspector,
            batch_size=BATCH,
            batch_format="pyarrow",
            fn_constructor_kwargs={"model": [kept], "threads": threads},
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=threads,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(threads))},
        ).write_parquet(target)
    except ray.exceptions.RayError as error:
        raise OnlyGoodError(f"The Ray cluster failed: {' '.join(str(error).split())}") from error
    except (OSError, ValueError) as error:
        raise OnlyGoodError(f"Images or results cannot be reached: {' '.join(str(error).split())}") from error


class _Inspector:
    """A worker: the detector, loaded once."""

    def __init__(self, model: list[Any], threads: int) -> None:
        import ray

        from onlygood.methods import load

        with tempfile.NamedTemporaryFile(suffix=".og", delete=False) as file:
            file.write(ray.get(model[0]))
        try:
            self._detector = load(file.name, threads=threads)
        finally:
            Path(file.name).unlink()  # it stays mapped

    def __call__(self, batch: Any) -> Any:
        """Rows of a batch with `path` and, from a store, `bytes`."""
        import pyarrow as pa

        text, number, whole = pa.string(), pa.float64(), pa.int32()
        kinds = {"path": text, "verdict": text, "score": number, "p_value": number}
        kinds |= {"width": whole, "height": whole, "regions": text, "error": text}
        rows = [self._row(**row) for row in batch.to_pylist()]
        return pa.Table.from_pylist(rows, pa.schema(kinds))

    def _row(self, path: str, bytes: bytes | None = None) -> dict[str, Any]:
        from onlygood.images import ImageSource
        from onlygood.progress import silent

        source = ImageSource.of_file(Path(path)) if bytes is None else ImageSource(path, bytes)
        try:
            found = self._detector.inspect([source], progress=silent)[0]
        except OnlyGoodError as error:
            return {"path": path, "error": str(error)}
        return {
            "path": path,
            "verdict": str(found.verdict),
            "score": float(found.score),
            "p_value": float(found.p_value),
            "width": found.size[0],
            "height": found.size[1],
            "regions": json.dumps([region.as_dict() for region in found.regions]),
        }


def _listed(images: str | Path | Sequence[str | Path]) -> tuple[bool, list[str]]:
    """Whether the images lie in an object store, and their URIs or, with folders opened, their absolute paths."""
    asked = [str(one) for one in ([images] if isinstance(images, str | Path) else images)]
    stored = ["://" in one for one in asked]
    if not asked:
        raise DataError("The list of images is empty. Name at least one.")
    if any(stored) and not all(stored):
        raise DataError("Some images lie on a disk and some in an object store. Inspect them one after the other.")
    if all(stored):
        return True, asked
    paths = [Path(one).absolute() for one in asked]
    return False, [str(file) for path in paths for file in _files(path)]


def _files(path: Path) -> list[Path]:
    """The images of a folder, or the file itself; one that is missing gets a row with an error, as a damaged one."""
    is_file = path.is_file() or (path.suffix and not path.is_dir())
    return [path] if is_file else find_images(path)


@contextmanager
def _whole(into: str) -> Iterator[str]:
    """Where to write; a folder is there under its own name once it is whole."""
    if "://" in into:
        yield into
        return
    folder = Path(into).absolute()
    if folder.exists():
        raise DataError(f"{folder} is there already. Name another folder for the results.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as around:
        yield str(Path(around) / "results")
        (Path(around) / "results").rename(folder)


def _counted(into: str) -> Bulk:
    import pyarrow.dataset as parquet

    counts = parquet.dataset(into, format="parquet").to_table(["verdict"])["verdict"].value_counts().to_pylist()
    verdicts = {row["values"]: row["counts"] for row in counts}
    return Bulk(into, {name: count for name, count in verdicts.items() if name}, verdicts.get(None, 0))
