"""Decisions as rows of their table and as lines of the journal, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, finite
from onlygood.station.errors import StationError

_COPIED = (
    "id",
    "time",
    "recipe",
    "model",
    "source",
    "name",
    "score",
    "p_value",
    "reason",
    "width",
    "height",
    "digest",
    "wait_ms",
    "inspect_ms",
    "picture",
    "map_picture",
)


def storable(text: str) -> str:
    """The text with what no database takes (NUL, halves of surrogate pairs) replaced by the replacement character."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def checked(decision: Decision) -> Decision:
    """The decision as it can be stored, or `StationError` if it holds what is no number."""
    for name in ("score", "p_value", "wait_ms", "inspect_ms"):
        if finite(getattr(decision, name)) is None:
            raise StationError(f"The {name} of {decision.name} is {getattr(decision, name)}; that is not recorded.")
    texts = {name: storable(getattr(decision, name)) for name in ("recipe", "source", "name", "reason")}
    changed: dict[str, Any] = {name: text for name, text in texts.items() if text != getattr(decision, name)}
    return replace(decision, **changed) if changed else decision


def to_line(decision: Decision) -> bytes:
    """JSON; raises `StationError` if the regions hold what JSON has no word for."""
    table = decision.as_dict()
    table["time"] = decision.time.isoformat(timespec="microseconds")
    try:
        return json.dumps(table, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise StationError(f"The decision about {decision.name} cannot be recorded: {error}.") from error


def from_line(line: bytes) -> Decision:
    """The inverse; raises KeyError, TypeError or ValueError if it is none."""
    return Decision.from_dict(json.loads(line))


def to_row(decision: Decision) -> dict[str, Any]:
    """Columns of `decisions`, without `seq`."""
    return {
        **{name: getattr(decision, name) for name in _COPIED},
        "verdict": str(decision.verdict),
        "ng_threshold": finite(decision.thresholds.ng),
        "review_threshold": finite(decision.thresholds.review),
        "pixel_threshold": finite(decision.pixel_threshold),
        "regions": [dict(region) for region in decision.regions],
    }


def from_row(row: Mapping[str, Any]) -> Decision:
    """The inverse; columns that are none of a decision's are passed over."""
    return Decision(
        **{name: row[name] for name in _COPIED},
        verdict=Verdict(row["verdict"]),
        thresholds=limits(row),
        pixel_threshold=_or(row["pixel_threshold"], float("inf")),
        regions=tuple(row["regions"]),
    )


def limits(row: Mapping[str, Any]) -> Thresholds:
    """The thresholds of a row of `decisions` or `activations`."""
    return Thresholds(_or(row["ng_threshold"], float("inf")), _or(row["review_threshold"], float("-inf")))


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
