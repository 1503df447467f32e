"""Records as runs of MLflow, for those who look at their experiments there (extra `mlflow`)."""

from __future__ import annotations

import datetime
from typing import Any

from onlygood.errors import OnlyGoodError, require
from onlygood.evaluation.runs.records import Record

EXPERIMENT = "onlygood"


class MlflowLog:
    """Writes each record that it is called with as a run of MLflow.

    Args:
        uri: Of the tracking server, such as `http://host:5000`.
        experiment: Its name; made if it is not there.

    Raises:
        MissingDependencyError: MLflow is not installed.
        OnlyGoodError: The server cannot be used.
    """

    def __init__(self, uri: str, experiment: str = EXPERIMENT) -> None:
        require("mlflow", "mlflow", "Logging to MLflow")
        from mlflow import MlflowClient

        self.uri = uri
        try:
            self._client = MlflowClient(uri)
            found = self._client.get_experiment_by_name(experiment)
            self._experiment = found.experiment_id if found else self._client.create_experiment(experiment)
        except Exception as error:  # of many kinds, from many layers
            raise self._failed(error) from error

    def __call__(self, record: Record) -> None:
        """Write a record; raises `OnlyGoodError` if the server cannot be used."""
        from mlflow.entities import Metric, Param, RunTag

        spec, end = record.spec, _milliseconds(record.ended)
        numbers = {**record.figures, **record.costs}
        metrics = [
            Metric(name, float(value), end, 0)
            for name, value in numbers.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        about: dict[str, Any] = {**spec.as_dict(), **spec.parameters, "seed": spec.seed}
        about.pop("parameters", None)
        tags = {"mlflow.runName": spec.label, "onlygood.key": spec.key, "onlygood.data": record.data}
        if record.error:
            tags["onlygood.error"] = record.error[:5000]
        try:
            run = self._client.create_run(self._experiment, _milliseconds(record.started), tags)
            params = [Param(name, str(value)[:500]) for name, value in about.items()]
            self._client.log_batch(run.info.run_id, metrics, params, list[RunTag]())
            status = "FINISHED" if record.status == "ok" else "FAILED"
            self._client.set_terminated(run.info.run_id, status, end)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> OnlyGoodError:
        return OnlyGoodError(f"MLflow at {self.uri} cannot be used: {' '.join(str(error).split())}")


def _milliseconds(date: str) -> int:
    """Since 1970, of an ISO 8601 date."""
    return int(1000 * datetime.datetime.fromisoformat(date).timestamp())
