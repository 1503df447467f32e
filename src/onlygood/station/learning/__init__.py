"""Learning on the job: golden sets, candidate models and their gate, thresholds tried before they are moved, drift."""

from onlygood.station.learning.learning import Learning

__all__ = ["Learning"]
