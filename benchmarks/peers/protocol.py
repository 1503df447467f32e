"""A line of JSON asks, a line of JSON answers: how the benchmark drives each peer in a process of its own.

Standard library only, because both sides import it and each side has its own environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

Step = Callable[..., dict[str, Any]]


def peak_mib() -> float:
    """Highest resident memory of this process so far.

    `ru_maxrss` is inherited from the parent when a process is started on Linux, so a child of a large
    parent would report the parent's memory. The kernel's own high-water mark is not inherited.
    """
    try:
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


class Channel:
    """The child's side. Make it before anything heavy is imported: it takes standard output for itself."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # whatever a library prints must not look like an answer

    def serve(self, steps: Mapping[str, Step], versions: Mapping[str, str]) -> None:
        """Say that all is imported, then answer until `quit` or the end of standard input."""
        self._answer("ready", {"import_seconds": time.perf_counter() - self.started, "versions": dict(versions)})
        for line in sys.stdin:
            request = json.loads(line)
            name = request.pop("step")
            if name == "quit":
                self._answer(name, {})
                return
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                if name not in steps:
                    raise ValueError(f"There is no step {name!r}. Known are: {', '.join(steps)}, quit")
                answer = steps[name](**request)
            except Exception:
                self._answer(name, {"error": traceback.format_exc()})
                continue
            spent = {"step_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
            self._answer(name, {**answer, **spent})

    def _answer(self, step: str, content: dict[str, Any]) -> None:
        self._out.write(json.dumps({"step": step, **content, "peak_mib": round(peak_mib(), 1)}) + "\n")
        self._out.flush()


class PeerError(RuntimeError):
    """A peer refused a step, died or took too long."""


class Peer:
    """The parent's side of one child process.

    Args:
        python: Interpreter of the peer's environment.
        script: The child's script.
        threads: Threads for every maths library of the child.
        folder: Working folder of the child; caches it makes lie there.
        timeout: Seconds one answer may take, the start included.

    Attributes:
        start_seconds: From starting the process until it had imported all it needs.
        ready: Its first answer: `import_seconds`, `versions`, `peak_mib`.
    """

    def __init__(
        self, python: str | Path, script: str | Path, *, threads: int, folder: str | Path, timeout: float = 3600
    ) -> None:
        self.name, self.timeout = Path(script).stem, timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [str(python), str(Path(script).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=folder,
            env={**os.environ, **child_environment(threads)},
            encoding="utf-8",
        )
        self.ready = self._read("ready", timeout)
        self.start_seconds = time.perf_counter() - started

    def ask(self, step: str, *, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        """One step and its answer.

        Raises:
            PeerError: The step failed in the child (which lives on), or the child is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"step": step, **arguments}, default=str) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # reading says why it is gone
        return self._read(step, timeout or self.timeout)

    def close(self) -> None:
        """End the child, politely first."""
        if self._process.poll() is None:
            try:
                self.ask("quit", timeout=20)
                self._process.wait(20)
            except (PeerError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read(self, step: str, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Timer(timeout, self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            status = self._process.wait()
            raise PeerError(
                f"{self.name} ended with status {status} at step {step!r} "
                f"(it had {timeout:.0f} s). The end of what it said:\n{self._said()}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name} failed at step {step!r}:\n{answer['error']}")
        return answer

    def _said(self, lines: int = 30) -> str:
        self._errors.seek(0)
        return "\n".join(deque(self._errors.read().decode("utf-8", "replace").splitlines(), lines))


def child_environment(threads: int) -> dict[str, str]:
    """Environment variables of a peer: so many threads, and no model hub is asked for anything."""
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **dict.fromkeys(variables, str(threads)),
        "HF_HUB_OFFLINE": "1",
        "ONLYGOOD_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def time_command(
    command: Sequence[str | Path], *, fine: Sequence[int] = (0,), threads: int | None = None
) -> dict[str, float]:
    """Wall and CPU seconds of a command from start to exit, its output thrown away.

    Args:
        command: Program and arguments.
        fine: Exit statuses that are no failure.
        threads: Threads for its maths libraries; None leaves them as they are.

    Raises:
        PeerError: It exits with another status.
    """
    env = None if threads is None else {**os.environ, **child_environment(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in fine:
        raise PeerError(f"{command[0]} ended with status {process.returncode}")
    return {"seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime}
