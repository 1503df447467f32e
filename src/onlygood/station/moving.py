"""Image files that go to another folder: whole, never over another file, never lost."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onlygood.files import sync_folder
from onlygood.inspection import Verdict

#: Sub-folder of each verdict, and of what could not be inspected.
FOLDERS = {Verdict.OK: "ok", Verdict.REVIEW: "review", Verdict.NG: "ng"}
ERROR_FOLDER = "error"


#: What tells a file from another of the same name: size in bytes, time of change in nanoseconds, inode.
Signature = tuple[int, int, int]


class ChangedError(Exception):
    """The file is not the one that was to be moved any more; nothing was moved."""


def signature(status: os.stat_result) -> Signature:
    """The signature of a file."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def move(source: Path, folder: Path, expected: Signature | None = None) -> Path:
    """Move a file into a folder, which is made if it is missing.

    If there is a file of that name the new one gets a suffix: `part-1.png`. Before the source vanishes the target is
    there, whole and, if it had to be copied to another disk, flushed. A crash in between leaves both.

    Args:
        source: The file.
        folder: Where it shall go; may be on another disk.
        expected: The `signature` it must have.

    Returns:
        Where it is now.

    Raises:
        ChangedError: It has another signature.
        OSError: It cannot be moved; then it is where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    status = source.lstat()
    if expected is not None and signature(status) != expected:
        raise ChangedError(str(source))
    target = _link(source, folder, source.name)
    if target is None:  # another disk, or one that knows no links
        target = copy(source, folder, source.name)
    try:
        if expected is not None and signature(source.lstat()) != expected:
            raise ChangedError(str(source))
        source.unlink()
    except BaseException:
        if source.exists():
            target.unlink(missing_ok=True)
        raise
    return target


def copy(source: Path, folder: Path, name: str) -> Path:
    """Copy a file into a folder that is there, under `name` or, if that is taken, with a suffix; raises OSError.

    The copy appears whole, flushed and with the source's times, or not at all.
    """
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    part = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as written, source.open("rb") as read:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        shutil.copystat(source, part)
        target = _link(part, folder, name)
        if target is None:
            target = _reserve(folder, name)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(folder)
    return target


def _link(source: Path, folder: Path, name: str) -> Path | None:
    """A second name of the file in the folder; None if the disk has no such thing."""
    for target in _names(folder, name):
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            continue
        except FileNotFoundError:
            raise
        except (OSError, NotImplementedError):
            return None
        return target
    raise AssertionError("there is no end of names")


def _reserve(folder: Path, name: str) -> Path:
    """An empty file under the first name that is free."""
    for target in _names(folder, name):
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return target
    raise AssertionError("there is no end of names")


def _names(folder: Path, name: str) -> Iterator[Path]:
    """The name, with numbers, and then by chance: a camera may call all of its images the same."""
    yield folder / name
    plain = Path(name)
    for number in range(1, 100):
        yield folder / f"{plain.stem}-{number}{plain.suffix}"
    while True:
        yield folder / f"{plain.stem}-{secrets.token_hex(6)}{plain.suffix}"
