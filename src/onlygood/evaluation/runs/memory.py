"""The most memory a process held, counted anew for each run of a worker that does several."""

from __future__ import annotations

import sys
from pathlib import Path

_PROCESS = Path("/proc/self")


def reset_peak() -> None:
    """Count from here on, where the system can (Linux); elsewhere the peak is that of the process's whole life."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int | None:
    """Resident memory at its highest, libraries and mapped files that were read included; None where not known."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(found if sys.platform == "darwin" else 1024 * found)
