"""The detectors: one paper, one file; each a composition of the rooms below."""

from onlygood.methods.base import Detector
from onlygood.methods.btf import BTF
from onlygood.methods.btm import BTM
from onlygood.methods.gde import GDE
from onlygood.methods.knn import KNN, KthNN
from onlygood.methods.ldknn import LDKNN
from onlygood.methods.outlier import LDOF, LOF
from onlygood.methods.patchcore import PatchCore
from onlygood.methods.reb import REB
from onlygood.methods.registry import find_method, load, method_names
from onlygood.methods.simplenet import SimpleNet
from onlygood.methods.trained import TrainedDetector
from onlygood.methods.ulsad import ULSAD

__all__ = [
    "BTF",
    "BTM",
    "GDE",
    "KNN",
    "LDKNN",
    "LDOF",
    "LOF",
    "REB",
    "ULSAD",
    "Detector",
    "KthNN",
    "PatchCore",
    "SimpleNet",
    "TrainedDetector",
    "find_method",
    "load",
    "method_names",
]
