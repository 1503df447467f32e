"""Engines: what runs a feature graph. Each is imported when it is first used, so an inspecting install needs but one.

All compute in float32 (and in int8 where the graph says so), never in the shorter floats that some take on their own
on some processors: a graph gives the same scores on the machine that fitted it and on the one that inspects.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import threading
import time
from collections.abc import Mapping
from statistics import median
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import MissingDependencyError, ModelFileError, ParameterError, require

Images = NDArray[np.uint8]
Features = NDArray[np.float32]
#: Inputs of a graph by name, each for a batch of `n`.
Inputs = Mapping[str, NDArray[Any]]
#: Outputs of a graph by name, in its own order, float32 `(n, ...)` each.
Outputs = dict[str, NDArray[np.float32]]

DEFAULT = "onnxruntime"
#: Lets fitting choose by time.
AUTO = "auto"
DEVICES = ("cpu", "cuda")

#: The default engine is kept unless another takes less than this share of its time.
WORTH_CHANGING = 0.9


class Engine(Protocol):
    """What runs a graph; made of its bytes, the number of threads (None: one per physical core) and the device.

    Calling `run` and `run_named` is safe from several threads.
    """

    name: ClassVar[str]
    device: str

    def __init__(self, onnx: bytes, threads: int | None, device: str) -> None: ...

    def run(self, images: Images) -> Features:
        """Patch features float32 `(n, h, w, dim)` of uint8 images `(n, size, size, 3)`."""
        ...

    def run_named(self, inputs: Inputs) -> Outputs:
        """All outputs of a graph, for graphs with other inputs than images or with several outputs."""
        ...


class OnnxRuntimeEngine:
    """ONNX Runtime, on the CPU or with its CUDA provider."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, onnx: bytes, threads: int | None = None, device: str = "cpu") -> None:
        onnxruntime = import_onnxruntime()
        self.device = device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # threads that wait by spinning keep a core from the thread they wait for, wherever several programs share a
        # machine: two detectors with two threads each on two cores took twice as long
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # one block for all that a run needs: memory, and no time
        providers: list[Any] = ["CPUExecutionProvider"]
        if device == "cuda":
            _check_cuda()
            _find_cuda_libraries()
            # TF32 has ten bits of mantissa, and a timed choice of algorithm another result each time
            exact = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
            providers.insert(0, ("CUDAExecutionProvider", exact))
        try:
            self.session = onnxruntime.InferenceSession(onnx, options, providers=providers)
        except Exception as error:  # the runtime has no common base class for its errors
            if device == "cuda":
                raise MissingDependencyError(_no_cuda(str(error))) from error
            raise ModelFileError(f"The feature graph cannot be loaded: {error}") from error
        if device == "cuda" and "CUDAExecutionProvider" not in self.session.get_providers():
            raise MissingDependencyError(_no_cuda("CUDA, cuDNN or the driver cannot be loaded"))

    def run(self, images: Images) -> Features:
        """As `Engine.run`."""
        return np.asarray(self.session.run(None, {"images": images})[0], np.float32)

    def run_named(self, inputs: Inputs) -> Outputs:
        """As `Engine.run_named`."""
        found = self.session.run(None, dict(inputs))
        return {one.name: np.asarray(array, np.float32) for one, array in zip(self.session.get_outputs(), found)}


