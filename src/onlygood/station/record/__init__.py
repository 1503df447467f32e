"""The record of the station: every decision, answer and change, in SQLite or PostgreSQL, with a journal beside it."""

from __future__ import annotations

from onlygood.station.record.audit import Action, AuditCheck
from onlygood.station.record.reading import Query, Scored
from onlygood.station.record.record import Record

__all__ = ["Action", "AuditCheck", "Query", "Record", "Scored"]
