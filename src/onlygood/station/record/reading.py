"""Questions to the record about decisions, page by page."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast, get_args

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from onlygood.errors import ParameterError
from onlygood.inspection import Verdict
from onlygood.station.errors import NotFoundError
from onlygood.station.record import rows
from onlygood.station.record.tables import answers, decisions, removed_pictures

Order = Literal["newest", "oldest", "score"]
#: Decisions of one page, at most.
PAGE = 500
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Query:
    """Which decisions, and in which order. What is left empty does not matter.

    Attributes:
        recipe: Name of the recipe.
        verdicts: One of these.
        source: Where the image came from, whole (`rest`, `folder:NAME`).
        answered: True for those that an operator answered, False for the others.
        answer: The latest answer, `OK` or `NG`.
        since: Made at that time or later.
        until: Made before that time.
        min_score: Score at least.
        max_score: Score at most.
        name: Stands somewhere in the image's name; a to z and A to Z are the same.
        model: SHA-256 of the model, whole.
        order: `newest` first, `oldest` first, or highest `score` first.
        before: Recorded before the decision of this number (`seq`).
        after: Recorded after the decision of this number. In the order of scores: behind it in that order.
        limit: At most so many, 1 to 500.

    Raises:
        ParameterError: A value is none of these.
    """

    recipe: str = ""
    verdicts: Sequence[Verdict] = ()
    source: str = ""
    answered: bool | None = None
    answer: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    min_score: float | None = None
    max_score: float | None = None
    name: str = ""
    model: str = ""
    order: Order = "newest"
    before: int | None = None
    after: int | None = None
    limit: int = 100

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise ParameterError(f"order={self.order!r}: use newest, oldest or score.")
        if self.answer not in ("", "OK", "NG"):
            raise ParameterError(f"answer={self.answer!r}: use OK or NG.")
        if not 1 <= self.limit <= PAGE:
            raise ParameterError(f"limit={self.limit}: use 1 to {PAGE}.")
        for name in ("before", "after"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _LARGEST:
                raise ParameterError(f"{name}={value} is no number of a decision.")
        for name in ("since", "until"):
            if (moment := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_utc(moment, name))

    def behind(self, seq: int) -> Query:
        """The same question, going on behind the decision `seq`, the last of a page."""
        return replace(self, before=seq) if self.order == "newest" else replace(self, after=seq)


def as_utc(moment: datetime.datetime, name: str) -> datetime.datetime:
    """A time in UTC; one that names no zone is taken to be in it. `ParameterError` outside of years 1 to 9999."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    try:
        return moment.astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        raise ParameterError(f"{name}={moment} is beyond the years that can be recorded.") from None


class Scored(NamedTuple):
    """A score with what became of it."""

    seq: int
    score: float
    verdict: Verdict
    answer: str | None


def latest_answer() -> sa.ScalarSelect[str | None]:
    """The latest answer to the decision of each row, as a column of a query."""
    return (
        sa.select(answers.c.answer)
        .where(answers.c.decision_id == decisions.c.id)
        .order_by(answers.c.seq.desc())
        .limit(1)
        .correlate(decisions)
        .scalar_subquery()
    )


_ANSWERED = sa.exists().where(answers.c.decision_id == decisions.c.id).correlate(decisions)
_REMOVED = sa.select(removed_pictures.c.time).where(removed_pictures.c.id == decisions.c.id).scalar_subquery()


def page(connection: sa.Connection, query: Query) -> list[dict[str, Any]]:
    """The decisions, as `decision` gives them, without all answers but the latest."""
    found = sa.select(decisions, _REMOVED.label("removed")).where(*_filters(query))
    if query.before is not None:
        found = found.where(decisions.c.seq < query.before)
    if query.order == "score":
        if query.after is not None:
            found = found.where(_behind(connection, query.after))
        found = found.order_by(decisions.c.score.desc(), decisions.c.seq.desc())
    else:
        if query.after is not None:
            found = found.where(decisions.c.seq > query.after)
        found = found.order_by(decisions.c.seq if query.order == "oldest" else decisions.c.seq.desc())
    table_rows = connection.execute(found.limit(query.limit)).mappings().all()
    said = _answers(connection, [row["id"] for row in table_rows])
    return [_as_dict(row, _last(said.get(row["id"], []))) for row in table_rows]


