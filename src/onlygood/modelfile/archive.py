"""A zip of a manifest, the feature graph, tensors and the index, each with its SHA-256; no pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFileError
from onlygood.files import replacing

#: Raised whenever an older version of the library could misread a file.
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a model file holds.

    Attributes:
        manifest: JSON table; `format`, `format_version`, `tensors` (their shapes) and `parts` (the SHA-256 of
            each) are added when writing.
        tensors: Named arrays.
        blobs: Further parts by name (`features.onnx`, `index.faiss`).
    """

    manifest: dict[str, Any]
    tensors: dict[str, NDArray[Any]]
    blobs: dict[str, bytes]


def write_parts(path: str | Path, parts: Parts) -> None:
    """Write a model file; under its real name it is whole or not there at all.

    Raises:
        ModelFileError: The file cannot be written (no such folder, disk full); the old one is untouched.
    """
    from safetensors.numpy import save

    path = Path(path)
    blobs = {**parts.blobs, TENSORS: save({k: np.ascontiguousarray(v) for k, v in parts.tensors.items()})}
    manifest = {
        "format": "onlygood model",
        "format_version": FORMAT_VERSION,
        **parts.manifest,
        "tensors": {name: list(array.shape) for name, array in parts.tensors.items()},
        "parts": {name: _sha256(data) for name, data in blobs.items()},
    }
    try:
        with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for part, data in [(MANIFEST, json.dumps(manifest, indent=1).encode()), *blobs.items()]:
                archive.writestr(zipfile.ZipInfo(part), data)
    except OSError as error:
        raise ModelFileError(
            f"Cannot write {path}: {error.strerror or error}. Nothing was changed there; mend that and save again."
        ) from error


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest alone, without checking the other parts; errors as `read_parts`."""
    with _opened(Path(path)) as archive:
        return _manifest(archive, Path(path))


def read_parts(path: str | Path) -> Parts:
    """Read and verify a model file.

    Raises:
        ModelFileError: Missing, damaged, cut short, not a model file, or of a newer format.
    """
    from safetensors.numpy import load

    path = Path(path)
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        blobs = {}
        for name, expected in manifest["parts"].items():
            try:
                data = archive.read(name)
            except (KeyError, zipfile.BadZipFile, OSError, EOFError) as error:
                raise _damaged(path, f"its part {name} cannot be read") from error
            if _sha256(data) != expected:
                raise _damaged(path, f"its part {name} does not match its SHA-256")
            blobs[name] = data
    return Parts(manifest, load(blobs.pop(TENSORS)), blobs)


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise ModelFileError(
            f"There is no model file {path}. Check the path, or fit one: onlygood fit FOLDER -o {path}"
        )
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelFileError(
            f"{path} is not an onlygood model file, or it was cut short. Copy it again or fit anew."
        ) from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(archive.read(MANIFEST))
    except KeyError:
        raise ModelFileError(f"{path} is a zip archive but not an onlygood model file.") from None
    except (ValueError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, "its manifest cannot be read") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "onlygood model":
        raise ModelFileError(f"{path} is a zip archive but not an onlygood model file.")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by onlygood {manifest.get('version', 'of a later version')} (format {version}); "
            f"this version reads formats up to {FORMAT_VERSION}. Upgrade: pip install -U onlygood"
        )
    if not isinstance(manifest.get("parts"), dict) or TENSORS not in manifest["parts"]:
        raise _damaged(path, "its manifest names no parts")
    return manifest


def _damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError(f"The model file {path} is damaged: {what}. Copy it again or fit anew.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
