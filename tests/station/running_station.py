"""A station in a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Running:
    """A station in a process of its own."""

    process: subprocess.Popen[str]
    data: Path
    address: str
    lines: list[str]

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])

    def say(self, data: bytes, seconds: float = 20.0) -> bytes:
        """Send bytes as they are; what comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit status and what stood on standard error."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


def start_station(folder: Path, model: Path, text: str = "") -> Running:
    """One on a free port of loopback, with its data in `folder`; the settings are TOML."""
    config, data = folder / "station.toml", folder / "data"
    config.write_text(f"port = 0\nthreads = 1\nlog_level = 'info'\n{text}\n")
    words = [sys.executable, "-m", "onlygood", "station", "--config", config, "--data", data]
    process = subprocess.Popen(
        [*words, "--model", f"plate={model}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline() for _ in range(4)] if process.stdout else []
    found = re.search(r"https?://\S+", lines[0])
    if not found:
        process.kill()
    assert found, (lines, process.communicate())
    return Running(process, data, found[0], lines)
