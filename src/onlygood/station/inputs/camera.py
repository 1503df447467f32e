"""Cameras, streams and video files, read by OpenCV."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from onlygood.errors import ImageError, require
from onlygood.station.connections import Backoff
from onlygood.station.decisions import now
from onlygood.station.errors import BusyError, StationError
from onlygood.station.inputs.base import Input, Submit
from onlygood.station.secrets import read_secret
from onlygood.station.settings import CameraIn

if TYPE_CHECKING:
    from cv2 import VideoCapture

    from onlygood.station.inspecting import Answer

#: How long a stream may take to open, and to send the next frame.
STREAM_SECONDS = 8.0

#: Frames of a file that are handed over before the first of them is decided.
AHEAD = 2


def open_camera(settings: CameraIn, submit: Submit) -> Input:
    """A camera (`0`, `/dev/video0`), stream (`rtsp://...`) or video file, not yet started.

    Raises:
        MissingDependencyError: OpenCV is not installed.
        StationError: A setting cannot be used, or the password cannot be read.
    """
    require("cv2", "camera", "Reading cameras and video files")
    if settings.every_seconds < 0:
        raise StationError(f"`every_seconds` of the camera {settings.name} must be 0 or more.")
    if not settings.source:
        raise StationError(f"The camera {settings.name} needs a `source`: a number, a path or an rtsp:// address.")
    if "://" not in settings.source and Path(settings.source).is_file():
        return VideoFileInput(settings, submit)
    return LiveInput(settings, submit)


class FramesInput(Input):
    """What cameras and files share: opening them, and frames as PNG, which loses nothing."""

    def __init__(self, settings: CameraIn, submit: Submit) -> None:
        super().__init__(f"camera:{settings.name}", settings.recipe, submit)
        self._settings = settings
        self._address = _address(settings)

    def _open(self) -> VideoCapture:
        """Raises `StationError` if there are no frames to be had. The address is never told: it may hold a password."""
        import cv2

        source = self._settings.source
        try:
            if "://" in source:
                # no other reader is tried: some print the address
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * STREAM_SECONDS)]
                limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * STREAM_SECONDS)]
                capture = cv2.VideoCapture(self._address, cv2.CAP_FFMPEG, limits)
            elif source.isdecimal():
                capture = cv2.VideoCapture(int(source))
            else:
                capture = cv2.VideoCapture(source)
        except cv2.error:
            raise StationError(f"The camera {self._settings.name} cannot be opened.") from None
        if not capture.isOpened():
            capture.release()
            raise StationError(f"The camera {self._settings.name} cannot be opened.")
        return capture

    @abstractmethod
    def _run(self) -> None:
        """Until it is stopped, or the file ends."""


class VideoFileInput(FramesInput):
    """Every frame of a video file, or one every so many seconds of the film, in order; then it ends.

    After a restart of the station it begins again.
    """

    def _run(self) -> None:
        capture = self._open()
        rate = _frame_rate(capture)
        flying: deque[tuple[str, bytes, Future[Answer]]] = deque()
        number, due = 0, 0.0
        try:
            while not self._stopping.is_set() and capture.grab():
                moment = number / rate
                number += 1
                if moment + 1e-9 < due:
                    continue
                due += self._settings.every_seconds
                data = png_of(capture.retrieve()[1])
                name = f"{Path(self._settings.source).stem}-{number:06}.png"
                while len(flying) >= AHEAD:
                    self._conclude(*flying.popleft())
                future = self._hand_over(data, name)
                if future is not None:
                    flying.append((name, data, future))
            while flying:
                self._conclude(*flying.popleft())
        finally:
            capture.release()
        if number == 0 and not self._stopping.is_set():
            raise StationError(f"The film of the camera {self._settings.name} has no frames.")

    def _conclude(self, name: str, data: bytes, future: Future[Answer]) -> None:
        """Wait for the decision; the frame is handed over again until there is one."""
        backoff = Backoff()
        again: Future[Answer] | None = future
        while again is not None:
            try:
                self._decision(again)
            except ImageError as error:
                self._failed += 1
                self._mention(f"{name} was not inspected: {error}")
            except Exception as error:
                self._trouble(f"{name} could not be inspected: {error or type(error).__name__}")
                self._stopping.wait(_pause(error, backoff))
                again = self._hand_over(data, name)
                continue
            self._fine()
            return


class LiveInput(FramesInput):
    """The newest frame of a camera or stream, again and again; connects again when it breaks.

    Frames are read all the time and the newest is kept, so that however slow the inspection is no delay grows. Frames
    that were not the newest when there was time for them are not inspected.
    """

    def __init__(self, settings: CameraIn, submit: Submit) -> None:
        super().__init__(settings, submit)
        self._newest: Any = None
        self._arrived = threading.Condition()

    def _run(self) -> None:
        reader = threading.Thread(target=self._read, name=f"{self.name} frames", daemon=True)
        reader.start()
        backoff = Backoff()
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            frame = self._take()
            if frame is None:
                continue
            due = time.monotonic() + self._settings.every_seconds
            moment = now().strftime("%Y%m%dT%H%M%S.%f")[:-3]
            try:
                future = self._hand_over(png_of(frame), f"{self._settings.name}-{moment}Z.png")
                if future is not None and self._decision(future) is not None:
                    self._fine()
                    backoff.reset()
            except ImageError as error:
                self._failed += 1
                self._mention(f"A frame was not inspected: {error}")
            except Exception as error:
                self._trouble(f"A frame could not be inspected: {error or type(error).__name__}")
                self._stopping.wait(_pause(error, backoff))
        # a thread that is inside OpenCV when the interpreter ends takes the whole process down
        reader.join(max(1.0, min(STREAM_SECONDS + 1.0, self._give_up - time.monotonic())))

    def _take(self) -> Any:
        """The newest frame, once; None if there is none for a while."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest is not None or self._stopping.is_set(), 0.5)
            frame, self._newest = self._newest, None
            return frame

    def _wake(self) -> None:
        with self._arrived:
            self._arrived.notify_all()

    def _read(self) -> None:
        """Keep the newest frame, and the connection."""
        backoff = Backoff(0.5, 15.0)
        while not self._stopping.is_set():
            try:
                capture = self._open()
            except StationError as error:
                self._trouble(f"{error} It is tried again.")
            else:
                try:
                    self._read_frames(capture, backoff)
                finally:
                    capture.release()
            self._stopping.wait(backoff.next())

    def _read_frames(self, capture: VideoCapture, backoff: Backoff) -> None:
        """Until the connection breaks."""
        import cv2

        first = True
        while not self._stopping.is_set():
            try:
                good, frame = capture.read()
            except cv2.error:
                good, frame = False, None
            if not good or frame is None:
                self._trouble(f"The camera {self._settings.name} sends no more frames. It is connected again.")
                return
            if first:
                self._fine()
                backoff.reset()
                first = False
            with self._arrived:
                self._newest = frame
                self._arrived.notify_all()


def png_of(frame: Any) -> bytes:
    """A frame, uint8 `(h, w, 3)` BGR or `(h, w)`, as PNG, which loses nothing; raises `ImageError`."""
    import cv2

    done, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ImageError("The camera's frame cannot be made a PNG.")
    return data.tobytes()


def _frame_rate(capture: VideoCapture) -> float:
    """Frames per second of a film; 25 where it does not say."""
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1e4 else 25.0


def _pause(error: Exception, backoff: Backoff) -> float:
    """Seconds until another try."""
    return error.retry_after if isinstance(error, BusyError) else backoff.next()


def _address(settings: CameraIn) -> str:
    """What OpenCV opens: the source, with user name and password where they stand apart."""
    if not settings.username:
        return settings.source
    if "://" not in settings.source:
        raise StationError(f"The camera {settings.name} has a `username`, which only an address like rtsp://... takes.")
    password = ""
    if settings.password_file is not None:
        password = read_secret(settings.password_file, f"the password of the camera {settings.name}")
    parts = urlsplit(settings.source)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(settings.username, safe='')}:{quote(password, safe='')}@{place}").geturl()
