"""What the station may have to answer instead of a decision."""

from __future__ import annotations

from onlygood.errors import OnlyGoodError


class StationError(OnlyGoodError):
    """The station cannot start or go on as it is set up."""


class BusyError(StationError):
    """More is asked than can be done now; ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotRecordedError(BusyError):
    """Neither the database nor the journal takes the decision, so it must not be answered."""


class UnknownRecipeError(StationError):
    """There is no recipe of that name."""


class NotFoundError(StationError):
    """There is no decision, model or picture of that name."""


class RefusedError(StationError):
    """What was asked is understood and not allowed as things are: a candidate that fails its gate, say."""
