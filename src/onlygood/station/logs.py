"""What the station tells its log: one JSON object a line, on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

from onlygood.jsonable import plain

LOGGER = logging.getLogger("onlygood.station")


def log(event: str, *, level: str = "info", error: BaseException | None = None, **values: Any) -> None:
    """One line: what happened, and values to it. Never a token, never an image.

    Args:
        event: A word or two with underscores, the same for the same thing.
        level: `debug`, `info`, `warning` or `error`.
        error: Its traceback is added.
        values: JSON types; anything else as its text.
    """
    LOGGER.log(getattr(logging, level.upper()), event, extra={"values": values}, exc_info=error)


class JsonLines(logging.Formatter):
    """Writes records of any logger as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        table: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "values", {}),
        }
        if not record.name.startswith(LOGGER.name):
            table["logger"] = record.name
        if record.exc_info and record.exc_info[1]:
            table["traceback"] = self.formatException(record.exc_info)
        return json.dumps(plain(table), ensure_ascii=True, allow_nan=False, default=str)


def start(level: str = "info") -> None:
    """Send the station's lines, and those of the HTTP server from warnings on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, least in ((LOGGER.name, level.upper()), ("uvicorn", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(least)
        logger.propagate = False
