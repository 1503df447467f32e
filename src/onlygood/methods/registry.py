"""The table of methods, and loading a detector of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onlygood.errors import ModelFileError, ParameterError
from onlygood.features.engines import DEFAULT, check_engine
from onlygood.methods.base import Detector
from onlygood.methods.btf import BTF
from onlygood.methods.btm import BTM
from onlygood.methods.dfm import DFM
from onlygood.methods.dn2 import DN2
from onlygood.methods.gde import GDE
from onlygood.methods.knn import KNN, KthNN
from onlygood.methods.ldknn import LDKNN
from onlygood.methods.outlier import LDOF, LOF
from onlygood.methods.padim import PaDiM
from onlygood.methods.patchcore import PatchCore
from onlygood.methods.reb import REB
from onlygood.methods.simplenet import SimpleNet
from onlygood.methods.spade import SPADE
from onlygood.methods.ulsad import ULSAD
from onlygood.modelfile import read_parts

_OF_PATCHES = (REB, LDKNN, KNN, KthNN, PatchCore, SimpleNet, ULSAD, SPADE, PaDiM, DFM, LOF, LDOF)
_OF_IMAGES = (DN2, GDE)
_OF_SCANS = (BTF, BTM)
METHODS: dict[str, type[Detector]] = {kind.method: kind for kind in (*_OF_PATCHES, *_OF_IMAGES, *_OF_SCANS)}


def method_names() -> list[str]:
    """Names of all methods, the default first."""
    return list(METHODS)


def find_method(name: str) -> type[Detector]:
    """The class of a method.

    Raises:
        ParameterError: There is none of that name.
    """
    if name not in METHODS:
        raise ParameterError(f"Unknown method {name!r}. Known are: {', '.join(METHODS)}")
    return METHODS[name]


def check_parameters(kind: type[Detector], given: Mapping[str, Any]) -> None:
    """Raise `ParameterError` if the method has no parameter of a name, or a value is of another kind than its default.

    Args:
        kind: The detector's class.
        given: Parameters by name.
    """
    known = kind.parameter_names()
    defaults = kind().get_params()
    for name, value in given.items():
        if name not in known:
            raise ParameterError(f"The method {kind.method} has no parameter {name}. It has: {', '.join(known)}.")
        default = defaults[name]
        number = isinstance(default, int | float) and not isinstance(default, bool)
        fits = (
            (not number or isinstance(value, int | float) or value == "auto")
            and (not isinstance(default, bool) or isinstance(value, bool))
            and (not isinstance(default, str) or isinstance(value, str))
        )
        if not fits or isinstance(value, bool) > isinstance(default, bool):
            raise ParameterError(f"{name}={value!r} is no value for {kind.method}; its default is {default!r}.")


def load(
    path: str | Path, *, engine: str | None = None, device: str | None = None, threads: int | None = None
) -> Detector:
    """Load a fitted detector of any method; torch is not needed.

    Args:
        path: The model file.
        engine: `onnxruntime` or `openvino`; None for the one it was fitted with, and for ONNX Runtime on the CPU where
            that one or its device cannot be had. Scores are the same within what docs/engines.md states.
        device: `cpu` or `cuda`; None as it was fitted.
        threads: Threads of the feature graph; None as it was fitted.

    Raises:
        ModelFileError: The file is missing, damaged, foreign or newer than this version.
        ParameterError: Unknown engine or device, or no number of threads.
        MissingDependencyError: The engine or the device named is not installed.
    """
    check_engine(engine or DEFAULT, device or "cpu", threads)
    parts = read_parts(path)
    try:
        return find_method(parts.manifest["method"])._from_parts(parts, engine, device, threads)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The model file {path} is damaged: its manifest does not fit its parts ({error}). Fit anew."
        ) from error
