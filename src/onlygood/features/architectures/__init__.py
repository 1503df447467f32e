"""Backbones as torch modules, with the parameter names of the weight files they load.

Each is written as an ordered list of named steps, so that a feature map can be taken after any step
and everything behind the last one used is cut off.
"""

from __future__ import annotations

from collections.abc import Callable

from onlygood.features.architectures.base import Backbone


def build(architecture: str) -> Backbone:
    """An untrained network by architecture name; raises KeyError for an unknown one."""
    from onlygood.features.architectures import efficientnet_lite, mobilenet, resnet, vgg

    builders: dict[str, Callable[[], Backbone]] = {
        **efficientnet_lite.BUILDERS,
        **mobilenet.BUILDERS,
        **resnet.BUILDERS,
        **vgg.BUILDERS,
    }
    return builders[architecture]()


__all__ = ["Backbone", "build"]