def decision(connection: sa.Connection, decision_id: str) -> dict[str, Any]:
    """One decision with all its answers, oldest first; raises `NotFoundError`."""
    query = sa.select(decisions, _REMOVED.label("removed")).where(decisions.c.id == checked_id(decision_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(f"There is no decision {decision_id}.")
    said = _answers(connection, [decision_id]).get(decision_id, [])
    return {**_as_dict(row, _last(said)), "answers": said}


def scores(connection: sa.Connection, recipe: str, model: str, last: int) -> list[Scored]:
    """Scores of the last decisions of a recipe, oldest first; of one model, or of all if `model` is empty."""
    query = (
        sa.select(decisions.c.seq, decisions.c.score, decisions.c.verdict, latest_answer())
        .where(decisions.c.recipe == recipe)
        .order_by(decisions.c.seq.desc())
        .limit(last)
    )
    if model:
        query = query.where(decisions.c.model == model)
    found = [Scored(seq, score, Verdict(verdict), said) for seq, score, verdict, said in connection.execute(query)]
    return found[::-1]


def unanswered(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Those of these decisions that wait for an operator; also those that the record does not know (yet)."""
    query = sa.select(answers.c.decision_id).where(answers.c.decision_id.in_(_padded(ids))).distinct()
    return set(ids) - set(connection.execute(query).scalars())


def checked_id(decision_id: str) -> str:
    """The id; raises `NotFoundError` if no decision can have it."""
    if not re.fullmatch("[0-9a-f]{32}", decision_id):
        raise NotFoundError("A decision's id has 32 hexadecimal digits; there is none of that id.")
    return decision_id


def answer_as_dict(row: Mapping[Any, Any]) -> dict[str, Any]:
    """An answer in plain JSON types."""
    table = {name: row[name] for name in ("id", "decision_id", "time", "who", "answer", "comment")}
    return {**table, "time": row["time"].isoformat(timespec="milliseconds")}


def _filters(query: Query) -> Iterable[sa.ColumnElement[bool]]:
    c = decisions.c
    for column, wanted in ((c.recipe, query.recipe), (c.source, query.source), (c.model, query.model)):
        if wanted:
            yield column == rows.storable(wanted)
    if query.verdicts:
        yield c.verdict.in_(sorted({str(verdict) for verdict in query.verdicts}))
    if query.answered is not None:
        yield _ANSWERED if query.answered else ~_ANSWERED
    if query.answer:
        yield latest_answer() == query.answer
    if query.since is not None:
        yield c.time >= query.since
    if query.until is not None:
        yield c.time < query.until
    if query.min_score is not None:
        yield c.score >= query.min_score
    if query.max_score is not None:
        yield c.score <= query.max_score
    if query.name:
        yield _Within(c.name, sa.literal(_lower(rows.storable(query.name))))


class _Within(sa.sql.functions.GenericFunction[bool]):
    """Whether the second text stands in the first, A to Z taken as a to z. The databases' own LIKE differ in that."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_Within, "sqlite")
def _within_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    text, part = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(instr(lower({text}), {part}) > 0)"


@compiles(_Within, "postgresql")
def _within_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    text, part = (compiler.process(clause, **options) for clause in element.clauses)
    return f'(strpos(lower({text} COLLATE "C"), {part}) > 0)'


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _behind(connection: sa.Connection, seq: int) -> sa.ColumnElement[bool]:
    """Behind a decision in the order of scores."""
    score = connection.execute(sa.select(decisions.c.score).where(decisions.c.seq == seq)).scalar()
    if score is None:
        raise ParameterError(f"after={seq}: there is no decision of that number.")
    same = sa.and_(decisions.c.score == score, decisions.c.seq < seq)
    return sa.or_(decisions.c.score < score, same)


def _answers(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Answers by decision, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    if ids:
        query = sa.select(answers).where(answers.c.decision_id.in_(_padded(ids))).order_by(answers.c.seq)
        for row in connection.execute(query).mappings():
            found.setdefault(row["decision_id"], []).append(answer_as_dict(row))
    return found


def _padded(ids: Sequence[str]) -> list[str]:
    """As many ids as a power of two, the last one again and again.

    Each number of ids makes another statement, and SQLite's driver keeps the last 128 of each connection, with what was
    bound to them: 114 KiB for 500 ids. So there shall be few.
    """
    missing = (1 << max(len(ids) - 1, 0).bit_length()) - len(ids)
    return [*ids, *[ids[-1]] * missing] if ids else []


def _last(said: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return said[-1] if said else None


def _as_dict(row: Mapping[Any, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    table = {**rows.from_row(cast(Mapping[str, Any], row)).as_dict(), "seq": row["seq"], "answer": answer}
    if row["removed"] is not None:
        table.update(picture="", map_picture="")
    table["picture_removed"] = None if row["removed"] is None else row["removed"].isoformat(timespec="milliseconds")
    return table
