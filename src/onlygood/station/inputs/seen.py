"""Which files of a folder were inspected, and what came of them, over restarts."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from onlygood.files import replacing

#: Files that are not in the folder now and are remembered all the same: a share that is gone for a while looks empty.
ABSENT = 100_000


class Seen:
    """A list of files with their size, time of change and outcome, kept as lines of JSON.

    A line is appended for each file; the whole list is written anew when most lines are of no use any more. A crash may
    cost the last lines, so that their files are inspected again.

    Args:
        path: The list; made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, tuple[int, int, str]] = {}
        self._lines = 0
        self._whole = True  # whether the last line ends, so that another can be appended
        self._read()

    def outcome(self, name: str, size: int, changed: int) -> str:
        """What came of a file of this size (bytes) and time of change (nanoseconds); empty if it is not known."""
        known = self._files.get(name)
        return known[2] if known is not None and known[:2] == (size, changed) else ""

    def add(self, name: str, size: int, changed: int, outcome: str) -> None:
        """Remember what came of a file; raises OSError if it cannot be written, and then knows it until the end."""
        self._files.pop(name, None)
        self._files[name] = (size, changed, outcome)
        self._append([name, size, changed, outcome])

    def forget(self, name: str) -> None:
        """The file is not there any more; raises OSError as `add`."""
        if self._files.pop(name, None) is not None:
            self._append([name, 0, 0, ""])

    def keep(self, present: Collection[str], absent: int = ABSENT) -> None:
        """Forget the oldest of the files that are not `present`, but for `absent` of them; raises OSError as `add`."""
        if len(self._files) > len(present) + absent or not absent:
            gone = [name for name in self._files if name not in present]
            for name in gone[: max(0, len(gone) - absent)]:
                del self._files[name]
        if self._lines > 2 * len(self._files) + 1000:
            self._write_anew()

    def _append(self, line: list[object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(line) + "\n"
        with self.path.open("a", encoding="ascii") as file:
            file.write(text if self._whole else "\n" + text)
            self._whole = False
        self._whole = True
        self._lines += 1

    def _write_anew(self) -> None:
        with replacing(self.path) as part:
            part.write_text(
                "".join(json.dumps([name, *known]) + "\n" for name, known in self._files.items()), encoding="ascii"
            )
        self._lines = len(self._files)
        self._whole = True

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return
        self._whole = not text or text.endswith("\n")
        for line in text.splitlines():
            self._lines += 1
            try:
                name, size, changed, outcome = json.loads(line)
            except (ValueError, TypeError):  # cut off by a crash
                continue
            self._files.pop(name, None)
            if outcome:
                self._files[name] = (size, changed, outcome)
