"""The tables of docs/benchmarks.md from the records of speed.py. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from records import Records, where

OURS = ("onlygood, full bank", "onnxruntime")
#: anomalib as it comes: its default coreset, inspected as it recommends.
THEIRS = ("anomalib, 10 % coreset", "engine")
#: Sets on which the graph is held against exact search.
SETS = ("magnetic_tile", "cookie", "hazelnut", "elpv_mono", "elpv_poly")
#: Bytes of a MiB in MB.
MB = 2**20 / 1e6

Rows = list[dict[str, Any]]


def page(records: Records) -> str:
    """Everything between the marks, as Markdown. Of several settings only those measured last are shown."""
    base = latest(records)
    sets = list(dict.fromkeys(r["key"]["set"] for kind in ("fit", "inspect") for r in records.of(kind, **base)))
    parts = [where(records.counting(base)), settings(base), "## Targets", target_table(records, base)]
    tables = [
        pair
        for name in sets
        for pair in (
            (f"Inspecting: {name}", inspect_table(records, base, name)),
            (f"Fitting: {name}", fit_table(records, base, name)),
        )
    ]
    tables += [
        ("Against the backbone alone", backbone_table(records, base)),
        ("Graph against exact search", accuracy_table(records, base)),
        ("Starting", start_table(records)),
        ("Installing", install_table(records)),
        ("What failed", failures(records, base)),
    ]
    for title, rows in tables:
        parts += [f"## {title}", rows] if rows else []
    return "\n\n".join(part for part in parts if part)


def latest(records: Records) -> dict[str, Any]:
    """The settings of the last measurement that has such."""
    for record in reversed(records.everything()):
        key = record["key"]
        if "train" in key:
            return {name: key[name] for name in ("train", "size", "threads")}
    return {}


def settings(base: dict[str, Any]) -> str:
    if not base:
        return ""
    return (
        f"At most {base['train']} training images, {base['size']} x {base['size']} pixels, {base['threads']} threads."
    )


# targets


@dataclass(frozen=True)
class Target:
    """What we want, what was measured, and whether it is enough; `met` is None where nothing was measured."""

    what: str
    measured: str
    met: bool | None

    @property
    def row(self) -> list[str]:
        return [self.what, self.measured, {True: "met", False: "**not met**", None: "not measured"}[self.met]]


def target_table(records: Records, base: dict[str, Any]) -> str:
    return table(["target", "measured", ""], (target.row for target in targets(records, base)))


def targets(records: Records, base: dict[str, Any]) -> list[Target]:
    """Every target, met or not."""
    found = [*_of_backbones(records, base), *_of_accuracy(records, base)]
    sets = list(dict.fromkeys(r["key"]["set"] for r in records.of("fit", **base)))
    for name in sets or ["magnetic_tile"]:
        found += _of_set(records, base, name)
    return [*found, *_of_start(records), *_of_install(records)]


def _of_backbones(records: Records, base: dict[str, Any]) -> list[Target]:
    found = []
    for backbone, limit in (("efficientnet_lite0", 2.5), ("resnet18", 1.5), ("wide_resnet50_2", 1.5)):
        what = f"inspecting at most {limit} times {backbone} alone, 200,000 vectors or more"
        rows = records.good("backbone", backbone=backbone, engine="onnxruntime", **base)
        values = rows[-1]["values"] if rows else None
        enough = values is not None and values["bank"] >= 200_000
        measured = "" if values is None else f"{values['whole_over_backbone']:.2f} ({values['bank']:,} vectors)"
        found.append(Target(what, measured, values["whole_over_backbone"] <= limit if values and enough else None))
    return found


def _of_accuracy(records: Records, base: dict[str, Any]) -> list[Target]:
    """Met only where every set was measured; one bad set is enough not to."""
    recalls: dict[str, float] = {}
    deciding: dict[str, float] = {}
    away: dict[str, float] = {}
    for row in records.good("accuracy", index="graph", **base):
        name, values = row["key"]["set"], row["values"]
        recalls[name], deciding[name] = values["recall"], min(values["deciding"], values["deciding_good"])
        exact = records.good("accuracy", index="exact", set=name, **base)
        if exact:
            away[name] = values["auroc"] - exact[-1]["values"]["auroc"]
    return [
        _everywhere("recall of the graph at least 0.99 on every set", recalls, "{:.4f}", lambda value: value >= 0.99),
        _everywhere("the same of patches that decide the score", deciding, "{:.4f}", lambda value: value >= 0.99),
        _everywhere(
            "AUROC of the graph within 0.002 of exact search on every set", away, "{:+.4f}", lambda v: abs(v) <= 0.002
        ),
    ]


def _everywhere(what: str, found: dict[str, float], form: str, fine: Callable[[float], bool]) -> Target:
    measured = ", ".join(f"{name} {form.format(value)}" for name, value in found.items())
    if not found:
        return Target(what, "", None)
    missing = [name for name in SETS if name not in found]
    if not all(map(fine, found.values())):
        return Target(what, measured, False)
    return Target(
        what, f"{measured}; not yet on {', '.join(missing)}" if missing else measured, None if missing else True
    )


def _of_set(records: Records, base: dict[str, Any], name: str) -> list[Target]:
    """Fitting, and the ratios to anomalib."""
    fits = {r["key"]["model"]: r for r in _fits(records, base, name)}
    mine, theirs = fits.get(OURS[0]), fits.get(THEIRS[0])
    found = []
    seconds = mine and mine["seconds"]
    enough = mine is not None and mine["images"] >= 209
    found.append(Target(f"{name}: fitting 209 images in less than 45 s", _s(seconds), _below(seconds, 45, enough)))
    memory = mine and mine["peak_mib"]
    found.append(Target(f"{name}: fitting them in less than 2 GiB", _gib(memory), _below(memory, 2048, enough)))
    ratio = theirs["seconds"] / mine["seconds"] if mine and theirs else None
    reckoned = " (reckoned)" if theirs and theirs["reckoned"] else ""
    what = f"{name}: fitting at least 20 times as fast as anomalib (10 % coreset, its default)"
    found.append(Target(what, _times(ratio) + reckoned, ratio >= 20 if ratio and enough else None))
    times = _times_of(records, base, name)
    ours = times.get(OURS)
    large = {key: row for key, row in times.items() if key[0] == THEIRS[0]}
    fastest = min(large, key=lambda key: large[key]["median"], default=None)
    smallest = min(large, key=lambda key: large[key]["peak_mib"], default=None)
    for which, speedy, light in (("as it recommends", THEIRS, THEIRS), ("at its best", fastest, smallest)):
        other = large.get(speedy) if speedy else None
        ratio = other["median"] / ours["median"] if other and ours else None
        route = f" ({speedy[1]})" if ratio and speedy else ""
        what = f"{name}: inspecting at least 10 times as fast as anomalib, {which}"
        found.append(Target(what, _times(ratio) + route, ratio >= 10 if ratio and enough else None))
        other = large.get(light) if light else None
        share = ours["peak_mib"] / other["peak_mib"] if other and ours else None
        route = f" ({light[1]})" if share and light else ""
        what = f"{name}: inspecting in at most a quarter of anomalib's memory, {which}"
        found.append(Target(what, f"{share:.2f}{route}" if share else "", share <= 0.25 if share and enough else None))
    return found


def _of_start(records: Records) -> list[Target]:
    found = []
    for what in ("onlygood --help", "import onlygood", "onlygood inspect, one image"):
        rows = records.good("start", what=what)
        seconds = median(r["values"]["seconds"] for r in rows) if rows else None
        found.append(Target(f"`{what}` in less than 1 s", _s(seconds, 2), _below(seconds, 1)))
    return found


def _of_install(records: Records) -> list[Target]:
    rows = records.good("install", what="onlygood")
    values = rows[-1]["values"] if rows else None
    packages, size = (values["packages"], values["mib"] * MB) if values else (None, None)
    return [
        Target(
            "inspecting needs fewer than 20 packages", "" if packages is None else str(packages), _below(packages, 20)
        ),
        Target("and less than 280 MB", "" if size is None else f"{size:.0f} MB", _below(size, 280)),
    ]


def _below(value: float | None, limit: float, enough: bool = True) -> bool | None:
    return None if value is None or not enough else value < limit


# tables


def inspect_table(records: Records, base: dict[str, Any], name: str) -> str:
    """One row for each contender: time, memory, accuracy."""
    times = _times_of(records, base, name)
    ours = times.get(OURS)
    rows = []
    for (model, route), row in times.items():
        ratio = f"{row['median'] / ours['median']:.1f}" if ours else "-"
        memory = f"{row['peak_mib'] / ours['peak_mib']:.1f}" if ours else "-"
        scored = records.good("auroc", set=name, model=model, route=route, **base)
        accuracy = f"{scored[-1]['values']['auroc']:.4f}" if scored else "-"
        cells = [model, route, f"{row['median']:.1f}", f"{row['p95']:.1f}", ratio, f"{row['peak_mib']:.0f}", memory]
        rows.append([*cells, accuracy, str(row["runs"])])
    head = ["", "route", "median ms", "p95 ms", "times ours", "peak MiB", "times ours", "I-AUROC", "images timed"]
    return table(head, rows)


def _times_of(records: Records, base: dict[str, Any], name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Median, p95, number and memory of each contender, over all turns."""
    pooled: dict[tuple[str, str], Rows] = {}
    for record in records.good("inspect", set=name, **base):
        pooled.setdefault((record["key"]["model"], record["key"]["route"]), []).append(record["values"])
    found = {}
    for key, rows in pooled.items():
        ms = np.concatenate([row["milliseconds"] for row in rows])
        peak = max(row["peak_mib"] for row in rows)
        found[key] = {"median": float(np.median(ms)), "p95": float(np.percentile(ms, 95)), "runs": len(ms)}
        found[key]["peak_mib"] = peak
    return found


