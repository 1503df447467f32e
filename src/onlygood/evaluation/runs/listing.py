"""Records as tables: for a person, and flat for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from onlygood.evaluation.runs.records import Record

#: Columns of `as_csv` that come from figures and from costs.
FIGURES = (
    "image_auroc",
    "average_precision",
    "best_f1",
    "pixel_auroc",
    "aupro",
    "false_reject_1",
    "escape_1",
    "false_reject_5",
    "escape_5",
    "n_train",
    "n_good",
    "n_defect",
    "oracle",
    "honest_image_auroc",
    "honest_pixel_auroc",
    "honest_aupro",
)
COSTS = ("fit_seconds", "fit_shared_images", "fit_shared_tuning", "ms_per_image", "model_bytes", "peak_bytes")
#: Of the table for a person: heading and how it is written.
SHOWN = (
    ("image_auroc", "I-AUROC", "{:.4f}"),
    ("pixel_auroc", "P-AUROC", "{:.4f}"),
    ("aupro", "AUPRO", "{:.4f}"),
    ("false_reject_1", "FR 1 %", "{:.1%}"),
    ("escape_1", "esc 1 %", "{:.1%}"),
    ("fit_seconds", "fit s", "{:.1f}"),
    ("ms_per_image", "ms", "{:.1f}"),
)


def as_dicts(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Plain JSON types, without the scores of single images."""
    found = []
    for record in records:
        table = record.as_dict()
        table["figures"] = {name: value for name, value in record.figures.items() if name != "scores"}
        found.append(table)
    return found


def as_csv(records: Iterable[Record]) -> str:
    """One line for each run, under a heading; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("dataset", "category", "method", "preset", "parameters", "seed", "shots", "draw", "most_train", "protocol")
    writer.writerow([*names, "status", *FIGURES, *COSTS, "host", "ended", "error", "key"])
    for record in records:
        spec = record.spec
        what = [getattr(spec, name) for name in names]
        what[4] = " ".join(f"{name}={value}" for name, value in sorted(spec.parameters.items()))
        values = [record.figures.get(name) for name in FIGURES] + [record.costs.get(name) for name in COSTS]
        host = record.circumstances.get("host")
        writer.writerow([*what, record.status, *values, host, record.ended, record.error, spec.key])
    return text.getvalue()


def as_lines(records: Sequence[Record]) -> list[str]:
    """A table with a heading; under a failed run its error, under an oracle what was chosen and what is had without."""
    rows = [["run", *(heading for _, heading, _ in SHOWN)]]
    below: dict[int, str] = {}
    for record in records:
        values = {**record.figures, **record.costs}
        cells = ["-" if values.get(name) is None else form.format(values[name]) for name, _, form in SHOWN]
        if record.status == "failed":
            below[len(rows)] = record.error
            cells = ["failed", *[""] * (len(SHOWN) - 1)]
        elif record.figures.get("oracle"):
            below[len(rows)] = _oracle(record.figures)
        rows.append([record.spec.label, *cells])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
        if number in below:
            lines.append(f"    {below[number]}")
    return lines


def _oracle(figures: Mapping[str, Any]) -> str:
    """What must be said of figures that were chosen by test images."""
    chosen = ", ".join(f"{name} {value}" for name, value in figures["chosen"].items())
    shown = [(heading, form, figures.get(f"honest_{name}")) for name, heading, form in SHOWN[:3]]
    honest = ", ".join(f"{heading} {form.format(value)}" for heading, form, value in shown if value is not None)
    return f"oracle: {chosen} chosen by the test images; honest: {honest}"
