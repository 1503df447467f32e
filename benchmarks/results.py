"""Accuracy, false rejects and time of every row of docs/results.md, on real images, in one command.

    python benchmarks/results.py --data FOLDER_OF_SETS --into docs/results.md

FOLDER_OF_SETS holds data sets in the MVTec AD layout; ELPV comes from the package elpv-dataset. The runs are those of
`onlygood bench run`: one record each in results.sqlite; one that is there already is not repeated, so an interrupted
sweep goes on.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import onlygood
from onlygood.evaluation.runs import Candidate, LocalEngine, Record, Records, RunSpec, Sweep, plan, run_sweep
from onlygood.images.datasets import DataSet
from onlygood.parallel import cores
from onlygood.progress import TerminalProgress
from records import replace_between

SEEDED = (0, 1, 2)
LDKNN_PUBLISHED = "99.1, ResNet-18 (K = 5)"
REB_PUBLISHED = "99.3, ResNet-18 (K = 5)"
DEFECTMAKER_PUBLISHED = "98.7, ResNet-18"


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Attributes:
        method: Name.
        parameters: What is other than in the preset.
        seeds: It is run with; one where nothing is drawn.
        published: The image AUROC of the published system that it corresponds to, on MVTec AD unless another set is
            named, and its backbone.
        preset: Named set of parameters.
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    published: str = ""
    preset: str | None = None


ROWS = {
    "1-NN, full bank, plain maximum": Row(
        "knn", {"image_score": "max"}, published="98.2, ResNet-18 (REB, PatchCore at 100 %)"
    ),
    "1-NN, full bank": Row("knn"),
    "1-NN, 10 % coreset": Row("knn", {"coreset": 0.1}, SEEDED),
    "1-NN, 1 % coreset": Row("knn", {"coreset": 0.01}, SEEDED),
    "PatchCore, paper": Row("patchcore", {}, SEEDED, "99.2, WideResNet-50 (10 %)", "paper"),
    "PatchCore, released": Row("patchcore", {}, SEEDED, "99.2, WideResNet-50 (10 %)", "released"),
    "LDKNN, paper (K=5, alpha=1, maximum)": Row("ldknn", published=LDKNN_PUBLISHED, preset="paper"),
    "LDKNN = REB as it comes": Row("reb", published=LDKNN_PUBLISHED),
    "REB, K and alpha by synthetic defects": Row("reb", {"k": "auto", "alpha": "auto"}, SEEDED),
    "REB, fine-tuned (quick)": Row("reb", {"fine_tune": "quick"}, SEEDED, REB_PUBLISHED),
    "DefectMaker (quick) + 1-NN": Row("reb", {"fine_tune": "quick", "alpha": 0.0}, SEEDED, DEFECTMAKER_PUBLISHED),
    "Kth-NN": Row("kth_nn", published="97.3, ResNet-18 (REB, Table 6)"),
    "LOF": Row("lof", published="97.2, ResNet-18 (REB, Table 6)"),
    "LDOF": Row("ldof", published="96.2, ResNet-18 (REB, Table 6)"),
    "GDE (whole image)": Row("gde", {}, SEEDED),
    "DN2 (whole image)": Row("dn2"),
    "SPADE": Row("spade"),
    "PaDiM": Row("padim", {}, SEEDED, "95.8, WideResNet-50 (SimpleNet's table)"),
    "DFM": Row("dfm", {}, SEEDED),
    "BTF, colour alone": Row("btf", {}, SEEDED, "78.5, WideResNet-50, on MVTec 3D-AD"),
    "BTM, colour alone": Row("btm", {}, SEEDED, "81.6, WideResNet-50, on MVTec 3D-AD"),
    "SimpleNet, quick": Row("simplenet", {}, SEEDED, "99.6, WideResNet-50, best epoch", "quick"),
    "ULSAD, quick": Row("ulsad", {}, SEEDED, "97.65, WideResNet-50, best epoch", "quick"),
}
#: The other backbones whose trained weights are in the package index.
BACKBONES = {"Lite1": "efficientnet_lite1", "Lite2": "efficientnet_lite2", "MobileNetV2": "mobilenet_v2"}
for _name, _backbone in BACKBONES.items():
    ROWS[f"1-NN, full bank, plain maximum, {_name}"] = Row("knn", {"image_score": "max", "backbone": _backbone})
    ROWS[f"REB as it comes, {_name}"] = Row("reb", {"backbone": _backbone})
#: What the other rows' errors are compared with.
BASELINE = "1-NN, full bank, plain maximum"
#: Row -> set -> records of its seeds.
Measured = dict[str, dict[str, list[Record]]]


def _accuracy(values: list[float]) -> str:
    return f"{mean(values):.3f}"


def _with_spread(values: list[float]) -> str:
    return _accuracy(values) + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _rate(values: list[float]) -> str:
    return f"{100 * mean(values):.1f} %"


def _cost(values: list[float]) -> str:
    return f"{median(values):.0f}"


#: Heading, unit, and how several seeds are drawn together.
COLUMNS: dict[str, tuple[str, float, Callable[[list[float]], str]]] = {
    "image_auroc": ("I-AUROC", 1, _with_spread),
    "pixel_auroc": ("P-AUROC", 1, _accuracy),
    "aupro": ("AUPRO", 1, _accuracy),
    "false_reject_1": ("false rejects at 1 %", 1, _rate),
    "false_reject_5": ("at 5 %", 1, _rate),
    "escape_1": ("escapes at 1 %", 1, _rate),
    "escape_5": ("at 5 %", 1, _rate),
    "fit_seconds": ("fit s", 1, _cost),
    "ms_per_image": ("inspect ms", 1, _cost),
    "model_bytes": ("model MB", 1e6, _cost),
    "peak_bytes": ("peak MiB", 2**20, _cost),
}


def set_of(spec: RunSpec) -> str:
    """The name of a run's set in the tables and for --sets."""
    return f"elpv_{spec.category}" if spec.dataset == "ELPV" else spec.category


