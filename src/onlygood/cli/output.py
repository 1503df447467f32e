"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from onlygood.jsonable import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

#: Colours of the verdicts on a terminal; the word is always there too.
VERDICT_STYLES = {"OK": "green", "REVIEW": "yellow", "NG": "bold red"}


def say(text: str | Text = "", style: str = "") -> None:
    """One line for a person, on standard output; in colour on a terminal."""
    _put(_console(), text, style)


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    from rich.text import Text

    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        say(Text.assemble((f"{name:<{width}}  ", "dim"), value))


def print_json(value: Any) -> None:
    """JSON on standard output; numbers that JSON does not know become null."""
    print(json.dumps(plain(value), indent=2, allow_nan=False))


def error(message: str, word: str = "Error") -> None:
    """An error on standard error."""
    _labelled(word, "bold red", message)


def warn(message: str) -> None:
    """A warning on standard error."""
    _labelled("Warning", "bold yellow", message)


def _labelled(word: str, style: str, message: str) -> None:
    from rich.text import Text

    _put(_console(stderr=True), Text.assemble((f"{word}:", style), f" {message}"))


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _put(console: Console, text: str | Text, style: str = "") -> None:
    console.print(text, style=style or None, markup=False, emoji=False, soft_wrap=True)
