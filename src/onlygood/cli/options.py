"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from onlygood.errors import ParameterError

EngineOption = Annotated[
    str | None, typer.Option(help="onnxruntime or openvino; by default the one it was fitted with.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="Threads to use, and images of a folder at a time; by default as fitted.")
]


def numbers(text: str, option: str) -> list[int]:
    """Whole numbers written as 0,1,2; raises `ParameterError` that names the option."""
    return [number(part, option) for part in text.split(",")]


def number(text: str, option: str) -> int:
    """A whole number; raises as `numbers`."""
    try:
        return int(text)
    except ValueError:
        raise ParameterError(f"{option}: {text!r} is no whole number. Write them as 0,1,2.") from None