class OpenVinoEngine:
    """OpenVINO on the CPU. Images are run one by one, so that an image has the same features alone and in a batch."""

    name: ClassVar[str] = "openvino"

    def __init__(self, onnx: bytes, threads: int | None = None, device: str = "cpu") -> None:
        openvino = _openvino()
        self.device = device
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several detectors would be pinned to the same cores
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            model = core.read_model(onnx)
            shapes = {}
            for one in model.inputs:
                shapes[one.get_any_name()] = one.partial_shape
                shapes[one.get_any_name()][0] = 1
            model.reshape(shapes)
            self._names = [one.get_any_name() for one in model.outputs]  # compiling may give them others
            self.compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:  # mostly RuntimeError, but nothing promises it
            raise ModelFileError(f"The feature graph cannot be loaded by OpenVINO: {error}") from error
        self._requests = threading.local()

    def run(self, images: Images) -> Features:
        """As `Engine.run`."""
        return next(iter(self.run_named({"images": images}).values()))

    def run_named(self, inputs: Inputs) -> Outputs:
        """As `Engine.run_named`."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self.compiled.create_infer_request()
        found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self._names}
        for number in range(len(next(iter(inputs.values())))):
            answer = self._requests.own.infer({name: array[number : number + 1] for name, array in inputs.items()})
            for place, name in enumerate(self._names):
                found[name].append(np.array(answer[place], np.float32))  # the request writes over its own memory
        return {name: np.concatenate(parts) for name, parts in found.items()}


ENGINES: dict[str, type[Engine]] = {kind.name: kind for kind in (OnnxRuntimeEngine, OpenVinoEngine)}


def is_installed(name: str) -> bool:
    """Whether the package of an engine is there; it is not imported."""
    return importlib.util.find_spec(name) is not None


def check_engine(name: str, device: str = "cpu", threads: int | None = None) -> None:
    """Make sure that an engine can be made here.

    Raises:
        ParameterError: Unknown engine or device, an engine that has no such device, or no number of threads.
        MissingDependencyError: Its package, or CUDA, is not there.
    """
    if name not in ENGINES:
        raise ParameterError(f"Unknown engine {name!r}. Known are: {', '.join(ENGINES)}")
    if device not in DEVICES:
        raise ParameterError(f"Unknown device {device!r}. Known are: {', '.join(DEVICES)}")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ParameterError(f"threads={threads!r}: a whole number of at least 1, or None for every core.")
    if device == "cuda" and name != DEFAULT:
        raise ParameterError(f"The engine {name} runs on the CPU only. For device='cuda' take engine={DEFAULT!r}.")
    if name != DEFAULT:
        require(name, name, f"The engine {name}")
    if device == "cuda":
        _check_cuda()


def make_engine(name: str, onnx: bytes, threads: int | None = None, device: str = "cpu") -> Engine:
    """Make an engine for a graph; errors as `check_engine`, and `ModelFileError` for a graph that is damaged."""
    check_engine(name, device, threads)
    return ENGINES[name](onnx, threads, device)


def time_engines(onnx: bytes, images: Images, threads: int | None = None) -> dict[str, float]:
    """Median milliseconds of each installed engine for one image.

    Args:
        onnx: The graph.
        images: uint8 `(n, size, size, 3)`; each engine runs each of them once, one engine after the other so that
            a busy moment strikes all alike.
        threads: Threads of each.
    """
    engines = [make_engine(name, onnx, threads) for name in ENGINES if is_installed(name)]
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in engines:
        engine.run(images[:1])  # the first run allocates
    for number in range(len(images)):
        for engine in engines if number % 2 == 0 else reversed(engines):
            started = time.perf_counter()
            engine.run(images[number : number + 1])
            seconds[engine.name].append(time.perf_counter() - started)
    return {name: round(1000 * median(values), 3) for name, values in seconds.items()}


def fastest(milliseconds: dict[str, float]) -> str:
    """The engine to take: the default one unless another is clearly faster."""
    best = min(milliseconds, key=lambda name: milliseconds[name])
    return best if milliseconds[best] < WORTH_CHANGING * milliseconds[DEFAULT] else DEFAULT


def _openvino() -> Any:
    require("openvino", "openvino", "The engine openvino")
    # Importing it reports to its maker over the network, unless its telemetry cannot be imported. A PC at the line
    # tells nobody, and must not wait for a network that is not there.
    quiet = "openvino_telemetry" not in sys.modules
    if quiet:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if quiet:
            del sys.modules["openvino_telemetry"]
    return openvino


def import_onnxruntime() -> Any:
    """The package onnxruntime, told before it starts to report nothing to its maker over the network.

    Version 1.32 does so unless `ORT_DISABLE_TELEMETRY` is set, and keeps an identifier of the machine and what it could
    not send in the user's cache (Privacy.md in its package). A PC at the line tells nobody. Whoever wants to help its
    maker sets the variable to 0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _check_cuda() -> None:
    onnxruntime = import_onnxruntime()
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise MissingDependencyError(_no_cuda("this ONNX Runtime has no CUDA in it"))


def _find_cuda_libraries() -> None:
    """Load CUDA and cuDNN from their Python packages, where the loader of the system does not look for them."""
    with contextlib.redirect_stdout(io.StringIO()):  # what it does not find, it prints; making the session says it
        import_onnxruntime().preload_dlls()


def _no_cuda(reason: str) -> str:
    return (
        f"device='cuda' cannot be used: {reason}. Install the driver, CUDA and cuDNN, and the other build of the "
        "runtime: pip uninstall onnxruntime, then pip install onnxruntime-gpu. Or take device='cpu'."
    )
