"""`onlygood bench run` and `onlygood bench list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onlygood.cli.fitting import read_setting
from onlygood.cli.options import number, numbers
from onlygood.cli.output import pairs, print_json, say, warn
from onlygood.errors import OnlyGoodError, ParameterError

if TYPE_CHECKING:
    from onlygood.evaluation.runs.records import Record
    from onlygood.evaluation.runs.running import Outcome, RunEngine

#: Exit status if a run of the sweep failed; the others are done all the same.
SOME_FAILED = 2


def run(
    sweep: Annotated[
        Path | None, typer.Argument(help="TOML file that says what to run; options given win over it.")
    ] = None,
    into: Annotated[Path, typer.Option(help="File of records (SQLite); a sweep goes on where it stopped.")] = Path(
        "runs.sqlite"
    ),
    data: Annotated[list[Path] | None, typer.Option(help="Folder of a data set; may be repeated.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="A category; may be repeated. All by default.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", "-m", help="A method; may be repeated.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, released or quick, for every --method.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter, for every --method; may be repeated."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Such as 0,1,2; 0 by default.")] = None,
    shots: Annotated[
        str | None, typer.Option(help="Training images drawn at random, such as 1,2,5,10,all; all by default.")
    ] = None,
    draws: Annotated[int | None, typer.Option(min=1, help="Draws of each number of shots; 1 by default.")] = None,
    most_train: Annotated[
        int | None, typer.Option(min=1, help="Training images at most, spread evenly over all.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="honest, the default: nothing is chosen by test images. released: as the authors' code "
            "chooses by them; an oracle, with the honest figure beside it."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="local: processes on this machine. ray: a cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use, such as auto; by default one is started here.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at a time; by default as many as the cores suffice for.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each run; at most 4 by default.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="Folder of features shared by runs; by default INTO.features.")
    ] = None,
    share: Annotated[bool, typer.Option("--share/--no-share", help="Whether runs share features.")] = True,
    retry: Annotated[bool, typer.Option("--retry", help="Try runs again that failed before.")] = False,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="MLflow server to log the records to, too, as runs end.")
    ] = None,
) -> None:
    """Run methods on data sets and record each run as it ends; what is recorded already is not done again.

    \b
      onlygood bench run --data mvtec --method reb --method patchcore --into runs.sqlite
      onlygood bench run --data mvtec --method knn --shots 1,5,10 --draws 5 --into runs.sqlite
      onlygood bench run --data mvtec --method reb --method ulsad --protocol released --into runs.sqlite
      onlygood bench run sweep.toml --into runs.sqlite --workers 4 --threads 4
      onlygood bench run sweep.toml --into runs.sqlite --engine ray --address auto

    A run that fails is recorded with its error and the others go on; the exit status is then 2.
    """
    from onlygood.evaluation.runs.records import Records
    from onlygood.evaluation.runs.running import run_sweep
    from onlygood.evaluation.runs.sweep import Candidate, plan
    from onlygood.evaluation.runs.sweepfile import read_sweep
    from onlygood.evaluation.runs.tunings import TUNED
    from onlygood.progress import TerminalProgress

    given: dict[str, Any] = {
        "roots": data,
        "categories": category,
        "seeds": None if seeds is None else numbers(seeds, "--seeds"),
        "shots": None if shots is None else [_shots(text) for text in shots.split(",")],
        "draws": draws,
        "most_train": most_train,
        "protocol": protocol,
    }
    parameters = dict(read_setting(text) for text in settings or ())
    if method:
        given["candidates"] = [Candidate(name, preset, parameters) for name in method]
    elif preset or parameters:
        raise ParameterError("--preset and --set are of methods named with --method; give them in the sweep file.")
    asked = read_sweep(sweep) if sweep is not None else {}
    asked |= {name: value for name, value in given.items() if value is not None}
    for name, option in (("roots", "--data"), ("candidates", "--method")):
        if not asked.get(name):
            raise ParameterError(f"Nothing says what to run: give {option}, or name it in a sweep file.")
    running = _engine(engine, address, workers, threads)
    told = _told(mlflow)
    records = Records(into)
    planned = plan(asked.pop("roots"), asked.pop("candidates"), **asked)
    shared = None if not share else features or into.with_name(f"{into.name}.features")
    with TerminalProgress() as bars:
        outcome = run_sweep(
            planned,
            records,
            running,
            features=shared,
            tunings=None if shared is None else shared / TUNED,
            retry=retry,
            progress=bars,
            told=told,
        )
    _summary(outcome, into, shared)
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)


def list_runs(
    records: Annotated[Path, typer.Argument(help="File of records.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line for each run, with commas.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the runs in a file of records.

    \b
      onlygood bench list runs.sqlite
      onlygood bench list runs.sqlite --csv > runs.csv
    """
    from onlygood.errors import DataError
    from onlygood.evaluation.runs import listing
    from onlygood.evaluation.runs.records import Records

    if as_csv and as_json:
        raise ParameterError("Give --csv or --json, not both.")
    if not records.is_file():
        raise DataError(f"There is no file of records {records}. Check the path, or make it with onlygood bench run.")
    found = Records(records).all()
    if as_json:
        print_json(listing.as_dicts(found))
    elif as_csv:
        print(listing.as_csv(found), end="")
    else:
        for number, line in enumerate(listing.as_lines(found)):
            say(line, "dim" if number == 0 else "")


def _engine(name: str, address: str | None, workers: int | None, threads: int | None) -> RunEngine:
    from onlygood.evaluation.runs.local import LocalEngine
    from onlygood.evaluation.runs.ray_engine import RayEngine
    from onlygood.evaluation.runs.running import share_cores

    if name not in ("local", "ray"):
        raise ParameterError(f"Unknown engine {name!r}. Known are: local, ray")
    if name == "local" and address is not None:
        raise ParameterError("--address is of --engine ray; runs of the engine local are done on this machine.")
    if address is not None:  # the cores are the cluster's, not this machine's
        return RayEngine(threads or 1, address, workers)
    workers, threads = share_cores(workers, threads)
    return LocalEngine(workers, threads) if name == "local" else RayEngine(threads, None, workers)


def _told(mlflow: str | None) -> Callable[[Record], None]:
    """What is called with each record: tells of failures, and logs to MLflow until that fails once."""
    from onlygood.evaluation.runs.mlflow_log import MlflowLog

    logs = [] if mlflow is None else [MlflowLog(mlflow)]

    def told(record: Record) -> None:
        if record.status == "failed":
            warn(f"{record.spec.label} failed: {record.error}")
        try:
            for log in logs:
                log(record)
        except OnlyGoodError as error:
            logs.clear()
            warn(f"{error} Nothing more is logged there; records are written all the same.")

    return told


def _summary(outcome: Outcome, into: Path, shared: Path | None) -> None:
    from onlygood.evaluation.runs.features import folder_size

    rows = [("done now", f"{outcome.done}"), ("done before", f"{outcome.before}"), ("failed", f"{len(outcome.failed)}")]
    if outcome.failed:
        rows.append(("", f"see onlygood bench list {into}; they are tried again with --retry"))
    rows.append(("records", str(into)))
    if shared is not None and shared.is_dir():
        size = folder_size(shared) / 1e6
        rows.append(("features", f"{shared} ({size:,.0f} MB; may be deleted when no more runs are to come)"))
    pairs(rows)


def _shots(text: str) -> int | None:
    return None if text.strip() == "all" else number(text, "--shots")