def fit_table(records: Records, base: dict[str, Any], name: str) -> str:
    """One row for each model: time, memory, file."""
    fits = _fits(records, base, name)
    ours = next((fit for fit in fits if fit["key"]["model"] == OURS[0]), None)
    rows = []
    for fit in fits:
        ratio = f"{fit['seconds'] / ours['seconds']:.1f}" if ours else "-"
        seconds = f"{fit['seconds']:.1f}" + (" (reckoned)" if fit["reckoned"] else "")
        memory = f"{fit['peak_mib'] / ours['peak_mib']:.1f}" if ours else "-"
        cells = [fit["key"]["model"], str(fit["images"]), f"{fit['bank']:,}", seconds, ratio]
        rows.append([*cells, f"{fit['peak_mib']:.0f}", memory, f"{fit['file_mib']:.1f}", str(fit["runs"])])
    head = ["", "images", "vectors kept", "seconds", "times ours", "peak MiB", "times ours", "model file MiB", "fits"]
    return table(head, rows)


def _fits(records: Records, base: dict[str, Any], name: str) -> Rows:
    """Medians of the fits of each model."""
    grouped: dict[str, Rows] = {}
    for record in records.good("fit", set=name, **base):
        grouped.setdefault(record["key"]["model"], []).append(record)
    found = []
    for rows in grouped.values():
        values = [row["values"] for row in rows]
        last = values[-1]
        found.append(
            {
                "key": rows[-1]["key"],
                "seconds": median(v["seconds_whole"] for v in values),
                "peak_mib": median(v["peak_mib"] for v in values),
                "file_mib": last["file_mib"],
                "bank": last["bank"],
                "images": last["images"],
                "reckoned": last.get("greedy_picks", last["bank"]) < last["bank"],
                "runs": len(rows),
            }
        )
    return found


