"""Packages and MiB of the environment whose interpreter runs this, without pip and setuptools, as one JSON line."""

from __future__ import annotations

import json
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

NOT_COUNTED = {"pip", "setuptools"}


def installed() -> dict[str, float]:
    """`packages` and `mib`, compiled Python files included."""
    folder = Path(sysconfig.get_path("purelib"))
    names = {(d.metadata["Name"] or "").lower() for d in distributions(path=[str(folder)])}
    used = 0
    for top in folder.iterdir():
        if top.name.split("-")[0].lower() in NOT_COUNTED:
            continue
        used += sum(f.lstat().st_size for f in ([top] if top.is_file() else top.rglob("*")) if not f.is_dir())
    return {"packages": len(names - NOT_COUNTED), "mib": round(used / 2**20)}


if __name__ == "__main__":
    print(json.dumps(installed()))
