"""Image -> patch features: pretrained backbones (weights are data), aggregation, the exported graph."""

from onlygood.features.backbones import BackboneSpec, backbone_names, find_backbone
from onlygood.features.graph import FeatureGraph, GraphSpec

__all__ = ["BackboneSpec", "FeatureGraph", "GraphSpec", "backbone_names", "find_backbone"]
