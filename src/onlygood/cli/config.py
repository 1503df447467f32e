"""The config file: options that a person repeats, as TOML tables [fit], [inspect] and [evaluate]."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from onlygood.errors import ParameterError
from onlygood.tomlfile import read_toml_file

#: Read from the current folder unless --config names another file.
FILE = "onlygood.toml"
TABLES = ("fit", "inspect", "evaluate")
_NOT_IN_A_FILE = {"help", "config"}


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the values of the config file the defaults of this command; the command line wins.

    Raises:
        ParameterError: The file is missing or no TOML, or a table, key or value is not known.
    """
    if path is None and Path(FILE).is_file():
        path = Path(FILE)
    if path is None or ctx.resilient_parsing or ctx.parent is None:
        return path
    tables = read_toml_file(path, "config file", "Check --config.")
    commands = getattr(ctx.parent.command, "commands")  # noqa: B009 - a group's, which the type does not say
    for name, table in tables.items():
        if name not in TABLES or not isinstance(table, dict):
            known = ", ".join(f"[{one}]" for one in TABLES)
            raise ParameterError(f"{path}: unknown entry {name!r}. It may hold the tables {known}.")
        defaults = _checked(path, name, table, commands[name], ctx)
        if name == ctx.command.name:
            ctx.default_map = defaults
    return path


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=read_config,
        is_eager=True,
        help=f"TOML file with options in tables [fit], [inspect], [evaluate]. By default ./{FILE}, if it is there.",
    ),
]


def parse_value(text: str) -> Any:
    """A value of `name=value`: number, true, false, none or text."""
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(path: Path, name: str, table: dict[str, Any], command: Any, ctx: typer.Context) -> dict[str, Any]:
    """The table as defaults by parameter name, each value read as the command line would."""
    options = {
        option.removeprefix("--").replace("-", "_"): parameter
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option.removeprefix("--") not in _NOT_IN_A_FILE
    }
    defaults = {}
    for key, value in table.items():
        parameter = options.get(key.replace("-", "_"))
        if parameter is None:
            raise ParameterError(f"{path}: [{name}] has no option {key!r}. It has: {', '.join(sorted(options))}.")
        text = _as_typed(value)
        try:
            parameter.process_value(ctx, text)
        except Exception as error:
            if not hasattr(error, "exit_code"):  # no usage error, whose class depends on the version of typer
                raise
            reason = getattr(error, "message", str(error)).rstrip(".")
            raise ParameterError(f"{path}: {key} = {value!r} in [{name}] is not valid: {reason}.") from error
        defaults[parameter.name] = text
    return defaults


def _as_typed(value: Any) -> Any:
    """A TOML value as it would be typed on the command line."""
    if isinstance(value, dict):
        return [f"{key}={_as_text(one)}" for key, one in value.items()]
    return [_as_text(one) for one in value] if isinstance(value, list) else _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_as_text, value)) if isinstance(value, list) else str(value)
