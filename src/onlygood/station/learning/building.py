"""Building a candidate: a process of its own, at low priority, so that inspecting goes on undisturbed.

`main` reads one line of JSON, the job, from its standard input,
writes lines of JSON to its standard output (progress, then the result or what went wrong), and ends by itself when its
standard input ends: with the station.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from onlygood.errors import DataWarning, ImageError, OnlyGoodError
from onlygood.images import ImageSource
from onlygood.images.fingerprint import pixel_hash
from onlygood.methods import Detector, load
from onlygood.progress import Report
from onlygood.station.errors import RefusedError
from onlygood.station.learning.scoring import score_files

#: Between two lines of progress of one stage.
SECONDS = 0.2
#: Why an image of the golden set is not learned.
GOLDEN = "in the golden set"


def build(job: dict[str, Any], report: Report) -> dict[str, Any]:
    """Add confirmed good images to a copy of the model on duty, save it, and score the golden set with what was saved.

    Args:
        job: `model` (file of the model on duty), `images` (list of `[digest, name, path]`), `golden` (path by digest),
            `out` (file to write), `engine` and `threads`.
        report: Progress.

    Returns:
        `added` and `left_out` (digests; reasons by digest), `images` (of the bank now), `warnings`, and `golden`
        (`[score, learned]` by digest).

    Raises:
        RefusedError: There is nothing new to learn.
        OnlyGoodError: As `Detector.add`, `save` and `load`.
    """
    detector = load(job["model"], engine=job["engine"], threads=job["threads"])
    golden = {digest: Path(path) for digest, path in job["golden"].items()}
    fresh, left_out = choose(detector, job["images"], golden, report)
    if not fresh:
        raise RefusedError("None of the confirmed good images is new to the model. Confirm others.")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DataWarning)
        detector.add(list(fresh.values()), progress=report)
    detector.save(job["out"])
    del detector
    saved = load(
        job["out"], engine=job["engine"], threads=job["threads"]
    )  # what will be on duty, not what was in memory
    scores = score_files(saved, golden, lambda done: report("golden", done, len(golden)))
    return {
        "added": list(fresh),
        "left_out": left_out,
        "method": saved.method,
        "images": len(saved.training_.names),
        "warnings": [str(one.message) for one in told if issubclass(one.category, DataWarning)],
        "golden": scores,
    }


def choose(
    detector: Detector, images: list[tuple[str, str, str]], golden: dict[str, Path], report: Report
) -> tuple[dict[str, ImageSource], dict[str, str]]:
    """Images to learn by digest, and why the others are not learned.

    What the model has learned already is left out, and so is what stands in the golden set, by its pixels: what is
    learned proves nothing any more.
    """
    known = dict.fromkeys(detector.training_.hashes, "learned already")
    for path in golden.values():
        with contextlib.suppress(ImageError):  # said when the set is scored
            known[pixel_hash(ImageSource(path.name, path).read())] = GOLDEN
    fresh: dict[str, ImageSource] = {}
    left_out: dict[str, str] = {}
    for number, (digest, name, path_) in enumerate(images, 1):
        source = ImageSource(name or digest[:12], Path(path_))
        try:
            hashed = pixel_hash(source.read())
        except ImageError as error:
            left_out[digest] = f"cannot be read: {error}"
            continue
        if hashed in known:
            left_out[digest] = known[hashed]
            continue
        known[hashed] = "a copy of another one"
        fresh[digest] = source
        report("read", number, len(images))
    return fresh, left_out


def main() -> None:
    """One job, from standard input to standard output."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no line of ours
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_station, daemon=True).start()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    last: tuple[str, float] = ("", 0.0)

    def say(**table: Any) -> None:
        out.write(json.dumps(table) + "\n")
        out.flush()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[0] or now - last[1] > SECONDS or done == total:
            last = (stage, now)
            say(stage=stage, done=done, total=total)

    try:
        say(result=build(job, report))
    except OnlyGoodError as error:
        say(problem=str(error))
    except MemoryError:
        say(problem="There is not enough memory to build a candidate beside inspecting.")


def _end_with_the_station() -> None:
    sys.stdin.read()
    os._exit(3)
