"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onlygood.errors import DataError


def check_writable(path: Path, example: str) -> None:
    """Say before long work, not after it, that a file cannot be written.

    Args:
        path: The file.
        example: A name for it, for the case that the path is a folder.

    Raises:
        DataError: It is a folder, or its folder is missing or may not be written to.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder. Name a file, such as {path / example}")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent} to write {path.name} into. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"The folder {path.parent} may not be written to. Name another one.")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and vanishes when not.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:60]}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())  # temporary files start out private
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk, so that a new name outlives the power, too.

    Not every system and not every share can; the file itself is there all the same, so that is no error.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
