"""The station's own copies of model files, by their SHA-256.

Detectors map their file into memory, so a file that somebody overwrites in place would change or crash a running one. A
copy under its hash cannot be overwritten by anything else, and stays there to roll back to.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from onlygood.errors import ModelFileError, OnlyGoodError
from onlygood.files import replacing
from onlygood.images.sources import ImageSource
from onlygood.methods import Detector, load
from onlygood.progress import silent
from onlygood.station.errors import NotFoundError

_HASH = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming."

#: What a file was when it was looked at: time of change, size, number; None if it was not there.
Stamp = tuple[int, int, int] | None


class ModelFiles:
    """A folder of model files.

    Args:
        folder: Made if it is not there.
        engine: What runs the feature graph; None as fitted.
        threads: Of each inspection; None for all cores.
    """

    def __init__(self, folder: Path, engine: str | None = None, threads: int | None = None) -> None:
        self.folder = folder
        self._engine = engine
        self._threads = threads
        self._lock = threading.Lock()
        self._new: set[str] = set()  # came since the start, and nobody has loaded it yet
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_INCOMING}*"):  # of a station that was killed
            left.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """The station's copy of a model file.

        Raises:
            NotFoundError: There is none of that hash.
        """
        if not _HASH.fullmatch(sha256) or not self.has(sha256):
            raise NotFoundError(f"The station keeps no model file {sha256[:80]}.")
        return self.place(sha256)

    def place(self, sha256: str) -> Path:
        """Where the copy lies, or would lie."""
        return self.folder / f"{sha256}.og"

    def take_in(self, file: BinaryIO) -> str:
        """Copy a model file into the station's folder; its SHA-256. It is not looked into yet."""
        with self.incoming() as incoming:
            while block := file.read(2**20):
                incoming.write(block)
            return incoming.keep()

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A model file that arrives piece by piece; nothing is left of it unless it is kept."""
        handle, name = tempfile.mkstemp(prefix=_INCOMING, suffix=".part", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                yield Incoming(file, Path(name), self._arrived)
        finally:
            Path(name).unlink(missing_ok=True)

    def has(self, sha256: str) -> bool:
        """Whether there is a copy."""
        return self.place(sha256).is_file()

    def removable(self, sha256: str) -> bool:
        """Whether there is a copy, and not one that has just come to go on duty."""
        return sha256 not in self._new and self.has(sha256)

    def remove(self, sha256: str) -> None:
        """Remove a copy, if it is still `removable`; a detector that has it mapped keeps it. Raises OSError."""
        with self._lock:
            if self.removable(sha256):
                self.path(sha256).unlink()

    def _arrived(self, part: Path, sha256: str) -> None:
        with self._lock:
            # over one that is there: a detector that has that mapped keeps it, and one that was damaged is mended
            part.replace(self.place(sha256))
            self._new.add(sha256)

    def load(self, sha256: str) -> Detector:
        """A detector of the station's copy, tried on a grey image.

        Raises:
            NotFoundError: There is no copy.
            ModelFileError: It is no model file, damaged, or of a detector that needs more than a picture.
        """
        path = self.path(sha256)
        self._new.discard(sha256)
        try:
            detector = load(path, engine=self._engine, threads=self._threads)
            if detector.needs_points:
                raise ModelFileError(f"{detector.method} needs scans with points; the station takes pictures.")
            grey = ImageSource("trial", np.full((64, 64, 3), 128, np.uint8))
            if not np.isfinite(detector.inspect(grey, progress=silent)[0].score):
                raise ModelFileError("Its scores are no numbers. Fit anew.")
        except OnlyGoodError as error:
            raise ModelFileError(str(error).replace(str(path), "that was given")) from error
        except Exception as error:  # hashes that agree do not make a graph that runs
            raise ModelFileError(f"The model file cannot be used: {error}. Fit anew.") from error
        return detector


class Incoming:
    """A model file that arrives piece by piece.

    Args:
        file: Open for writing.
        path: Its name for now.
        arrived: Gives it its name: called with `path` and the SHA-256.
    """

    def __init__(self, file: BinaryIO, path: Path, arrived: Callable[[Path, str], None]) -> None:
        self._file, self._path, self._arrived = file, path, arrived
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> None:
        """The next piece."""
        self.size += len(block)
        self._digest.update(block)
        self._file.write(block)

    def keep(self) -> str:
        """All has come: give it its name, its SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        sha256 = self._digest.hexdigest()
        self._arrived(self._path, sha256)
        return sha256


class Given:
    """Which model file each recipe was given last, by its SHA-256; a file that somebody changed is known by it.

    Args:
        path: A JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            table = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            table = {}
        self._table: dict[str, str] = table if isinstance(table, dict) else {}

    def get(self, name: str) -> str | None:
        """Of this recipe; None if that is not known."""
        return self._table.get(name)

    def set(self, name: str, sha256: str) -> None:
        """Remember one."""
        self._table[name] = sha256
        with replacing(self._path) as partial:
            partial.write_text(json.dumps(self._table, indent=1), "utf-8")


def stamp(path: Path) -> Stamp:
    """What a file is now, as far as can be told without reading it."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