STAGES = {"read": "read", "backbone": "backbone", "search": "search", "score": "score", "whole": "whole"}


def backbone_table(records: Records, base: dict[str, Any]) -> str:
    rows = []
    for record in records.good("backbone", **base):
        key, values = record["key"], record["values"]
        random = ", random weights" if values["weights"].startswith("random") else ""
        stages = [f"{values['stages'][stage]['median_ms']:.1f}" for stage in STAGES]
        ratio = f"{values['whole_over_backbone']:.2f}"
        recall = [f"{values['recall'][kind]:.4f}" for kind in ("deciding", "value")]
        cells = [key["backbone"] + random, key["engine"], f"{values['bank']:,} x {values['dim']}", *stages, ratio]
        rows.append([*cells, *recall, f"{values['fit_seconds']:.0f}", f"{values['fit_peak_mib']:.0f}"])
    head = [
        "",
        "engine",
        "bank",
        *(f"{name} ms" for name in STAGES.values()),
        "whole / backbone",
        "recall, deciding",
        "all",
    ]
    return table([*head, "fit s", "fit peak MiB"], rows)


def accuracy_table(records: Records, base: dict[str, Any]) -> str:
    rows = []
    found = records.good("accuracy", **base)
    order = list(dict.fromkeys([*SETS, *(record["key"]["set"] for record in found)]))
    for record in sorted(found, key=lambda r: (order.index(r["key"]["set"]), r["key"]["index"])):
        key, values = record["key"], record["values"]
        gpu = record["versions"].get("GPU")
        counts = f"{values['good']} / {values['defective']}"
        recalls = [f"{values[name]:.4f}" for name in ("deciding_good", "deciding", "recall")]
        search = f"{key['index']}, {gpu}" if gpu else key["index"]
        rows.append([key["set"], search, f"{values['bank']:,}", counts, f"{values['auroc']:.4f}", *recalls])
        rows[-1].append(f"{values['fit_seconds']:.0f}")
    head = ["set", "search", "vectors", "good / defective", "I-AUROC"]
    head += ["recall, deciding, good images", "deciding", "all", "fit s"]
    return table(head, rows)


def start_table(records: Records) -> str:
    grouped: dict[str, list[float]] = {}
    for record in records.good("start"):
        grouped.setdefault(record["key"]["what"], []).append(record["values"]["seconds"])
    rows = [[what, f"{median(s):.2f}", f"{min(s):.2f}", f"{max(s):.2f}", str(len(s))] for what, s in grouped.items()]
    return table(["", "median s", "fastest", "slowest", "starts"], rows)


def install_table(records: Records) -> str:
    rows = []
    for record in records.good("install"):
        values = record["values"]
        size = f"{values['mib'] * MB:.0f}"
        rows.append([record["key"]["what"], str(values["packages"]), size])
    return table(["", "packages", "MB"], rows)


def failures(records: Records, base: dict[str, Any]) -> str:
    """Each measurement that ended in an error, with its last line."""
    lines = []
    for record in records.counting(base):
        if "error" in record["values"]:
            what = ", ".join(str(value) for name, value in record["key"].items() if name not in base)
            last = record["values"]["error"].strip().splitlines()[-1][:200]
            lines.append(f"* {record['kind']} {what}: `{last}`")
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; nothing where there is no row."""
    rows = list(rows)
    if not rows:
        return ""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _s(seconds: float | None, digits: int = 1) -> str:
    return "" if seconds is None else f"{seconds:.{digits}f} s"


def _gib(mib: float | None) -> str:
    return "" if mib is None else f"{mib / 1024:.2f} GiB"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f} times"
