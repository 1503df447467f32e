"""Industrial visual anomaly detection: find the defect from good parts only.

    >>> import onlygood
    >>> detector = onlygood.REB().fit("parts/good")
    >>> detector.inspect("parts/new")[0].verdict

Names are imported when they are first used: `import onlygood` loads neither torch nor the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onlygood.inspection import Inspection, Region, Verdict
    from onlygood.methods import (
        BTF,
        BTM,
        DFM,
        DN2,
        GDE,
        KNN,
        LDKNN,
        LDOF,
        LOF,
        REB,
        SPADE,
        ULSAD,
        Detector,
        KthNN,
        PaDiM,
        PatchCore,
        SimpleNet,
        load,
    )

__version__ = "0.1.0"

_HOMES = {
    "Inspection": "onlygood.inspection",
    "Region": "onlygood.inspection",
    "Verdict": "onlygood.inspection",
    "Detector": "onlygood.methods",
    "BTF": "onlygood.methods",
    "BTM": "onlygood.methods",
    "DFM": "onlygood.methods",
    "DN2": "onlygood.methods",
    "GDE": "onlygood.methods",
    "KNN": "onlygood.methods",
    "KthNN": "onlygood.methods",
    "LDKNN": "onlygood.methods",
    "LDOF": "onlygood.methods",
    "LOF": "onlygood.methods",
    "PaDiM": "onlygood.methods",
    "PatchCore": "onlygood.methods",
    "REB": "onlygood.methods",
    "SimpleNet": "onlygood.methods",
    "SPADE": "onlygood.methods",
    "ULSAD": "onlygood.methods",
    "load": "onlygood.methods",
}

__all__ = [
    "BTF",
    "BTM",
    "DFM",
    "DN2",
    "GDE",
    "KNN",
    "LDKNN",
    "LDOF",
    "LOF",
    "REB",
    "SPADE",
    "ULSAD",
    "Detector",
    "Inspection",
    "KthNN",
    "PaDiM",
    "PatchCore",
    "Region",
    "SimpleNet",
    "Verdict",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'onlygood' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
