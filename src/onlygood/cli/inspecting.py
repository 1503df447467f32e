"""`onlygood inspect`."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onlygood.cli.config import ConfigOption
from onlygood.cli.options import (
    DeviceOption,
    EngineOption,
    FalseRejectOption,
    MapsOption,
    OriginalSizeOption,
    OverlayOption,
    ThreadsOption,
)
from onlygood.cli.output import VERDICT_STYLES, error, print_json, say
from onlygood.errors import OnlyGoodError

if TYPE_CHECKING:
    from onlygood.inspection import Inspection

NG_FOUND = 1
UNREADABLE = 2

#: With fewer images the first one, which takes longer, would decide the speed.
FEWEST_TIMED = 20

CSV_COLUMNS = ("name", "verdict", "score", "p_value", "width", "height", "regions", "box", "area", "peak")


@dataclass(frozen=True)
class Task:
    """An image to inspect, and the name its pictures get."""

    path: Path
    target: Path


def inspect(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one object per image.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per image.")] = False,
    overlay: OverlayOption = None,
    maps: MapsOption = None,
    original_size: OriginalSizeOption = False,
    false_reject: FalseRejectOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
) -> None:
    """Say OK, REVIEW or NG of each image, and where.

    \b
      onlygood inspect part.og photo.png
      onlygood inspect part.og parts/new --overlay pictures
      onlygood inspect part.og parts/new --json > results.json

    Exit status: 0 no image is NG (some may be REVIEW), 1 at least one is NG, 2 an error. An image that
    cannot be read is named on standard error, the others are inspected all the same, and the status is 2.
    """
    from onlygood.images import ImageSource
    from onlygood.methods import load
    from onlygood.parallel import in_order
    from onlygood.progress import TerminalProgress, track
    from onlygood.reports.pictures import Pictures

    if as_json and as_csv:
        raise typer.BadParameter("Choose one of --json and --csv.")
    pictures = Pictures(overlay, maps, original_size)
    detector = load(model, engine=engine, device=device, threads=threads)
    if false_reject is not None:
        detector.calibration_ = detector.calibration_.at(false_reject)
    tasks, problems = _expand(images)
    done: list[Inspection] = []

    def one(task: Task) -> Inspection | str:
        try:
            return pictures.inspect(detector, ImageSource.of_file(task.path), task.target)
        except OnlyGoodError as failure:
            return str(failure)

    started = time.perf_counter()
    with TerminalProgress() as progress:
        for result in track(in_order(one, tasks, detector.threads), "inspect", len(tasks), progress):
            if isinstance(result, str):
                problems.append(result)
            else:
                done.append(result)
    seconds = time.perf_counter() - started
    if as_json:
        print_json([one.as_dict() for one in done])
    elif as_csv:
        _print_csv(done)
    else:
        _print_table(done, len(problems), seconds)
    for problem in problems:
        error(problem)
    if problems:
        raise typer.Exit(UNREADABLE)
    if any(one.verdict == "NG" for one in done):
        raise typer.Exit(NG_FOUND)


def _expand(paths: Sequence[Path]) -> tuple[list[Task], list[str]]:
    """Files of all paths, and what is wrong with folders; every target is another one."""
    from onlygood.images.layouts import find_images
    from onlygood.reports.pictures import PictureNames

    tasks: list[Task] = []
    problems: list[str] = []
    names = PictureNames()
    for path in paths:
        try:
            files = find_images(path) if path.is_dir() else [path]
        except OnlyGoodError as failure:
            problems.append(str(failure))
            continue
        for file in files:
            tasks.append(Task(file, names.take(file.relative_to(path) if path.is_dir() else Path(file.name))))
    return tasks, problems


def _print_csv(done: Sequence[Inspection]) -> None:
    """One row per image; box, area and peak are those of its worst region."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in done:
        worst = one.regions[0] if one.regions else None
        place = (" ".join(map(str, worst.box)), worst.area, worst.peak) if worst else ("", "", "")
        writer.writerow((one.name, one.verdict, one.score, one.p_value, *one.size, len(one.regions), *place))


def _print_table(done: Sequence[Inspection], unread: int, seconds: float) -> None:
    from rich.text import Text

    if done:
        say(f"{'verdict':8}{'score':>10}  {'p-value':>8}  {'regions':>7}  image", "dim")
    for one in done:
        figures = f"{one.score:>10.4g}  {one.p_value:>8.4f}  {len(one.regions):>7}  {one.name}"
        figures += f"  ({one.reason})" if one.reason else ""
        say(Text.assemble((f"{one.verdict:8}", VERDICT_STYLES[one.verdict]), figures))
    words = [str(one.verdict) for one in done]
    counts = ", ".join(f"{words.count(word)} {word}" for word in VERDICT_STYLES)
    failed = f"; {unread} could not be inspected" if unread else ""
    speed = f" {len(done) / seconds:.0f} images/s." if len(done) >= FEWEST_TIMED else ""
    say(f"{len(done)} inspected: {counts}{failed}.{speed}")
