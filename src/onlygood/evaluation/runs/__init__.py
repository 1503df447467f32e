"""Runs over many data sets and methods: recorded as they end, gone on with where they stopped."""

from onlygood.evaluation.runs.local import LocalEngine
from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.running import Outcome, run_sweep
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.sweep import Candidate, Sweep, plan

__all__ = ["Candidate", "LocalEngine", "Outcome", "Record", "Records", "RunSpec", "Sweep", "plan", "run_sweep"]