def planned(data: Path, rows: Sequence[str], seeds: int, train: int) -> tuple[Sweep, dict[RunSpec, str]]:
    """The runs of these rows on all sets, row by row, and the row of each."""
    row_of: dict[RunSpec, str] = {}
    sets: dict[str, DataSet] = {}
    for name in rows:
        row = ROWS[name]
        candidate = Candidate(row.method, row.preset, row.parameters, row.seeds[:seeds])
        sweep = plan([data, "elpv"], [candidate], most_train=train)
        row_of |= dict.fromkeys(sweep.specs, name)
        sets |= sweep.data
    return Sweep(tuple(row_of), sets), row_of


def table(measured: Measured, sets: Sequence[str]) -> str:
    """Markdown: for each set, one line per row; mean over seeds, with the standard deviation of the AUROC."""
    lines = []
    for name in sets:
        rows = {row: found[name] for row, found in measured.items() if name in found}
        if not rows:
            continue
        counts = next(iter(rows.values()))[0].figures
        size = f"{counts['n_train']} training images in {counts['n_groups']} groups"
        lines += [f"### {name}", "", f"{size}; {counts['n_good']} good, {counts['n_defect']} defective", ""]
        headings = " | ".join(heading for heading, _, _ in COLUMNS.values())
        lines += [f"| method | seeds | {headings} |", "|---|---" + "|---" * len(COLUMNS) + "|"]
        for row, records in rows.items():
            lines.append(f"| {row} | {len(records)} | " + " | ".join(_cell(records, c) for c in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


def averages(measured: Measured, sets: Sequence[str]) -> str:
    """Markdown: image AUROC averaged over the sets, and the error against plain 1-NN's."""
    lines = [
        "| method | mean I-AUROC | error (1 - AUROC) relative to plain 1-NN | published I-AUROC, not checkable here |",
        "|---|---|---|---|",
    ]
    there = [name for name in sets if any(name in found for found in measured.values())]
    baseline = None
    for row, found in measured.items():
        if not all(name in found for name in there):
            continue
        figure = mean(mean(one.figures["image_auroc"] for one in found[name]) for name in there)
        baseline = 1 - figure if row == BASELINE else baseline
        relative = f"{(1 - figure) / baseline:.0%}" if baseline else "-"
        lines.append(f"| {row} | {figure:.4f} | {relative} | {ROWS[row].published or '-'} |")
    return "\n".join(lines)


def _cell(records: list[Record], column: str) -> str:
    _, unit, drawn_together = COLUMNS[column]
    values = []
    for record in records:
        found = {**record.figures, **record.costs}
        if column == "fit_seconds" and found.get("fit_shared_tuning"):
            continue  # the backbone had been fine-tuned for another row
        if found.get(column) is not None:
            values.append(found[column] / unit)
    return drawn_together(values) if values else "-"


def collected(records: Records, row_of: Mapping[RunSpec, str]) -> Measured:
    """What was measured of these runs, in the order of ROWS."""
    measured: Measured = {row: {} for row in ROWS}
    for spec, row in row_of.items():
        record = records.get(spec)
        if record is not None and record.status == "ok":
            measured[row].setdefault(set_of(spec), []).append(record)
    return {row: found for row, found in measured.items() if found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=200, help="training images of a set at most")
    parser.add_argument(
        "--rows",
        nargs="*",
        default=list(ROWS),
        choices=list(ROWS),
        metavar="ROW",
        help="run these; none: only the page",
    )
    parser.add_argument("--records", type=Path, default=Path("results.sqlite"))
    parser.add_argument("--seeds", type=int, default=len(SEEDED), help="how many of a row's seeds are run")
    parser.add_argument("--sets", nargs="*", help="run on these")
    parser.add_argument("--retry", action="store_true", help="try runs again that failed before")
    parser.add_argument("--into", type=Path, help="page in which the tables are replaced, such as docs/results.md")
    arguments = parser.parse_args()
    records = Records(arguments.records)
    sweep, _ = planned(arguments.data, arguments.rows, arguments.seeds, arguments.train)
    wanted = tuple(spec for spec in sweep.specs if not arguments.sets or set_of(spec) in arguments.sets)
    with TerminalProgress() as bars:
        outcome = run_sweep(
            replace(sweep, specs=wanted),
            records,
            LocalEngine(1, cores(), fresh=True),  # one at a time, each in a process of its own: for time and memory
            tunings=arguments.records.with_name(f"{arguments.records.name}.tuned"),
            retry=arguments.retry,
            progress=bars,
        )
    everything, row_of = planned(arguments.data, list(ROWS), len(SEEDED), arguments.train)
    measured = collected(records, row_of)
    sets = list(dict.fromkeys(map(set_of, everything.specs)))
    about = f"onlygood {onlygood.__version__}, Python {platform.python_version()}, {platform.machine()}"
    tables = f"{about}\n\n{averages(measured, sets)}\n\n{table(measured, sets)}"
    print(tables)
    for record in outcome.failed:
        print(f"{record.spec.label} failed: {record.error}")
    if arguments.into:
        replace_between(arguments.into, "tables", tables)


if __name__ == "__main__":
    main()
