"""The detectors: one paper, one file; each a composition of the rooms below."""

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
from onlygood.methods.registry import find_method, load, method_names
from onlygood.methods.simplenet import SimpleNet
from onlygood.methods.spade import SPADE
from onlygood.methods.trained import TrainedDetector
from onlygood.methods.ulsad import ULSAD

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
    "KthNN",
    "PaDiM",
    "PatchCore",
    "SimpleNet",
    "TrainedDetector",
    "find_method",
    "load",
    "method_names",
]
