"""Lets torchvision be imported beside a torch it was not compiled for.

torchvision's wheel on the package index is compiled for CUDA. Beside a CPU torch its compiled library cannot be
loaded, and importing it fails with `operator torchvision::nms does not exist`. Declaring that operator is
enough for everything written in Python: transforms, models, feature extraction. Box operators stay unusable.

`install.sh` copies this file into the peers' environment, where a `.pth` file imports it at every start. It imports
torch only when torchvision itself is imported, so it does not distort start-up times.
"""

import sys
from importlib.abc import MetaPathFinder


class _Declare(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.kept = torch.library.Library("torchvision", "DEF")
            sys.modules[__name__].kept = self.kept  # the declaration lives as long as this object
            self.kept.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.kept.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, _Declare())
