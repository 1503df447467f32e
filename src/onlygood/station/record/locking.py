"""One station at a time uses a folder: two would mix their journals."""

from __future__ import annotations

import sys
from pathlib import Path

from onlygood.station.errors import StationError


class FolderLock:
    """Held until it is closed, or the process ends in whatever way.

    Args:
        folder: Gets a file `lock`.

    Raises:
        StationError: Another process holds it.
        OSError: The file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "lock").open("a+b")
        try:
            if sys.platform == "win32":
                import msvcrt

                self._file.seek(0)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StationError(
                f"Another station is using the folder {folder}. Stop it, or name another folder (--data)."
            ) from None

    def close(self) -> None:
        """Let others have it."""
        self._file.close()
