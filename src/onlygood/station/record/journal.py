"""Decisions on the disk while the database is gone: one JSON line each, told whole from torn, bounded.

A line is `CRC LENGTH JSON`: the CRC-32 of the JSON's bytes in eight hexadecimal digits and their number. What was not
written to its end, because the power or the program went, does not fit and was never answered.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from onlygood.errors import OnlyGoodError
from onlygood.files import sync_folder


class JournalFullError(OnlyGoodError):
    """The journal has reached its bound."""


class Journal:
    """The file. Lines are added at its end, taken from its front, and it is emptied once all are taken.

    Args:
        path: The file; made if it is not there.
        limit: Bytes that it may hold.

    Raises:
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        self._lock = threading.Lock()
        new = not path.exists()
        path.touch()
        self._file = cast(BinaryIO, path.open("r+b", buffering=0))
        if new:
            sync_folder(path.parent)
        self._front = 0
        self._torn = False
        #: Set if the file holds something that is no line, other than one torn at its end.
        self.damage = ""
        self._end, self._waiting = self._look_through()

    @property
    def waiting(self) -> int:
        """Lines that are not taken yet."""
        return self._waiting

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines, all or none; they are on the disk when this returns.

        Args:
            lines: JSON without line ends.

        Raises:
            JournalFullError: They would pass the bound.
            OSError: The disk does not take them. The journal is as before, and may take others later.
        """
        data = b"".join(map(_framed, lines))
        with self._lock:
            if self._end + len(data) > self.limit:
                raise JournalFullError(f"The journal {self.path} is full ({self.limit:,} bytes).")
            if self._torn:
                self._cut()
            try:
                _write(self._file, data, self._end)
                _sync(self._file)
            except BaseException:
                self._torn = True
                with suppress(OSError):  # tried again before the next line
                    self._cut()
                raise
            self._end += len(data)
            self._waiting += len(lines)

    def first(self, count: int) -> tuple[list[bytes], int]:
        """The lines that wait longest, at most `count`, and the mark to hand to `take`."""
        with self._lock:
            lines: list[bytes] = []
            at = self._front
            rest = b""
            reached = at
            while len(lines) < count and at < self._end:
                block = _read(self._file, min(2**18, self._end - at), at)
                if not block:
                    break
                at += len(block)
                *whole, rest = (rest + block).split(b"\n")
                for line in whole[: count - len(lines)]:
                    reached += len(line) + 1
                    text = _unframed(line)
                    if text is not None:
                        lines.append(text)
            return lines, reached

    def take(self, lines: int, mark: int) -> None:
        """Forget the lines that `first` gave: they are in the database."""
        with self._lock:
            self._front = mark
            self._waiting -= lines
            if self._front >= self._end:
                self._front = self._end = self._waiting = 0
                with suppress(OSError):  # then they are found again at the next start, and known by their ids
                    self._cut()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut(self) -> None:
        self._file.truncate(self._end)
        self._torn = False

    def _look_through(self) -> tuple[int, int]:
        """The end of the last whole line and the number of lines. What is behind it is cut off."""
        end = at = good = bad = 0
        rest = b""
        while block := _read(self._file, 2**20, at):
            at += len(block)
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                end += len(line) + 1
                fits = _unframed(line) is not None
                good += fits
                bad += not fits
        if bad:
            # Not what a torn write leaves behind as a rule: keep it for somebody to look at.
            kept = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
            kept.write_bytes(self.path.read_bytes())
            self.damage = f"{bad} lines of the journal were damaged; the file as it was is kept as {kept.name}"
        if at > end:
            self._file.truncate(end)
        return end, good


def _framed(text: bytes) -> bytes:
    return b"%08x %d %s\n" % (zlib.crc32(text), len(text), text)


def _unframed(line: bytes) -> bytes | None:
    """The JSON of a line; None if it is not whole."""
    crc, _, rest = line.partition(b" ")
    length, _, text = rest.partition(b" ")
    whole = length.isdigit() and int(length) == len(text) and crc == b"%08x" % zlib.crc32(text)
    return text if whole else None


def _read(file: BinaryIO, count: int, at: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _write(file: BinaryIO, data: bytes, at: int) -> None:
    file.seek(at)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(file: BinaryIO) -> None:
    os.fsync(file.fileno())
