"""A sweep as a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onlygood.errors import ParameterError
from onlygood.evaluation.runs.sweep import Candidate
from onlygood.tomlfile import read_toml_file

#: What the file may hold, and of what kind each is.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "data": list,
    "categories": list,
    "seeds": list,
    "shots": list,
    "draws": int,
    "most_train": int,
    "protocol": str,
    "method": list,
}
_OF_METHOD: dict[str, type] = {"name": str, "preset": str, "parameters": dict, "seeds": list}


def read_sweep(path: Path) -> dict[str, Any]:
    """The arguments of `sweep.plan` that a file gives.

    It holds `data`, `categories`, `seeds`, `shots` (0 stands for all images), `draws`, `most_train`, `protocol` and
    tables `[[method]]` with `name`, `preset`, `parameters` and `seeds`. Folders are seen from that of the file.

    Raises:
        ParameterError: The file is missing or no TOML, or an entry is not known or of another kind.
    """
    table = read_toml_file(path, "sweep file", "Check the path.")
    _check(table, _KINDS, f"{path}")
    found = {name: value for name, value in table.items() if name not in ("data", "method", "shots")}
    if "data" in table:
        found["roots"] = [path.parent / root for root in table["data"]]
    if "shots" in table:
        found["shots"] = [shot or None for shot in table["shots"]]
    if "method" in table:
        found["candidates"] = [_candidate(one, f"{path}, [[method]] {i}") for i, one in enumerate(table["method"], 1)]
    return found


def _candidate(table: Any, where: str) -> Candidate:
    if not isinstance(table, dict) or "name" not in table:
        raise ParameterError(f"{where}: each method is a table with a name, such as [[method]] and name = 'knn'.")
    _check(table, _OF_METHOD, where)
    return Candidate(table["name"], table.get("preset"), table.get("parameters", {}), table.get("seeds"))


def _check(table: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    for name, value in table.items():
        if name not in kinds:
            raise ParameterError(f"{where}: unknown entry {name!r}. It may hold: {', '.join(kinds)}.")
        kind = kinds[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ParameterError(f"{where}: {name} = {value!r} is not of the kind expected.")
