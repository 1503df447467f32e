"""Settings from a TOML file and the command line; what is wrong is named by file and key."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onlygood.errors import ParameterError
from onlygood.station.settings import Limits, Settings
from onlygood.tomlfile import read_toml_file

#: The station's folder unless another one is named.
DATA = "station-data"

_LEVELS = ("debug", "info", "warning", "error")


def read_settings(path: Path | None, given: Mapping[str, Any]) -> Settings:
    """Settings of a file, and over them those of the command line.

    Args:
        path: TOML with the names of `Settings`; None for none. Relative paths in it are relative to its folder.
        given: Values of `Settings` by name; None for one that is not given.

    Raises:
        ParameterError: The file is missing or no TOML, or a key or value is not known.
    """
    table = read_toml_file(path, "settings file", "Check --config.") if path else {}
    where = str(path) if path else "The command line"
    chosen = {name: value for name, value in given.items() if value is not None}
    base = path.parent if path else Path()
    values = _values(Settings, {key: value for key, value in table.items() if key not in chosen}, base, where, "")
    settings = Settings(**{"data": Path(DATA), "models": {}, **values, **chosen})
    _check(settings, where)
    return settings


def parse_models(texts: list[str]) -> dict[str, Path]:
    """Recipes of the command line: `part.og`, named by its stem, or `name=part.og`.

    Raises:
        ParameterError: Two have the same name.
    """
    models: dict[str, Path] = {}
    for text in texts:
        name, found, path = text.partition("=")
        name, path = (name, path) if found else (Path(text).stem, text)
        if name in models:
            raise ParameterError(f"Two models are named {name!r}. Name them apart: --model NAME={path}")
        models[name] = Path(path)
    return models


def _values(kind: type[Any], table: Any, base: Path, where: str, at: str) -> dict[str, Any]:
    """Arguments for a dataclass from a table of TOML."""
    if not isinstance(table, dict):
        raise ParameterError(f"{where}: {at} must be a table.")
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            of = f"[{at}]" if at else "It"
            raise ParameterError(f"{where}: unknown entry {_at(at, key)!r}. {of} may have: {', '.join(known)}.")
    for field in dataclasses.fields(kind):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and field.name not in table and kind is not Settings:
            raise ParameterError(f"{where}: [{at}] needs {field.name!r}.")
    return {key: _value(hints[key], value, base, where, _at(at, key)) for key, value in table.items()}


def _value(kind: Any, value: Any, base: Path, where: str, at: str) -> Any:
    """A value of TOML as the type of a field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):  # all of them are `X | None`
        return _value(next(one for one in arguments if one is not type(None)), value, base, where, at)
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        return kind(**_values(kind, value, base, where, at))
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], one, base, where, at) for one in value)
    if origin is dict and isinstance(value, dict):
        return {key: _value(arguments[1], one, base, where, _at(at, key)) for key, one in value.items()}
    if kind is Path and isinstance(value, str):
        return base / value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "the path of a file"}
    wanted = words.get(kind, "a list" if origin is tuple else "a table")
    raise ParameterError(f"{where}: {at} = {value!r} must be {wanted}.")


def _check(settings: Settings, where: str) -> None:
    """Raise `ParameterError` for what has the right type and cannot be all the same."""
    limits = settings.limits
    checks: list[tuple[bool, str]] = [
        (0 <= settings.port <= 65535, f"port = {settings.port}: 0 to 65535"),
        (settings.workers >= 1, f"workers = {settings.workers}: at least 1"),
        (settings.threads is None or settings.threads >= 1, f"threads = {settings.threads}: at least 1"),
        (settings.keep in ("all", "review", "none"), f"keep = {settings.keep!r}: all, review or none"),
        (settings.keep_models >= 0, f"keep_models = {settings.keep_models}: 0 (all) or more"),
        (settings.log_level in _LEVELS, f"log_level = {settings.log_level!r}: {', '.join(_LEVELS)}"),
        (settings.stop_seconds >= 0, f"stop_seconds = {settings.stop_seconds}: 0 or more"),
        ((settings.certificate is None) == (settings.key is None), "certificate and key: both or neither"),
        (limits.rate >= 0, f"limits.rate = {limits.rate}: 0 or more"),
    ]
    checks += [
        (getattr(limits, one.name) > 0, f"limits.{one.name} must be above 0")
        for one in dataclasses.fields(Limits)
        if one.name != "rate"
    ]
    for holds, message in checks:
        if not holds:
            raise ParameterError(f"{where}: {message}.")


def _at(table: str, key: str) -> str:
    return f"{table}.{key}" if table else key
