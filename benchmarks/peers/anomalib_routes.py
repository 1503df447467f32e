"""The ways from an image file to anomalib's score and map, each timed image by image."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import PredictDataset
from anomalib.engine import Engine
from anomalib.models import Patchcore
from lightning.pytorch import Callback
from PIL import Image

TRAINER: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "limit_val_batches": 0,  # good images only: without it, no validation images is an error
}


class EngineRoute:
    """`Engine.predict`, which anomalib recommends; a batch of one, times between the ends of batches."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.model = Patchcore.load_from_checkpoint(folder / "model.ckpt")
        self.engine_folder = folder / "run"

    def inspect(self, images: list[str]) -> tuple[list[float], list[float], list[int]]:
        dataset = PredictDataset(images[0])
        dataset.image_filenames = images
        clock = _Clock()
        engine = Engine(default_root_dir=self.engine_folder, callbacks=[clock], **TRAINER)
        answers = engine.predict(model=self.model, dataset=dataset)
        scores = [float(answer.pred_score) for answer in answers]
        return np.diff(clock.ends).tolist(), scores, list(answers[-1].anomaly_map.shape)


class _Clock(Callback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_predict_epoch_start(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_predict_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


class OneByOne:
    """An image file in, score and map out, timed one at a time."""

    def predict(self, image: str) -> tuple[Any, Any]:
        raise NotImplementedError

    def inspect(self, images: list[str]) -> tuple[list[float], list[float], list[int]]:
        seconds, scores, shape = [], [], []
        for image in images:
            started = time.perf_counter()
            score, heat = self.predict(image)
            score = float(np.asarray(score).reshape(-1)[0])
            seconds.append(time.perf_counter() - started)
            scores.append(score)
            shape = list(heat.shape)
        return seconds, scores, shape


class TorchRoute(OneByOne):
    """anomalib's `TorchInferencer`."""

    def __init__(self, folder: Path, threads: int) -> None:
        from anomalib.deploy import TorchInferencer

        self.inferencer = TorchInferencer(folder / "weights/torch/model.pt", device="cpu")

    def predict(self, image: str) -> tuple[Any, Any]:
        with torch.inference_mode():
            answer = self.inferencer.predict(image)
        return answer.pred_score, answer.anomaly_map


class OpenVinoRoute(OneByOne):
    """anomalib's `OpenVINOInferencer`. OpenVINO computes in bfloat16 by itself where the processor can."""

    precision: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, folder: Path, threads: int) -> None:
        from anomalib.deploy import OpenVINOInferencer

        config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **self.precision}
        self.inferencer = OpenVINOInferencer(folder / "weights/openvino/model.xml", device="CPU", config=config)

    def predict(self, image: str) -> tuple[Any, Any]:
        answer = self.inferencer.predict(image)
        return answer.pred_score, answer.anomaly_map


class OpenVinoFloat32Route(OpenVinoRoute):
    """The same, held to the precision of the model."""

    precision = {"INFERENCE_PRECISION_HINT": "f32"}  # noqa: RUF012


class OnnxRoute(OneByOne):
    """anomalib's ONNX file in ONNX Runtime. anomalib has no inferencer for it: pixels are prepared as by its others."""

    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        file = str(folder / "weights/onnx/model.onnx")
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def predict(self, image: str) -> tuple[Any, Any]:
        pixels = np.asarray(Image.open(image).convert("RGB"), np.float32) / 255
        answers = self.session.run(None, {"input": pixels.transpose(2, 0, 1)[None]})
        answer = dict(zip(self.outputs, answers))
        return answer["pred_score"], answer["anomaly_map"]


#: Name of a route -> what makes it from a folder and a number of threads.
ROUTES: dict[str, Callable[[Path, int], Any]] = {
    "engine": EngineRoute,
    "torch": TorchRoute,
    "onnx": OnnxRoute,
    "openvino": OpenVinoRoute,
    "openvino-f32": OpenVinoFloat32Route,
}
