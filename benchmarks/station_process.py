"""A station in a process of its own, and the load tool that asks it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

#: The public tool that makes the load, and how to get it.
TOOL = "h2load"
HOW = "Debian: apt-get install nghttp2-client"


class RunningStation:
    """A station on a free port of this machine, stopped by SIGTERM as at the line.

    Args:
        model: Model file of its only recipe.
        folder: For its data, settings and log; emptied first.
        threads: Of each inspection.
        settings: More lines for the settings file.
    """

    def __init__(self, model: Path, folder: Path, threads: int, settings: str = "") -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.data, self.log = folder / "data", folder / "station.log"
        config = folder / "station.toml"
        config.write_text(f"port = 0\nthreads = {threads}\n{settings}\n", "utf-8")
        words = [sys.executable, "-m", "onlygood", "station", "--config", config, "--data", self.data]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*map(str, words), "--model", f"part={model}"], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        if found is None:
            self.process.wait()
            raise RuntimeError(f"The station did not start:\n{self.log.read_text('utf-8')}")
        self.address = found[0]

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])

    def resident_mib(self) -> float:
        """Resident memory of the process now (Linux)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))

    def stop(self) -> int:
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def __enter__(self) -> RunningStation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def tool_version() -> str:
    """Of the load tool.

    Raises:
        SystemExit: It is not installed.
    """
    if shutil.which(TOOL) is None:
        raise SystemExit(f"The load tool {TOOL} is not installed. {HOW}")
    said = subprocess.run([TOOL, "--version"], capture_output=True, text=True, check=False).stdout
    return said.split()[-1].rpartition("/")[2] if said else ""


def load(address: str, image: Path, requests: int, clients: int, log: Path) -> tuple[NDArray[np.float64], int, float]:
    """Send one image again and again over connections that are kept open.

    Args:
        address: Of the station.
        image: File that is sent.
        requests: All of them.
        clients: Connections; each sends its next request when the last one is answered.
        log: File for what the tool notes of each request.

    Returns:
        Milliseconds of each request that was answered 200, how many were not, and the seconds of all.
    """
    log.unlink(missing_ok=True)
    words = [TOOL, "--h1", "-n", requests, "-c", clients, "-t", 1, "-d", image, "-H", "content-type: image/png"]
    done = subprocess.run(
        [*map(str, words), f"--log-file={log}", f"{address}inspect"], capture_output=True, text=True, check=False
    )
    if done.returncode or not log.exists():
        raise RuntimeError(f"{TOOL} failed:\n{done.stdout}\n{done.stderr}")
    table = np.loadtxt(log, ndmin=2)  # begun at (us), status, took (us)
    fine = table[:, 1] == 200
    seconds = (np.max(table[:, 0] + table[:, 2]) - np.min(table[:, 0])) / 1e6
    return table[fine, 2] / 1000, requests - int(fine.sum()), float(seconds)
