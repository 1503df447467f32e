"""Progress of long work: bars on a terminal, silence elsewhere, a callback for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: Called as `report(stage, done, total)`; `total` is 0 where it is not known.
Report = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""


def track(items: Iterable[T], stage: str, total: int, report: Report | None) -> Iterator[T]:
    """Yield `items`, reporting before the first and after each."""
    report = report or silent
    report(stage, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        report(stage, done, total)


class TerminalProgress:
    """Bars on standard error while it is a terminal, otherwise nothing. A context manager and a `Report`."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> TerminalProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._bars = Progress(
                TextColumn("{task.description}", justify="left"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of `stage` to `done` of `total`."""
        if self._bars is None:
            return
        if stage not in self._tasks or (done == 0 and self._bars.tasks[self._tasks[stage]].finished):
            self._tasks[stage] = self._bars.add_task(stage, total=total or None)
        self._bars.update(self._tasks[stage], completed=done, total=total or None)


class Reporting:
    """The caller's progress function, or bars of our own."""

    def __init__(self, progress: Report | None) -> None:
        self._progress = progress
        self._bars: TerminalProgress | None = None

    def __enter__(self) -> Report:
        if self._progress is not None:
            return self._progress
        self._bars = TerminalProgress()
        return self._bars.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._bars is not None:
            self._bars.__exit__(*error)
