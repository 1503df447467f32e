"""A watched folder: new image files are inspected, in the order of their times."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from onlygood.errors import ImageError
from onlygood.station.connections import Backoff
from onlygood.station.errors import NotRecordedError
from onlygood.station.inputs.base import Input, Submit
from onlygood.station.inputs.listing import list_images, read_unchanged
from onlygood.station.inputs.seen import Seen
from onlygood.station.moving import ERROR_FOLDER, FOLDERS, ChangedError, Signature, move
from onlygood.station.settings import FolderIn, Settings

if TYPE_CHECKING:
    from onlygood.station.inspecting import Answer

#: Files taken up at one look into the folder; then comes another look.
AT_ONCE = 100

#: Between two tries to move a file.
MOVE_AGAIN_SECONDS = 5.0

#: A file with so many zero bytes at its end may have its full length and not yet its content.
HOLLOW_BYTES = 512


@dataclass
class Sighting:
    """A file that is there and waits.

    Attributes:
        name: In the folder.
        signature: Size, time of change, inode.
        since: When it was first seen like this, seconds of the monotonic clock.
        not_before: When to try it next, likewise.
        problem: What is wrong with it now, in words.
        backoff: Between tries.
    """

    name: str
    signature: Signature
    since: float
    not_before: float
    problem: str
    backoff: Backoff


class FolderInput(Input):
    """Looks into a folder again and again: notices of change do not come from network shares.

    A file is taken up when its size and time of change were the same at two looks. If it does not decode it is tried
    again until it has not changed for `settle_seconds`; then it counts as failed, is moved to `error/` or, without
    `sort_into`, left and reported once. Hidden and temporary names, links and sub-folders are left alone. What came of
    a file is written down in `DATA/inputs` after its decision is recorded, and then the file is moved; a crash in
    between means at worst that it is inspected again.

    Args:
        folder: What to watch.
        settings: Of the station: its folder, limits and workers.
        submit: Has an image inspected.
    """

    def __init__(self, folder: FolderIn, settings: Settings, submit: Submit) -> None:
        super().__init__(f"folder:{folder.name}", folder.recipe, submit)
        self._folder = folder
        self._limit = settings.limits.upload_bytes
        self._ahead = settings.workers + 1
        self._memory = settings.data / "inputs" / f"folder-{quote(folder.name, safe='')}.jsonl"
        self._sightings: dict[str, Sighting] = {}
        self._unmoved: dict[str, tuple[float, str]] = {}  # when to try again, what is wrong
        self._told_of_links = False

    def _run(self) -> None:
        seen = Seen(self._memory)
        first = True
        while not self._stopping.is_set():
            try:
                files = list_images(self._folder.path, self._link)
            except OSError as error:
                self._waiting = 0
                self._trouble(
                    f"The folder {self._folder.path} cannot be read: {error.strerror or error}. It is looked for again."
                )
                self._stopping.wait(max(1.0, self._folder.poll_seconds))
                continue
            if first and self._folder.sort_into is not None:
                self._remember(seen.keep, files, 0)  # they were moved: one that comes again is new
            first = False
            more = self._look(files, seen)
            self._tell()
            if not more:
                self._stopping.wait(self._folder.poll_seconds)

    def _link(self, name: str) -> None:
        if not self._told_of_links:
            self._told_of_links = True
            self._mention(f"{name} is a link. Links are not followed; copy the file itself there.")

    def _look(self, files: dict[str, Signature], seen: Seen) -> bool:
        """Take up what is ready; True if there is more."""
        now = time.monotonic()
        ready = []
        for name in self._sightings.keys() - files.keys():
            del self._sightings[name]
        for name, sign in files.items():
            if outcome := seen.outcome(name, *sign[:2]):
                if now >= self._unmoved.get(name, (now, ""))[0]:
                    self._sort(name, sign, outcome, seen)
                continue
            sighting = self._sightings.get(name)
            if sighting is None or sighting.signature != sign:
                self._sightings[name] = Sighting(name, sign, now, now, "", Backoff())
            elif now >= sighting.not_before:
                ready.append(sighting)
        self._unmoved = {name: trouble for name, trouble in self._unmoved.items() if name in files}
        self._remember(seen.keep, files)
        self._waiting = len(self._sightings)
        ready.sort(key=lambda one: (one.signature[1], one.name))
        self._inspect(ready[:AT_ONCE], seen)
        self._waiting = len(self._sightings)
        return len(ready) > AT_ONCE

    def _inspect(self, ready: list[Sighting], seen: Seen) -> None:
        """Hand files over, a few ahead of the decisions that are awaited, which come in the same order."""
        flying: deque[tuple[Sighting, Future[Answer]]] = deque()
        for sighting in ready:
            data = self._read(sighting, seen)
            if data is None:
                continue
            future = self._hand_over(data, sighting.name.encode("utf-8", "replace").decode())
            if future is None:
                break
            flying.append((sighting, future))
            if len(flying) >= self._ahead:
                self._conclude(*flying.popleft(), seen)
        while flying:
            self._conclude(*flying.popleft(), seen)

    def _read(self, sighting: Sighting, seen: Seen) -> bytes | None:
        """The content of a file that is as it was seen; None if it cannot be inspected now."""
        if sighting.signature[0] > self._limit:
            self._bad(sighting, f"it has more than {self._limit} bytes", seen)
            return None
        try:
            data = read_unchanged(self._folder.path / sighting.name, sighting.signature)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._again(sighting, f"{sighting.name} cannot be read: {error.strerror or error}. It is tried again.")
            return None
        if data is not None and data.endswith(bytes(HOLLOW_BYTES)) and not self._settled(sighting):
            self._until_settled(sighting)
            return None
        return data

    def _conclude(self, sighting: Sighting, future: Future[Answer], seen: Seen) -> None:
        """Wait for the decision and do with the file what follows from it."""
        try:
            decision = self._decision(future)
        except ImageError as error:
            self._bad(sighting, str(error), seen)
        except NotRecordedError as error:
            self._again(sighting, str(error), error.retry_after)
        except Exception as error:  # not the image's fault as far as is known: it must not be skipped
            self._again(sighting, f"{sighting.name} could not be inspected: {error or type(error).__name__}")
        else:
            if decision is not None:
                self._settle(sighting, FOLDERS[decision.verdict], seen)

    def _settled(self, sighting: Sighting) -> bool:
        return time.monotonic() - sighting.since >= self._folder.settle_seconds

    def _again(self, sighting: Sighting, problem: str, seconds: float | None = None) -> None:
        """Try the file again later."""
        sighting.problem = problem
        sighting.not_before = time.monotonic() + (sighting.backoff.next() if seconds is None else seconds)

    def _until_settled(self, sighting: Sighting) -> None:
        """Try the file again later, and at the latest when it has not changed for long enough."""
        later = time.monotonic() + sighting.backoff.next()
        sighting.not_before = min(later, sighting.since + self._folder.settle_seconds)

    def _bad(self, sighting: Sighting, why: str, seen: Seen) -> None:
        """The file does not decode: perhaps it is not whole yet, else it is reported once."""
        if not self._settled(sighting):
            self._until_settled(sighting)
            return
        self._failed += 1
        self._mention(f"{sighting.name} was not inspected: {why}")
        self._settle(sighting, ERROR_FOLDER, seen)

    def _settle(self, sighting: Sighting, outcome: str, seen: Seen) -> None:
        """Write down what came of a file, then move it."""
        self._sightings.pop(sighting.name, None)
        self._remember(seen.add, sighting.name, *sighting.signature[:2], outcome)
        self._sort(sighting.name, sighting.signature, outcome, seen)

    def _sort(self, name: str, sign: Signature, outcome: str, seen: Seen) -> None:
        """Move a file whose outcome is written down; what fails is tried again later, without another inspection."""
        if self._folder.sort_into is None:
            return
        into = self._folder.sort_into / outcome
        try:
            move(self._folder.path / name, into, sign)
        except (ChangedError, FileNotFoundError):
            return  # there is another file of that name by now, which is inspected for itself
        except OSError as error:
            problem = f"{name} cannot be moved to {into}: {error.strerror or error}. It is tried again."
            self._unmoved[name] = (time.monotonic() + MOVE_AGAIN_SECONDS, problem)
            return
        self._unmoved.pop(name, None)
        self._remember(seen.forget, name)

    def _remember(self, write: Callable[..., None], *given: object) -> None:
        """Change the list of what was seen; if it cannot be written all goes on, until the end of the program."""
        try:
            write(*given)
        except OSError as error:
            why = error.strerror or error
            self._mention(f"{self._memory} cannot be written: {why}. After a restart files may be inspected again.")

    def _tell(self) -> None:
        """Say what is wrong with the files that wait, or that all is well."""
        waiting = [one.problem for one in self._sightings.values() if one.problem]
        problem = next(iter(waiting + [trouble for _, trouble in self._unmoved.values()]), "")
        if problem:
            self._trouble(problem)
        else:
            self._fine()
