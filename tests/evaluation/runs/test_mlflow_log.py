"""Records in MLflow: what was recorded, found again with its own client."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from onlygood.errors import MissingDependencyError, OnlyGoodError
from onlygood.evaluation.runs.mlflow_log import MlflowLog
from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import RunSpec

HERE = importlib.util.find_spec("mlflow") is not None
SPEC = RunSpec("tiles", "blue", "knn", "paper", {"k": 3}, 2, 5)
RECORD = Record(
    SPEC,
    "ok",
    "2026-01-01T00:00:00.000+00:00",
    "2026-01-01T00:00:01.500+00:00",
    "f0",
    {"image_auroc": 0.75, "aupro": None, "per_type": [], "scores": {"score": [1.0]}},
    {"fit_seconds": 1.5},
)


@pytest.mark.skipif(HERE, reason="MLflow is installed")
def test_without_mlflow_the_error_says_how_to_get_it() -> None:
    with pytest.raises(MissingDependencyError, match=r"onlygood\[mlflow\]"):
        MlflowLog("http://localhost:1")


@pytest.mark.skipif(not HERE, reason="MLflow is not installed (extra mlflow)")
def test_a_record_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    uri = (tmp_path / "store").as_uri()
    log = MlflowLog(uri)
    log(RECORD)
    MlflowLog(uri)(replace(RECORD, spec=replace(SPEC, seed=0), status="failed", figures={}, costs={}, error="no room"))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("onlygood")
    runs = {run.info.status: run for run in client.search_runs([experiment.experiment_id])}
    good, failed = runs["FINISHED"], runs["FAILED"]
    assert good.data.metrics == {"image_auroc": 0.75, "fit_seconds": 1.5}
    assert good.data.params == {
        "dataset": "tiles",
        "category": "blue",
        "method": "knn",
        "preset": "paper",
        "k": "3",
        "seed": "2",
        "shots": "5",
    }
    assert good.info.end_time - good.info.start_time == 1500 and good.data.tags["onlygood.key"] == SPEC.key
    assert failed.data.tags["onlygood.error"] == "no room" and not failed.data.metrics
    with pytest.raises(OnlyGoodError, match="magic:"):
        MlflowLog("magic://nowhere")
