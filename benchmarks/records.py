"""Measurements as JSON lines that a stopped run can go on from, and the pages made of them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from onlygood.evaluation.machine import machine, versions
from onlygood.evaluation.machine import source_hash as code
from onlygood.files import replacing


class Records:
    """A file of measurements, one JSON object a line, written as they are made.

    Each has a `kind`, a `key` that says what was measured, `values`, and where and with what. Of several with the
    same kind and key the last counts.

    Args:
        path: The file; made at the first measurement. A last line that was cut off is ignored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._all: list[dict[str, Any]] = []
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    self._all.append(json.loads(line))
                except json.JSONDecodeError:
                    continue

    def add(self, kind: str, key: dict[str, Any], values: dict[str, Any], **more: str) -> dict[str, Any]:
        """Append a measurement; `more` are versions of packages that are not of this environment."""
        record = {
            "kind": kind,
            "key": key,
            "values": values,
            "code": code(),
            "machine": machine(),
            "versions": {**versions(), **more},
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        self._all.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        cut = self.path.exists() and self.path.stat().st_size and self.path.read_bytes()[-1:] != b"\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if cut else "") + json.dumps(record) + "\n")
        return record

    def of(self, kind: str, **key: Any) -> list[dict[str, Any]]:
        """The measurements of a kind whose key has these entries, the last of each, in order of first appearance."""
        last: dict[str, dict[str, Any]] = {}
        for record in self._all:
            if record["kind"] == kind and all(record["key"].get(name) == value for name, value in key.items()):
                last[json.dumps(record["key"], sort_keys=True)] = record
        return list(last.values())

    def good(self, kind: str, **key: Any) -> list[dict[str, Any]]:
        """Those of `of` that did not fail."""
        return [record for record in self.of(kind, **key) if "error" not in record["values"]]

    def done(self, kind: str, key: dict[str, Any], ours: bool = True) -> bool:
        """Whether this was measured and did not fail; if it is of onlygood, with the code as it is now."""
        return any(record["key"] == key and (not ours or record["code"] == code()) for record in self.good(kind, **key))

    def counting(self, base: dict[str, Any]) -> list[dict[str, Any]]:
        """The last measurement of each kind and key, of those that have these settings or none."""
        last: dict[str, dict[str, Any]] = {}
        for record in self._all:
            if all(record["key"].get(name, value) == value for name, value in base.items()):
                last[record["kind"] + json.dumps(record["key"], sort_keys=True)] = record
        return list(last.values())

    def everything(self) -> list[dict[str, Any]]:
        """All measurements, those that no longer count too."""
        return list(self._all)


def where(records: list[dict[str, Any]]) -> str:
    """Machine, versions and dates of some measurements in words; says so if they are not all of one kind."""
    if not records:
        return "Nothing was measured yet."
    machines = list(dict.fromkeys(json.dumps(r["machine"], sort_keys=True) for r in records))
    lines = []
    for text in machines:
        one = json.loads(text)
        lines.append(f"{one['cpu']}, {one['cores']} cores, {one['memory_gib']:.0f} GiB, {one['system']}")
    used: dict[str, list[str]] = {}
    for record in records:
        for name, number in record["versions"].items():
            if number not in used.setdefault(name, []):
                used[name].append(number)
    packages = ", ".join(f"{name} {' and '.join(numbers)}" for name, numbers in used.items())
    dates = sorted(record["date"][:10] for record in records)
    text = f"{'; '.join(lines)}. {packages}. Measured {dates[0]}" + (
        f" to {dates[-1]}." if dates[-1] > dates[0] else "."
    )
    if len(machines) > 1:
        text += " **Not all on one machine.**"
    if len({r["code"] for r in records}) > 1:
        text += " Not all with the same state of the code."
    return text


def replace_between(page: Path, name: str, text: str) -> None:
    """Put a text between `<!-- name -->` and `<!-- end of name -->` of a page.

    Raises:
        ValueError: The page has no such marks.
    """
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text("utf-8")
    if content.count(first) != 1 or content.count(last) != 1:
        raise ValueError(f"{page} must hold {first} and {last} once each.")
    before, rest = content.split(first)
    with replacing(page) as partial:
        partial.write_text(f"{before}{first}\n{text.strip()}\n{last}{rest.split(last)[1]}", "utf-8")
