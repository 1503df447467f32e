"""TOML files that people write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from onlygood.errors import ParameterError


def read_toml_file(path: Path, what: str, hint: str) -> dict[str, Any]:
    """The table of a file.

    Args:
        path: The file.
        what: What it is, such as `config file`, for the errors.
        hint: What to do where it is missing.

    Raises:
        ParameterError: It is missing, cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"There is no {what} {path}. {hint}") from None
    except OSError as error:
        raise ParameterError(f"The {what} {path} cannot be read: {error.strerror}. Name a file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"The {what} {path} is not valid TOML: {error}.") from error
