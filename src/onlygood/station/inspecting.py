"""From an image's bytes to a recorded decision: a bounded queue, workers that inspect, and others that record.

Recording waits for the disk, so it has threads of its own: while one decision is written the next image is inspected,
and decisions that come together are written together. Nothing is answered before it is recorded.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ImageError, OnlyGoodError
from onlygood.images.reading import opened
from onlygood.images.sources import ImageSource
from onlygood.parallel import as_worker
from onlygood.progress import silent
from onlygood.station.decisions import Decision, new_id, now
from onlygood.station.errors import BusyError, StationError
from onlygood.station.logs import log
from onlygood.station.recipes import Recipes
from onlygood.station.record import Record
from onlygood.station.record.pictures import Pictures
from onlygood.station.settings import Settings
from onlygood.station.telemetry import Telemetry

#: Decisions that are written at the same time: they share the wait for the disk.
RECORDERS = 8

#: Characters of an image's name that are kept.
NAME_LENGTH = 200

#: Endings of kept files by the format of the image.
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp"}

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """A decision that is recorded.

    Attributes:
        decision: It.
        map: Anomaly map float32 `(h, w)` at the detector's input size; None if not asked for or there is none.
        recorded: `database`, or `journal` while the database is gone.
    """

    decision: Decision
    map: Map | None
    recorded: str


@dataclass(frozen=True)
class _Job:
    data: bytes
    name: str
    source: str
    recipe: str
    want_map: bool
    arrived: float
    future: Future[Answer] = field(default_factory=Future)


@dataclass(frozen=True)
class _Made:
    """What an inspection gave, still without its record."""

    job: _Job
    decision: Decision
    map: Map | None
    suffix: str


class Inspecting:
    """The station's work.

    Args:
        recipes: Give the model for each image.
        record: Takes decisions.
        pictures: Take images and maps.
        settings: `workers` and `limits` count.
        telemetry: Counts.
        listeners: Called with each decision once it is recorded; must return at once.
    """

    def __init__(
        self,
        recipes: Recipes,
        record: Record,
        pictures: Pictures,
        settings: Settings,
        telemetry: Telemetry,
        listeners: Sequence[Callable[[Decision], None]] = (),
    ) -> None:
        self._recipes = recipes
        self._record = record
        self._pictures = pictures
        self._limits = settings.limits
        self._telemetry = telemetry
        self.listeners = list(listeners)
        self._stopping = False
        self._changed = threading.Condition()
        self._under_way = 0
        self._waiting: queue.Queue[_Job | None] = queue.Queue(settings.limits.queue)
        # no longer than what is written at once: otherwise images would be inspected faster than they are recorded
        self._made: queue.Queue[_Made | None] = queue.Queue(RECORDERS)
        share = settings.workers > 1
        self._workers = [self._thread(f"inspect-{i}", self._inspect, share) for i in range(settings.workers)]
        self._recorders = [self._thread(f"record-{i}", self._write) for i in range(RECORDERS)]

    @property
    def depth(self) -> int:
        """Images that wait or are worked on."""
        return self._under_way

    @property
    def stopping(self) -> bool:
        """Whether nothing is taken any more."""
        return self._stopping

    def submit(
        self, data: bytes, name: str = "", source: str = "rest", recipe: str = "", want_map: bool = False
    ) -> Future[Answer]:
        """Take an image, and return at once.

        Args:
            data: The image file.
            name: What the sender calls it.
            source: `rest`, `folder:NAME` or `camera:NAME`.
            recipe: That shall inspect it; may be empty if there is only one.
            want_map: Whether the answer shall have the map.

        Returns:
            Gives the answer once it is recorded, or raises `ImageError` (it is no image, or too large; nothing is
            recorded), `NotRecordedError` or `StationError`.

        Raises:
            UnknownRecipeError: There is no such recipe, or none is named and there are several.
            BusyError: `limits.queue` images wait already, or the station is stopping.
        """
        self._recipes.get(recipe)
        job = _Job(data, clean(name), source, recipe, want_map, time.perf_counter())
        with self._changed:
            if self._stopping:
                raise BusyError("The station is stopping. Ask again when it is back.", retry_after=5)
            job.future.set_running_or_notify_cancel()  # nobody can call it off any more: what is taken is recorded
            try:
                self._waiting.put_nowait(job)
            except queue.Full:
                raise BusyError(
                    f"{self._limits.queue} images wait already. Send fewer at a time, or ask again in a second."
                ) from None
            self._under_way += 1
        return job.future

    def drain(self, timeout: float) -> bool:
        """Take nothing more, and wait until all that was taken is answered; False if that takes longer, in seconds."""
        with self._changed:
            self._stopping = True
            return self._changed.wait_for(lambda: self._under_way == 0, timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Drain, and end the threads; False if something was left unanswered."""
        drained = self.drain(timeout)
        if drained:
            for _ in self._workers:
                self._waiting.put(None)
            for _ in self._recorders:
                self._made.put(None)
            for thread in (*self._workers, *self._recorders):
                thread.join(5.0)
        return drained

    # inspecting

    def _inspect(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                made = self._decide(job, time.perf_counter())
            except BaseException as error:  # the worker must go on whatever an image does
                self._fail(job, error)
                self._done()
            else:
                self._made.put(made)

    def _decide(self, job: _Job, started: float) -> _Made:
        recipe = self._recipes.get(job.recipe)  # one reference: a swap in between changes nothing here
        label = job.name or "image"
        suffix = check_image(job.data, label, self._limits.pixels)
        detector, calibration = recipe.detector, recipe.detector.calibration_
        inspection = detector.inspect(ImageSource(label, job.data), progress=silent)[0]
        if not np.isfinite(inspection.score):
            raise StationError(f"The model of recipe {recipe.name} gave no finite score for {label}. Put it back.")
        thresholds = recipe.thresholds
        decision = Decision(
            id=new_id(),
            time=now(),
            recipe=recipe.name,
            model=recipe.model,
            source=job.source,
            name=job.name,
            verdict=thresholds.verdict(inspection.score),
            score=float(inspection.score),
            p_value=inspection.p_value,
            thresholds=thresholds,
            pixel_threshold=float(calibration.pixel_threshold),
            reason=inspection.reason,
            regions=tuple(region.as_dict() for region in inspection.regions),
            width=inspection.size[0],
            height=inspection.size[1],
            digest=hashlib.sha256(job.data).hexdigest(),
            wait_ms=round((started - job.arrived) * 1000, 3),
            inspect_ms=round((time.perf_counter() - started) * 1000, 3),
        )
        return _Made(job, decision, inspection.map, suffix)

    # recording

    def _write(self) -> None:
        while (made := self._made.get()) is not None:
            try:
                self._finish(made)
            except BaseException as error:
                self._fail(made.job, error)
            finally:
                self._done()

    def _finish(self, made: _Made) -> None:
        started = time.perf_counter()
        decision = self._pictured(made)
        recorded = self._record.add(decision)
        seconds = time.perf_counter() - started
        self._telemetry.decided(decision, seconds)
        made.job.future.set_result(Answer(decision, made.map if made.job.want_map else None, recorded))
        for listener in self.listeners:
            try:
                listener(decision)
            except Exception as error:  # an output must not stop the line
                log("listener_failed", level="error", error=error, id=decision.id)
        log(
            "decision",
            id=decision.id,
            recipe=decision.recipe,
            verdict=str(decision.verdict),
            score=decision.score,
            model=decision.model[:12],
            source=decision.source,
            name=decision.name,
            wait_ms=decision.wait_ms,
            inspect_ms=decision.inspect_ms,
            record_ms=round(seconds * 1000, 3),
            recorded=recorded,
        )

    def _pictured(self, made: _Made) -> Decision:
        decision = made.decision
        picture, map_picture = self._pictures.keep(
            decision.id, decision.verdict, made.job.data, made.suffix, made.map, decision.pixel_threshold
        )
        return replace(decision, picture=picture, map_picture=map_picture)

    def _fail(self, job: _Job, error: BaseException) -> None:
        if isinstance(error, OnlyGoodError):
            log("not_decided", level="warning", source=job.source, name=job.name, problem=str(error))
        else:
            log("fault", level="error", error=error, source=job.source, name=job.name)
        if not job.future.done():
            job.future.set_exception(error)

    def _done(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _thread(self, name: str, target: Callable[[], None], share: bool = False) -> threading.Thread:
        def run() -> None:
            if share:  # several images at a time: each inspection keeps to one core
                as_worker()
            target()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


def check_image(data: bytes, name: str, pixels: int) -> str:
    """The ending for a file of this image; its header alone is read.

    Raises:
        ImageError: It is no image that is read here, or claims more pixels than that.
    """
    with opened(data, name) as image:
        if image.width * image.height > pixels:
            raise ImageError(
                f"The image {name} has {image.width} x {image.height} pixels; this station takes {pixels} at most "
                "(limits.pixels). Crop or shrink it."
            )
        return SUFFIXES[image.format or "PNG"]


def clean(text: str, length: int = NAME_LENGTH) -> str:
    """Words that any database, log and page can hold: no control characters, no halves of characters, not too long."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in whole)[:length].strip()
