"""The image files of a folder, and their content as long as it does not change."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from onlygood.images.reading import EXTENSIONS
from onlygood.station.moving import Signature, signature

#: Endings of the names of files that are still being written, before the ending of the image.
TEMPORARY = (".part", ".tmp", ".temp", ".partial")


def is_image_name(name: str) -> bool:
    """Whether a file of that name may be an image that is ready: not hidden, not temporary."""
    path = Path(name.lower())
    return path.suffix in EXTENSIONS and not name.startswith((".", "~")) and not path.stem.endswith(TEMPORARY)


def list_images(folder: Path, on_link: Callable[[str], None]) -> dict[str, Signature]:
    """Signature of every image file of a folder, by name.

    Args:
        folder: Its sub-folders are not looked into.
        on_link: Called with the name of each symbolic link, none of which is followed.

    Raises:
        OSError: The folder cannot be read.
    """
    files = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_image_name(entry.name):
                continue
            try:
                status = Path(entry.path).lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                files[entry.name] = signature(status)
            elif stat.S_ISLNK(status.st_mode):
                on_link(entry.name)
    return files


def read_unchanged(path: Path, expected: Signature) -> bytes | None:
    """The content of a file that has this signature before and after it is read; None if it has another.

    Raises:
        OSError: It cannot be read.
    """
    # no link that took its place meanwhile is followed, and no pipe waited for
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if signature(os.fstat(file.fileno())) != expected:
            return None
        data = file.read(expected[0])
        return data if signature(os.fstat(file.fileno())) == expected and len(data) == expected[0] else None
