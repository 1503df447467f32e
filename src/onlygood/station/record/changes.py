"""What people change, written together with its entry in the audit trail: both or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from onlygood.errors import ParameterError
from onlygood.station.decisions import Thresholds, finite, new_id, now
from onlygood.station.errors import NotFoundError
from onlygood.station.record import audit, reading, rows
from onlygood.station.record.audit import Action
from onlygood.station.record.tables import activations, answers, decisions, golden, models


@dataclass(frozen=True)
class KnownModel:
    """A model of a recipe.

    Attributes:
        recipe: Its name.
        sha256: Of the model file.
        parent: SHA-256 of the model it was made from as a candidate; empty for other models.
        last: Number (`seq`) of its last activation; 0 if it was never on duty.
    """

    recipe: str
    sha256: str
    parent: str
    last: int


def answer(connection: sa.Connection, decision_id: str, said: str, who: str, comment: str) -> dict[str, Any]:
    """As `Record.answer`."""
    known = sa.select(decisions.c.id).where(decisions.c.id == reading.checked_id(decision_id))
    if connection.execute(known).first() is None:
        raise NotFoundError(f"There is no decision {decision_id}.")
    row = {
        "id": new_id(),
        "decision_id": decision_id,
        "time": now(),
        "who": rows.storable(who),
        "answer": said,
        "comment": rows.storable(comment),
    }
    connection.execute(sa.insert(answers).values(row))
    return reading.answer_as_dict(row)


def activate(
    connection: sa.Connection, recipe: str, model: str, thresholds: Thresholds, who: str, why: str
) -> dict[str, Any]:
    """As `Record.activate`."""
    before = next(iter(latest_activations(connection, recipe, 1)), None)
    row = {
        "id": new_id(),
        "time": now(),
        "recipe": rows.storable(recipe),
        "model": model,
        "ng_threshold": finite(thresholds.ng),
        "review_threshold": finite(thresholds.review),
        "who": rows.storable(who),
        "why": rows.storable(why),
    }
    connection.execute(sa.insert(activations).values(row))
    after = _activation(row)
    shown = ("model", "thresholds")
    detail = {
        "from": {name: before[name] for name in shown} if before else None,
        "to": {name: after[name] for name in shown},
        "why": row["why"],
    }
    audit.append(connection, who, Action.ACTIVATE, recipe, detail)
    return after


def latest_activations(connection: sa.Connection, recipe: str, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    query = sa.select(activations).where(activations.c.recipe == recipe).order_by(activations.c.seq.desc()).limit(limit)
    return [_activation(row) for row in connection.execute(query).mappings()]


def add_model(connection: sa.Connection, row: Mapping[str, Any], who: str) -> dict[str, Any]:
    """As `Record.add_model`."""
    found = models_of(connection, row["recipe"], row["sha256"])
    if not found:
        connection.execute(sa.insert(models).values(**row, time=now()))
        detail = {name: row[name] for name in ("sha256", "method", "origin", "parent")}
        audit.append(connection, who, Action.ADD_MODEL, row["recipe"], detail)
        found = models_of(connection, row["recipe"], row["sha256"])
    return found[0]


def models_of(connection: sa.Connection, recipe: str, sha256: str = "") -> list[dict[str, Any]]:
    """Models of a recipe, newest first; or the one of that hash."""
    query = sa.select(models).where(models.c.recipe == recipe).order_by(models.c.seq.desc())
    if sha256:
        query = query.where(models.c.sha256 == sha256)
    return [_plain(row) for row in connection.execute(query).mappings()]


def known_models(connection: sa.Connection) -> list[KnownModel]:
    """All models of all recipes."""
    used = sa.select(activations.c.recipe, activations.c.model, sa.func.max(activations.c.seq))
    used = used.group_by(activations.c.recipe, activations.c.model)
    last = {(recipe, model): seq for recipe, model, seq in connection.execute(used)}
    noted = sa.select(models.c.recipe, models.c.sha256, models.c.parent).where(models.c.origin == "candidate")
    parents = {(recipe, sha256): parent for recipe, sha256, parent in connection.execute(noted)}
    taken_in = connection.execute(sa.select(models.c.recipe, models.c.sha256))
    pairs = {*last, *((recipe, sha256) for recipe, sha256 in taken_in)}
    return [KnownModel(*pair, parents.get(pair, ""), last.get(pair, 0)) for pair in sorted(pairs)]


def golden_set(connection: sa.Connection, recipe: str) -> list[dict[str, Any]]:
    """The images that are in the set now, in the order in which they came in."""
    last = sa.select(sa.func.max(golden.c.seq)).where(golden.c.recipe == recipe).group_by(golden.c.digest)
    query = sa.select(golden).where(golden.c.seq.in_(last), golden.c.action == "add").order_by(golden.c.seq)
    return [_plain(row) for row in connection.execute(query).mappings()]


def change_golden(connection: sa.Connection, row: Mapping[str, Any], who: str) -> dict[str, Any]:
    """Add an image to a golden set, or take it out (`action`)."""
    if row["truth"] not in ("good", "defect"):
        raise ParameterError(f"truth={row['truth']!r}: use good or defect.")
    full = {**row, "id": new_id(), "time": now(), "who": rows.storable(who), "name": rows.storable(row["name"])}
    connection.execute(sa.insert(golden).values(full))
    detail = {name: full[name] for name in ("digest", "truth", "name", "decision_id")}
    action = Action.GOLDEN_ADD if row["action"] == "add" else Action.GOLDEN_REMOVE
    audit.append(connection, who, action, row["recipe"], detail)
    return _plain(full)


def _activation(row: Mapping[Any, Any]) -> dict[str, Any]:
    table = {name: row[name] for name in ("id", "recipe", "model", "who", "why")}
    thresholds = {"ng": row["ng_threshold"], "review": row["review_threshold"]}
    return {**table, "time": row["time"].isoformat(timespec="milliseconds"), "thresholds": thresholds}


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Plain JSON types, without the row's number."""
    table = {name: value for name, value in row.items() if name != "seq"}
    return {**table, "time": row["time"].isoformat(timespec="milliseconds")}
