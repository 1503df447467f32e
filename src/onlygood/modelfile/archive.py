"""A zip of a manifest, the feature graph, tensors and the index, each with its SHA-256; no pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFileError
from onlygood.files import replacing

#: Raised whenever an older version of the library could misread a file, or this one an older file.
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a model file holds.

    Attributes:
        manifest: JSON table; `format`, `format_version`, `tensors` (their shapes) and `parts` (the SHA-256 of
            each) are added when writing.
        tensors: Named arrays.
        blobs: Further parts by name (`features.onnx`, `index.faiss`), uint8 `(n,)`. When read they are views of
            the mapped file, which keep it open.
    """

    manifest: dict[str, Any]
    tensors: dict[str, NDArray[Any]]
    blobs: dict[str, NDArray[np.uint8]]


def write_parts(path: str | Path, parts: Parts) -> None:
    """Write a model file; under its real name it is whole or not there at all.

    Raises:
        ModelFileError: The file cannot be written (no such folder, disk full); the old one is untouched.
    """
    from safetensors.numpy import save

    path = Path(path)
    tensors = save({name: np.ascontiguousarray(array) for name, array in parts.tensors.items()})
    blobs = {**parts.blobs, TENSORS: np.frombuffer(tensors, np.uint8)}
    manifest = {
        "format": "onlygood model",
        "format_version": FORMAT_VERSION,
        **parts.manifest,
        "tensors": {name: list(array.shape) for name, array in parts.tensors.items()},
        "parts": {name: hashlib.sha256(data).hexdigest() for name, data in blobs.items()},
    }
    whole = {MANIFEST: np.frombuffer(json.dumps(manifest, indent=1).encode(), np.uint8), **blobs}
    try:
        with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name, data in whole.items():
                archive.writestr(zipfile.ZipInfo(name), data.data)
    except OSError as error:
        raise ModelFileError(
            f"Cannot write {path}: {error.strerror or error}. Nothing was changed there; mend that and save again."
        ) from error


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest alone, without checking the other parts; errors as `read_parts`."""
    with _opened(Path(path)) as archive:
        return _manifest(archive, Path(path))


def read_parts(path: str | Path) -> Parts:
    """Map a model file into memory and verify it; nothing but the small tensors is copied.

    On Windows, where a mapped file could not be replaced by a newer one, it is read instead.

    Raises:
        ModelFileError: Missing, damaged, cut short, not a model file, or of another format version.
    """
    from safetensors.numpy import load

    path = Path(path)
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        data = np.fromfile(path, np.uint8) if os.name == "nt" else np.memmap(path, np.uint8, "r")
        blobs = {name: _bytes_of(archive, data, name, path) for name in manifest["parts"]}
    for name, expected in manifest["parts"].items():
        if hashlib.sha256(blobs[name]).hexdigest() != expected:
            raise _damaged(path, f"its part {name} does not match its SHA-256")
    return Parts(manifest, load(blobs.pop(TENSORS).tobytes()), blobs)


def _bytes_of(archive: zipfile.ZipFile, data: NDArray[np.uint8], name: str, path: Path) -> NDArray[np.uint8]:
    """A part as a view of the file's bytes."""
    try:
        archive.open(name).close()  # the part's own header agrees with the directory
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile("compressed")
    except (KeyError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, f"its part {name} cannot be read") from error
    name_length, extra_length = data[info.header_offset + 26 : info.header_offset + 30].view("<u2")
    start = info.header_offset + 30 + int(name_length) + int(extra_length)
    return np.asarray(data[start : start + info.file_size])


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
            f"this version reads format {FORMAT_VERSION}. Upgrade: pip install -U onlygood"
        )
    if version < FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was written by an earlier onlygood (format {version}); this version reads format "
            f"{FORMAT_VERSION}. Fit anew."
        )
    if not isinstance(manifest.get("parts"), dict) or TENSORS not in manifest["parts"]:
        raise _damaged(path, "its manifest names no parts")
    return manifest


def _damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError(f"The model file {path} is damaged: {what}. Copy it again or fit anew.")
