"""The program `onlygood`: its commands, and what becomes of errors, warnings and Ctrl-C."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from onlygood import __version__
from onlygood.cli import (
    bench,
    bulk,
    choosing,
    data,
    demo,
    evaluating,
    exporting,
    figures,
    fitting,
    info,
    inspecting,
    reporting,
    station,
    synthesizing,
    weights,
)
from onlygood.cli.output import error, warn
from onlygood.errors import DataWarning, OnlyGoodError, ParameterWarning

#: Exit status of every error, Python's own included: 1 is kept for "an NG was found".
FAILED = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """Turns errors into one line on standard error and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            for kind in (DataWarning, ParameterWarning):
                warnings.simplefilter("always", kind)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except OnlyGoodError as failure:
                error(str(failure))
            except OSError as failure:
                if failure.errno == errno.EPIPE:  # the reader of a pipe has gone
                    raise
                where = f"{failure.filename}: " if failure.filename else ""
                error(f"{where}{failure.strerror or failure}.")
            except KeyboardInterrupt:
                error("Interrupted; nothing half-written is left.", word="Stopped")
                raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(FAILED)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit", short_help="Learn from good images and write a model file.")(fitting.fit)
app.command("inspect", short_help="Say OK, REVIEW or NG of each image, and where.")(inspecting.inspect)
app.command("bulk", short_help="Inspect very many images, on a cluster or here.")(bulk.bulk)
app.command("choose", short_help="Compare methods and settings on good images alone.")(choosing.choose)
app.command("evaluate", short_help="Measure a detector on labelled images.")(evaluating.evaluate)
app.command("info", short_help="Tell what a model file holds and promises.")(info.info)
app.command("export", short_help="Write a detector as one self-contained ONNX graph.")(exporting.export)
app.command("synthesize", short_help="Make synthetic defects in good images, with masks.")(synthesizing.synthesize)
app.command("figures", short_help="Draw figures of a paper anew.")(figures.figures)
app.add_typer(data.app, name="data", short_help="Check benchmark data sets on disk.")
app.add_typer(weights.app, name="weights", short_help="List pretrained backbones and fetch their weights.")
app.add_typer(bench.app, name="bench", short_help="Measure speed; run methods on data sets.")
app.command("report", short_help="Write recorded runs as one page to look at.")(reporting.report)
app.add_typer(station.app, name="station", short_help="Inspect at the line: a service with a page and a record.")
app.command("demo", short_help="Show it all on real solar-cell images.")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"onlygood {__version__}")
        raise typer.Exit


@app.callback()
def onlygood(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Find the defect from good parts only.

    Fit a detector on a folder of good images, then ask it about new ones:

    \b
      onlygood fit parts/good -o part.og
      onlygood inspect part.og parts/new --overlay pictures

    Each command has examples in its own --help. `onlygood demo` shows it all on real solar cells.
    """


def main(args: list[str] | None = None) -> None:
    """Run the program and exit.

    Exit status: 0 done, 1 `inspect` found an NG or `data check` a problem, 2 an error, 130 interrupted.

    Args:
        args: Words of the command line; None for the program's own.
    """
    for stream in (sys.stdout, sys.stderr):  # a file name no encoding can hold must not stop the output
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args, prog_name="onlygood")
    except Exception:
        traceback.print_exc()
        sys.exit(FAILED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, (DataWarning, ParameterWarning)):
        warn(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
