"""From tables to runs: what has to be run for a paper with the data at hand, and what cannot be."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onlygood.errors import ParameterError
from onlygood.evaluation.runs.released import CHOSEN_BY_TEST
from onlygood.evaluation.runs.spec import PROTOCOLS
from onlygood.evaluation.tables.definitions import Row, Setting, development_rows, rows_of
from onlygood.evaluation.tables.published import categories_of, load_paper, title_of
from onlygood.features.backbones import find_backbone

#: Parameters that say where and how fast something runs, or are no part of a score.
EXECUTION = frozenset(
    ("seed", "threads", "engine", "device", "weights", "index", "checkpoint", "false_reject", "review", "groups")
)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        paper: Key of the paper.
        runs: Each once: dataset, category, method, parameters, seed, shots (None for all training images), and
            `protocol` where that is `released`.
        cannot: What is not run: table, row, dataset, why.
    """

    paper: str
    runs: tuple[dict[str, Any], ...]
    cannot: tuple[dict[str, str], ...]


def plan(
    paper: str,
    datasets: Mapping[str, Sequence[str]],
    *,
    tables: Collection[str] | None = None,
    backbones: Collection[str] | None = None,
    backbone: str | None = None,
    seeds: Collection[int] | None = None,
    protocol: str = "honest",
) -> Plan:
    """What has to be run for a paper's tables, restricted to what is there.

    A data set that the paper does not report on gets the runs of the paper's main tables.

    Args:
        paper: `reb`, `ulsad`, `simplenet` or `btm`.
        datasets: Data set -> the categories that are there, by the names of onlygood's layouts.
        tables: Labels such as `Table 2` or `Figure 5`; None for all.
        backbones: Those whose weights are at hand; None if all are.
        backbone: Taken in place of every row's own, where the row's own is not at hand or `backbones` is None.
        seeds: Of those of each row, these; None for all of them.
        protocol: `released`: rows that are printed with something chosen by test images are also run so, where the
            method's released code is known to.

    Raises:
        ParameterError: There is no such paper, backbone or protocol.
    """
    if protocol not in PROTOCOLS:
        raise ParameterError(f"Unknown protocol {protocol!r}. Known are: {', '.join(PROTOCOLS)}")
    runs: dict[str, dict[str, Any]] = {}
    cannot: list[dict[str, str]] = []
    own = rows_of(paper)
    oracles = _printed_oracles(paper) if protocol == "released" else frozenset()
    reported = {row.dataset for row in own}
    elsewhere = [row for name in datasets if name not in reported for row in development_rows(paper, name)]
    for row in (*own, *elsewhere):
        if tables is not None and row.table not in tables:
            continue
        of_row = [seed for seed in range(row.seeds) if seeds is None or seed in seeds]
        why = _why_not(row, datasets)
        if not why and not of_row:
            why = f"none of its seeds is asked for: {', '.join(map(str, range(row.seeds)))}"
        for setting, more in () if why else _settings(row, (row.table, row.row) in oracles):
            parameters, lacking = _with_backbone(setting.parameters, backbones, backbone)
            if lacking:
                why = lacking
                continue
            for category in datasets[row.dataset]:
                for shots in row.shots:
                    for seed in of_row:
                        run = {
                            "dataset": row.dataset,
                            "category": category,
                            "method": setting.method,
                            "parameters": parameters,
                            "seed": seed,
                            "shots": shots,
                            **more,
                        }
                        runs.setdefault(json.dumps(run, sort_keys=True), run)
        if why:
            cannot.append({"table": row.table, "row": row.row, "dataset": row.dataset, "why": why})
        elif missing := _missing(row.dataset, datasets):
            names = ", ".join(missing)
            why = f"no data of {len(missing)} of the categories of {title_of(row.dataset)}, so no mean: {names}"
            cannot.append({"table": row.table, "row": row.row, "dataset": row.dataset, "why": why})
    return Plan(paper, tuple(runs.values()), tuple(cannot))


def _printed_oracles(paper: str) -> frozenset[tuple[str, str]]:
    """Table and name of the rows of which a number is printed as chosen by test images."""
    values = load_paper(paper).values
    return frozenset((one.table, one.row) for one in values if any(remark.kind == "oracle" for remark in one.remarks))


def _settings(row: Row, by_test: bool) -> Iterator[tuple[Setting, dict[str, str]]]:
    """What a row is made of; then the first of it by the released protocol, which itself tries what is chosen from."""
    yield from ((setting, {}) for setting in row.settings)
    first = row.settings[0]
    whole = CHOSEN_BY_TEST.get(first.method) != "k" or first.parameters.get("coreset", 1) == 1  # K needs the full bank
    if by_test and row.swept is None and first.method in CHOSEN_BY_TEST and whole:
        yield first, {"protocol": "released"}


def complete(method: str, parameters: Mapping[str, Any], without: Iterable[str] = ()) -> dict[str, Any]:
    """All parameters that a score depends on, defaults filled in: equal if and only if the same is fitted.

    Raises:
        ParameterError: There is no such method or backbone.
    """
    from dataclasses import MISSING, fields

    from onlygood.methods.registry import find_method

    filled = {
        one.name: one.default for one in fields(find_method(method)) if one.init and one.default is not MISSING
    } | dict(parameters)
    filled["backbone"] = find_backbone(str(filled["backbone"])).name
    dropped = {*EXECUTION, *without}
    return {name: _plain(value) for name, value in filled.items() if name not in dropped}


def _plain(value: Any) -> Any:
    """Tuples are lists, and whole numbers equal floating-point ones, as in JSON."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _why_not(row: Row, datasets: Mapping[str, Sequence[str]]) -> str:
    if row.why_not:
        return row.why_not
    return "" if datasets.get(row.dataset) else f"no data: {title_of(row.dataset)} is not there"


def _missing(dataset: str, datasets: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for name in categories_of().get(dataset, ()) if name not in datasets[dataset]]


def _with_backbone(
    parameters: Mapping[str, Any], at_hand: Collection[str] | None, other: str | None
) -> tuple[dict[str, Any], str]:
    """Parameters with the backbone to take, or why there is none."""
    wanted = find_backbone(str(parameters.get("backbone", "efficientnet_lite0"))).name
    if other is None or (at_hand is not None and wanted in at_hand) or find_backbone(other).name == wanted:
        lacking = at_hand is not None and wanted not in at_hand
        return dict(parameters), f"the weights of {wanted} are not at hand: {_fetch(wanted)}" if lacking else ""
    if "layers" in parameters:
        return {}, f"it names feature maps of {wanted}, which no other backbone has"
    return {**parameters, "backbone": find_backbone(other).name}, ""


def _fetch(backbone: str) -> str:
    return f"onlygood weights fetch {backbone}"
