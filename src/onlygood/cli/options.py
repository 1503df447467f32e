"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

EngineOption = Annotated[
    str | None, typer.Option(help="onnxruntime or openvino; by default the one it was fitted with.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(help="Threads to use, and images of a folder at a time; by default as fitted.")
]
