"""`onlygood bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onlygood.cli import sweeping
from onlygood.cli.options import DeviceOption, EngineOption, ThreadsOption
from onlygood.cli.output import pairs, print_json, say
from onlygood.cli.tables import tables

if TYPE_CHECKING:
    from onlygood.evaluation.speed import Speed
    from onlygood.images import ImageSource

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure speed; run methods on data sets.",
)


app.command("run", short_help="Run methods on data sets, one record per run.")(sweeping.run)
app.command("list", short_help="List the runs in a file of records.")(sweeping.list_runs)


@app.callback()
def bench() -> None:
    """Measure speed; run methods on data sets."""


app.command("tables", short_help="Write a paper's tables: printed and measured.")(tables)


@app.command(short_help="Time every step of inspecting with a model file.")
def speed(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    repeats: Annotated[int, typer.Option(min=1, help="Rounds over all images.")] = 5,
    most: Annotated[int, typer.Option(min=1, help="Images at most, spread evenly over those given.")] = 50,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    recall_patches: Annotated[int, typer.Option(min=1, help="Patches on which the search is checked.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time every step of inspecting, one image at a time, and check the neighbour search against exact search.

    \b
      onlygood bench speed part.og parts/new
      onlygood bench speed part.og parts/new --threads 2 --engine openvino --json

    Times say something only while nothing else keeps the machine busy. The first inspections, in which engine and
    caches take their memory, are told apart and not counted; images come from the memory of the operating system.
    """
    from onlygood.evaluation.machine import machine, versions
    from onlygood.evaluation.speed import measure_speed, timed_load
    from onlygood.progress import TerminalProgress

    sources = _sources(images, most)
    detector, load_seconds = timed_load(model, engine=engine, device=device, threads=threads)
    with TerminalProgress() as progress:
        measured = measure_speed(detector, sources, repeats=repeats, recall_patches=recall_patches, progress=progress)
    about = {
        "model": str(model),
        "bytes": model.stat().st_size,
        **_about(detector),
        "load_seconds": load_seconds,
        "machine": machine(),
        "versions": versions(),
    }
    if as_json:
        print_json({**about, **measured.as_dict()})
    else:
        _print(about, measured)


def _sources(paths: list[Path], most: int) -> list[ImageSource]:
    from onlygood.images import as_sources
    from onlygood.images.sources import spread

    found = [source for path in paths for source in as_sources(path)]
    return [found[i] for i in spread(len(found), most)]


def _about(detector: Any) -> dict[str, Any]:
    """What was fitted and what runs it; `index` and `vectors` are null without a memory bank."""
    from onlygood.methods.bank import BankDetector

    spec, running = detector.graph_.spec, detector.graph_.engine
    about = {
        "method": detector.method,
        "backbone": spec.backbone,
        "size": spec.size,
        "patches": spec.grid[0] * spec.grid[1],
        "dim": spec.dim,
        "engine": running.name,
        "device": running.device,
        "precision": spec.precision,
        "threads": detector.graph_.threads,
        "index": None,
        "vectors": None,
    }
    if isinstance(detector, BankDetector):
        about |= {"index": detector.index_.kind, "vectors": len(detector.index_)}
    return about


def _print(about: dict[str, Any], measured: Speed) -> None:
    from onlygood.evaluation.speed import STAGES

    here, packages = about["machine"], about["versions"]
    built = "onnxruntime-gpu" if about["device"] == "cuda" else about["engine"]  # another package, of one name
    engine_version = packages.get(built) or packages.get(about["engine"], "")
    threads = f"{about['threads']} threads" if about["threads"] else "a thread for each core"
    rows = [
        ("machine", f"{here['cpu']}, {here['cores']} cores; {here['system']}"),
        ("onlygood", f"{packages['onlygood']}, Python {packages['python']}"),
        ("engine", f"{about['engine']} {engine_version}, {about['device']}, {about['precision']}, {threads}"),
        ("backbone", f"{about['backbone']}, {about['size']} x {about['size']} pixels"),
        ("images", f"{measured.images}, {measured.repeats} times each; {measured.warm_up} before, not counted"),
    ]
    if about["vectors"] is not None:
        bank = f"{about['vectors']:,} patch vectors of {about['dim']} numbers, {about['index']} search"
        rows.insert(4, ("memory bank", bank))
    pairs(rows)
    say()
    say(f"{'one image at a time':<20}{'median ms':>11}{'p95 ms':>9}{'of the whole':>14}", "dim")
    whole = measured.stages["whole"].median_ms
    for name, timing in measured.stages.items():
        share = timing.median_ms / whole
        say(f"{STAGES[name]:<20}{timing.median_ms:>11.2f}{timing.p95_ms:>9.2f}{share:>14.0%}")
    say()
    ratio = measured.whole_over_backbone
    rows = [
        ("whole / backbone", f"{ratio:.2f}" if ratio else "there is no backbone"),
        ("many images", f"{measured.images_per_second:.1f} images a second"),
        ("loading", f"{about['load_seconds']:.2f} s, imports included; first image {measured.first_ms:.0f} ms"),
    ]
    recall = measured.recall
    if recall is not None:
        found = f"{recall.deciding:.2%} of the patches that decide a score found their true nearest neighbour, "
        found += f"{recall.value:.2%} of all ({recall.patches:,} asked)"
        rows.insert(1, ("recall of the search", found))
    pairs(rows)
