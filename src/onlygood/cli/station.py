"""`onlygood station`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onlygood.cli.options import EngineOption, ThreadsOption
from onlygood.cli.output import pairs, say

app = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The station's folder. By default ./station-data.")
]


@app.callback()
def station(
    ctx: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="Model file of a recipe, named by the file. May be given again."),
    ] = None,
    data: DataOption = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings; options here win.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. By default 127.0.0.1: this PC alone.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one. By default 8010.")] = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="PostgreSQL instead of SQLite in DIR.")] = None,
    keep: Annotated[str | None, typer.Option(help="Whose images are kept: all, review (and NG), none.")] = None,
    workers: Annotated[int | None, typer.Option(help="Images inspected at the same time. By default 1.")] = None,
    engine: EngineOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Inspect at the line: images by REST, from folders and cameras; decisions recorded, shown on a page, sent on.

    \b
      onlygood station --model part.og
      onlygood station --model cover=a.og --model flange=b.og --data /var/lib/onlygood --port 8080
      onlygood station --config station.toml

    It runs until Ctrl-C or SIGTERM, and then answers first what it has accepted. docs/station.md tells the rest.
    """
    if ctx.invoked_subcommand:
        return
    from onlygood.station.settings_file import parse_models, read_settings

    given = {
        "models": parse_models(model) if model else None,
        "data": data,
        "host": host,
        "port": port,
        "database": database,
        "keep": keep,
        "workers": workers,
        "engine": engine,
        "threads": threads,
    }
    _run(read_settings(config, given))


@app.command(short_help="Make a token, or take one away.")
def token(
    name: Annotated[str, typer.Argument(help="Whose it is; stands in the audit trail.")],
    role: Annotated[str, typer.Option(help="view, operate or engineer.")] = "operate",
    data: DataOption = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the token of that name away.")] = False,
) -> None:
    """Make a token and print it, once. The station keeps its hash alone.

    \b
      onlygood station token anna --role engineer --data /var/lib/onlygood
      onlygood station token anna --remove --data /var/lib/onlygood

    view sees everything, operate also sends images and answers, engineer also changes models and thresholds. As soon
    as there is a token everybody needs one. A token of the same name is replaced. A running station follows.
    """
    from onlygood.errors import ParameterError
    from onlygood.station.settings_file import DATA
    from onlygood.station.web import tokens

    folder = data or Path(DATA)
    if remove:
        tokens.remove(folder, name)
        pairs([("removed", name)])
        return
    if role not in list(tokens.Role):
        raise ParameterError(f"Unknown role {role!r}. Known are: {', '.join(tokens.Role)}.")
    made = tokens.add(folder, name, tokens.Role(role))
    pairs([("name", name), ("role", role), ("token", made)])


def _run(settings: Any) -> None:
    from onlygood.errors import require

    for package in ("fastapi", "uvicorn", "sqlalchemy", "alembic", "prometheus_client", "python_multipart"):
        require(package, "station", "The station")
    from onlygood.station import logs
    from onlygood.station.running import Station, check_exposure
    from onlygood.station.web.serving import address, listen, serve
    from onlygood.station.web.tokens import Tokens

    logs.start(settings.log_level)
    has_tokens = Tokens(settings.data).any
    check_exposure(settings, has_tokens)
    with listen(settings) as listening, Station.open(settings) as station:
        say(f"Open {address(settings, listening)} in a browser. Stop with Ctrl-C.")
        rows = [
            (name, f"{settings.models[name]} ({station.recipes.get(name).detector.method})") for name in settings.models
        ]
        pairs([*rows, ("record", str(settings.data)), ("tokens", "needed" if has_tokens else "none: this PC alone")])
        serve(station, listening)
    say("Stopped; what was accepted is answered and recorded.")
