"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.errors import ParameterError

EngineOption = Annotated[
    str | None, typer.Option(help="onnxruntime or openvino; by default the one it was fitted with.")
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu or cuda; by default the one it was fitted with, where that is there.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="Threads to use, and images of a folder at a time; by default as fitted.")
]
OverlayOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write a picture of where, for each image, into this folder.")
]
MapsOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write the anomaly maps as 32-bit TIFF into this folder.")
]
FalseRejectOption = Annotated[
    float | None, typer.Option(help="Another false-reject rate than the one the model was fitted with.")
]
OriginalSizeOption = Annotated[
    bool, typer.Option("--original-size", help="Maps in the size of each image, not in the detector's.")
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
