"""Kept images and maps: files named by their decision's id, within a quota.

`pictures/ok|review|ng/AAAAAA/ID.png` and `ID.map.png`, where AAAAAA are the id's first six digits (about five hours of
pictures to a folder). Thumbnails lie in `thumbnails/` and can be removed at any time.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError, ParameterError
from onlygood.inspection import Verdict
from onlygood.station.errors import BusyError, NotFoundError, StationError
from onlygood.station.record import drawing

#: Whose images are kept, by the word in the settings.
POLICIES = {
    "all": frozenset(Verdict),
    "review": frozenset({Verdict.REVIEW, Verdict.NG}),
    "none": frozenset[Verdict](),
}
#: Endings that a kept image may have, and what they are sent as.
MEDIA = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "webp": "image/webp",
    "bin": "application/octet-stream",
}
_SAME = {"jpeg": "jpg", "tiff": "tif"}
_NAME = re.compile(rf"(ok|review|ng)/([0-9a-f]{{6}})/(\2[0-9a-f]{{26}})(\.map)?\.({'|'.join(MEDIA)})")
#: Bytes made free at once beyond what is needed, so that not every picture has to look for room.
SLACK = 64 * 2**20
_CHUNK = 500


class Retention(Protocol):
    """What the pictures ask of the record, and tell it."""

    def unanswered(self, ids: list[str]) -> set[str]:
        """Those that no operator answered."""

    def pictures_removed(self, ids: list[str]) -> None:
        """Their pictures are gone."""


class Pictures:
    """The kept pictures of a station.

    Args:
        data: The station's folder.
        keep: `all`, `review` (REVIEW and NG) or `none`.
        limit: Bytes of all kept pictures.
        record: Knows which REVIEWs were answered.

    Raises:
        ParameterError: `keep` is none of these.
        StationError: The folder cannot be made or read.
    """

    def __init__(self, data: Path, keep: str, limit: int, record: Retention) -> None:
        if keep not in POLICIES:
            raise ParameterError(f"keep={keep!r}: use {', '.join(POLICIES)}.")
        self._wanted = POLICIES[keep]
        self._folder, self._thumbnails = data / "pictures", data / "thumbnails"
        self._limit, self._record = limit, record
        self._lock = threading.Lock()
        # What is kept is looked up in the folders when room must be made: a list of millions would take memory.
        self._bytes = self._count = 0
        self._being_written: set[str] = set()
        self._untold: list[str] = []
        self._problem = ""
        try:
            self._look_through()
        except OSError as error:
            raise StationError(f"The folder of pictures {self._folder} cannot be used: {error}. Mend it.") from error

    @property
    def state(self) -> dict[str, Any]:
        """`bytes` and number (`pictures`) of what is kept, `limit`, and `message`: why the last one was not kept."""
        with self._lock:
            return {"bytes": self._bytes, "pictures": self._count, "limit": self._limit, "message": self._problem}

    def keep(
        self,
        decision_id: str,
        verdict: Verdict,
        data: bytes,
        suffix: str,
        anomaly_map: NDArray[np.float32] | None = None,
        pixel_threshold: float = float("inf"),
    ) -> tuple[str, str]:
        """Keep an image and its map, if the policy wants them.

        Never fails for the disk: then nothing is kept and `state` says so.

        Args:
            decision_id: 32 hexadecimal digits.
            verdict: Of the decision.
            data: The image file as it was received.
            suffix: Its kind: `png`, `jpg`, `bmp`, `tif` or `webp`; with or without a dot.
            anomaly_map: float32 `(h, w)`.
            pixel_threshold: In the map's units; infinite keeps no map.

        Returns:
            What goes into `Decision.picture` and `Decision.map_picture`; empty for what is not kept.
        """
        if verdict not in self._wanted:
            return "", ""
        kind = suffix.lower().lstrip(".")
        kind = _SAME.get(kind, kind) if _SAME.get(kind, kind) in MEDIA else "bin"
        start = f"{verdict.lower()}/{decision_id[:6]}/{decision_id}"
        names = {f"{start}.{kind}": data}
        drawn = None if anomaly_map is None else drawing.map_to_png(anomaly_map, pixel_threshold)
        if drawn is not None:
            names[f"{start}.map.png"] = drawn
        if not all(map(_NAME.fullmatch, names)):
            raise ParameterError("A decision's id has 32 hexadecimal digits.")
        size = sum(map(len, names.values()))
        try:
            if not self._reserve(decision_id, size):
                self._problem = f"an image of {size:,} bytes does not fit into the quota of {self._limit:,}"
                return "", ""
            for name, content in names.items():
                _write(self._folder / name, content)
        except OSError as error:
            self._problem = f"images are not kept: {error.strerror or error}"
            with self._lock:
                self._unlink(verdict.lower(), decision_id)
                self._bytes -= size
                self._count -= 1
            return "", ""
        finally:
            with self._lock:
                self._being_written.discard(decision_id)
        self._problem = ""
        picture, *rest = names
        return picture, rest[0] if rest else ""

    def image(self, decision: Mapping[str, Any], display: bool = False) -> tuple[bytes, str]:
        """The kept image of a decision (as `Record.decision` gives it), and its media type.

        Args:
            decision: That decision.
            display: As PNG if browsers do not show its format; else always as it was received.

        Raises:
            NotFoundError: It was not kept, or had to go.
        """
        name = str(decision["picture"])
        data, media = self._read(name, "image"), MEDIA[name.rsplit(".", 1)[1]]
        if display and media in (MEDIA["tif"], MEDIA["bin"]):
            try:
                return drawing.displayable(data), MEDIA["png"]
            except ImageError as error:
                raise NotFoundError(f"The kept image cannot be read: {error}") from error
        return data, media

    def path(self, picture: str) -> Path:
        """The file of a `Decision.picture`; raises `NotFoundError` if that cannot be one of ours."""
        if not _NAME.fullmatch(picture):
            raise NotFoundError("The image was not kept, or had to go for the quota.")
        return self._folder / picture

    def overlay_png(self, decision: Mapping[str, Any]) -> bytes:
        """As `drawing.overlay_png`, of a decision's kept map; raises `NotFoundError` if there is none."""
        kept = self._read(str(decision["map_picture"]), "map")
        try:
            return drawing.overlay_png(kept, decision["width"], decision["height"])
        except ImageError as error:
            raise NotFoundError(f"The kept map cannot be read: {error}") from error

    def thumbnail(self, decision: Mapping[str, Any], side: int = 160) -> bytes:
        """A JPEG of a decision's image, at most `side` pixels large; made once.

        Raises:
            NotFoundError: The image was not kept, had to go or cannot be read.
        """
        cached = self._thumbnail_file(self.path(str(decision["picture"])).name.split(".")[0], side)
        with suppress(OSError):
            return cached.read_bytes()
        try:
            data = drawing.thumbnail_jpeg(self.image(decision)[0], side)
        except ImageError as error:
            raise NotFoundError(f"The kept image cannot be read: {error}") from error
        with suppress(OSError):  # made again next time
            _write(cached, data)
        return data

    def _read(self, name: str, what: str) -> bytes:
        try:
            return self.path(name).read_bytes()
        except OSError:
            raise NotFoundError(f"The {what} is not kept any more.") from None
        except NotFoundError:
            raise NotFoundError(f"The {what} was not kept, or had to go for the quota.") from None

    def _thumbnail_file(self, decision_id: str, side: int = 160) -> Path:
        return self._thumbnails / decision_id[:6] / f"{decision_id}.{side}.jpg"

    def _look_through(self) -> None:
        """What is there already; half-written files of a program that was killed go."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for verdict in Verdict:
            for folder in self._folders(verdict.lower()):
                ids = set()
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if match := _NAME.fullmatch(f"{verdict.lower()}/{folder.name}/{entry.name}"):
                            ids.add(match[3])
                            self._bytes += entry.stat().st_size
                        elif entry.name.endswith(".part"):
                            os.unlink(entry.path)  # noqa: PTH108 - an entry, not a path
                self._count += len(ids)

    def _folders(self, kind: str) -> list[Path]:
        """The oldest first."""
        return sorted(self._folder.glob(f"{kind}/*/"))

    def _ids(self, kind: str) -> Iterator[str]:
        """Of all kept pictures of a verdict, the oldest first."""
        for folder in self._folders(kind):
            with suppress(OSError):
                names = (_NAME.fullmatch(f"{kind}/{folder.name}/{name}") for name in os.listdir(folder))  # noqa: PTH208
                yield from sorted({match[3] for match in names if match} - self._being_written)

    def _reserve(self, decision_id: str, size: int) -> bool:
        """Room for a picture, others making way if need be; False if it can never fit."""
        with self._lock:
            if size > self._limit:
                return False
            if self._bytes + size > self._limit:
                self._make_room(self._limit - size)
            self._being_written.add(decision_id)
            self._bytes += size
            self._count += 1
            return True

    def _make_room(self, most: int) -> None:
        """Remove pictures, in order, until at most `most` bytes are kept; and some more, of those that may go."""
        target = max(0, most - min(SLACK, self._limit // 50))
        for kind, decision_id, waits in self._in_order():
            if self._bytes <= (most if waits else target):
                break
            self._remove(kind, decision_id)
            self._untold.append(decision_id)
        with suppress(BusyError):  # the database is gone: told next time
            self._record.pictures_removed(self._untold)
            self._untold = []

    def _in_order(self) -> Iterator[tuple[str, str, bool]]:
        """Which go first: the oldest OK, then the oldest others, at last those that wait for an operator (True)."""
        yield from (("ok", one, False) for one in self._ids("ok"))
        reviews = list(self._ids("review"))
        waiting = self._waiting_for_an_answer(reviews)
        others = [(one, "ng") for one in self._ids("ng")]
        others += [(one, "review") for one in reviews if one not in waiting]
        yield from ((kind, one, False) for one, kind in sorted(others))
        yield from (("review", one, True) for one in sorted(waiting))

    def _waiting_for_an_answer(self, reviews: list[str]) -> set[str]:
        ids, waiting = iter(reviews), set[str]()
        while chunk := list(islice(ids, _CHUNK)):
            try:
                waiting |= self._record.unanswered(chunk)
            except BusyError:  # cannot be known now
                waiting |= set(chunk)
        return waiting

    def _remove(self, kind: str, decision_id: str) -> None:
        size = self._unlink(kind, decision_id)
        self._bytes -= size
        self._count -= size > 0

    def _unlink(self, kind: str, decision_id: str) -> int:
        """Remove the files of a picture; the bytes that they had."""
        folder = self._folder / kind / decision_id[:6]
        size = 0
        for ending in (*MEDIA, "map.png"):
            path = folder / f"{decision_id}.{ending}"
            with suppress(OSError):
                had = path.stat().st_size
                path.unlink()
                size += had
        with suppress(OSError):
            self._thumbnail_file(decision_id).unlink()
        for empty in (folder, self._thumbnails / decision_id[:6]):
            with suppress(OSError):
                empty.rmdir()
        return size


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also if the program is killed. Not flushed to the disk: a picture is no decision."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.part")
    for attempt in (1, 2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
            return
        except FileNotFoundError:  # another thread found the folder empty and removed it
            if attempt == 2:
                raise
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
