"""Fitted detectors for places where Python cannot go: one ONNX graph, compared before it is kept."""

from onlygood.exporting.export import TOLERANCE, Exported, export_onnx
from onlygood.exporting.parity import Parity

__all__ = ["TOLERANCE", "Exported", "Parity", "export_onnx"]
