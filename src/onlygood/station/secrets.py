"""Passwords and tokens that lie in files of their own, so that they stand in no settings, record or log."""

from __future__ import annotations

from pathlib import Path

from onlygood.station.errors import StationError


def read_secret(path: Path, purpose: str) -> str:
    """The first line of a file.

    Args:
        path: The file.
        purpose: What it is, for errors: `the password of the MQTT broker`.

    Raises:
        StationError: The file is missing, may not be read, or its first line is empty.
    """
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StationError(f"{path}, {purpose}, cannot be read: {why}. Mend the path or its rights.") from None
    if not secret:
        raise StationError(f"{path}, {purpose}, has an empty first line. Write it there.")
    return secret
