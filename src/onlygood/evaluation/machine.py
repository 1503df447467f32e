"""What a measurement was taken on, without which it says nothing."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onlygood
from onlygood.parallel import cores

#: Packages whose versions move times and scores.
PACKAGES = ("numpy", "Pillow", "faiss-cpu", "onnxruntime", "onnxruntime-gpu", "openvino", "torch")


def machine() -> dict[str, Any]:
    """`cpu` (model name), `cores` (those this process may use), `memory_gib` (0 where not known), `system`."""
    cpu = _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    memory = _field("/proc/meminfo", "MemTotal").split()
    return {
        "cpu": cpu,
        "cores": cores(),
        "memory_gib": round(int(memory[0]) / 2**20, 1) if memory else 0,
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this library and of the packages that are installed."""
    found = {"python": platform.python_version(), "onlygood": onlygood.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def source_hash() -> str:
    """Eight digits that change whenever the source of this library does."""
    digest = hashlib.sha256()
    root = Path(onlygood.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _field(path: str, name: str) -> str:
    """The first value of that name in a file of lines `name : value`; empty where there is none."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name) and ":" in line), "")
