"""A model file in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from onlygood.calibration import Calibration
from onlygood.errors import ModelFileError

#: Notes of a fit that are no choices.
_CALLED = {"trained": "trained"}


def calibration_of(manifest: dict[str, Any], path: Path) -> Calibration:
    """The calibration of a manifest.

    Raises:
        ModelFileError: The manifest holds none.
    """
    try:
        return Calibration.from_dict(manifest["calibration"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"The model file {path} is damaged: it holds no calibration. Fit anew.") from error


def summary_rows(manifest: dict[str, Any], path: Path) -> list[tuple[str, str]]:
    """What a person wants to know after fitting."""
    training, features = manifest["training"], manifest["features"]
    calibration = calibration_of(manifest, path)
    images = len(training["names"])
    rows = [("method", manifest["method"]), ("training images", f"{images:,}")]
    duplicates = [size for size in Counter(training["groups"]).values() if size > 1]
    if duplicates:
        groups = f"{len(duplicates)} group{'s' if len(duplicates) > 1 else ''}"
        rows.append(("near duplicates", f"{sum(duplicates):,} images in {groups}; each group counts as one image"))
    bank = manifest.get("tensors", {}).get("image_of")
    if bank:
        search = "graph index" if "index.faiss" in manifest["parts"] else "exact search"
        rows.append(("memory bank", f"{bank[0]:,} patch vectors of {features['dim']} numbers, {search}"))
    held_out = manifest.get("tensors", {}).get("held_out")
    if held_out:
        rows.append(("held out", f"{held_out[0]:,} images, not trained on: the calibration"))
    rows.append(("input", f"{features['size']} x {features['size']} pixels"))
    rows += [(_CALLED.get(name, f"chosen {name}"), _text(value)) for name, value in training["notes"].items()]
    rows += [
        ("REVIEW above", f"{calibration.review_threshold:.4g}"),
        ("NG above", f"{calibration.ng_threshold:.4g}"),
        ("promise", str(calibration.promise)),
        ("fitted in", f"{training['seconds']:.1f} s"),
    ]
    return rows


def detail_rows(manifest: dict[str, Any], path: Path) -> list[tuple[str, str]]:
    """Where a detector comes from."""
    features = manifest["features"]
    return [
        ("fitted on", manifest["training"]["date"]),
        ("onlygood", manifest["version"]),
        *_backbone_rows(features),
        ("parameters", ", ".join(f"{name}={_text(value)}" for name, value in manifest["parameters"].items())),
        ("file size", file_size(path)),
    ]


def _backbone_rows(features: dict[str, Any]) -> list[tuple[str, str]]:
    if not features["backbone"]:
        return [("backbone", "none: geometry alone")]
    return [
        ("backbone", features["backbone"]),
        ("weights SHA-256", features["weights_sha256"] or "none (untrained)"),
        ("weights licence", features["weights_license"] or "not known"),
        ("fine-tuned", features["fine_tuned"] or "no"),
        ("layers", ", ".join(features["layers"])),
        ("precision", features.get("precision", "float32")),
        ("engine", features.get("engine", "onnxruntime")),
    ]


def info_table(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same as plain JSON types; the names and hashes of the training images are left out."""
    training = manifest["training"]
    calibration = calibration_of(manifest, path)
    promise = calibration.promise
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        **{key: manifest[key] for key in ("method", "version", "format_version", "parameters", "features", "tensors")},
        "training": {
            "images": len(training["names"]),
            "groups": len(set(training["groups"])),
            "date": training["date"],
            "seconds": training["seconds"],
            "notes": training["notes"],
        },
        "thresholds": {
            "review": calibration.review_threshold,
            "ng": calibration.ng_threshold,
            "pixel": calibration.pixel_threshold,
        },
        "promise": {
            "requested": promise.requested,
            "level": promise.level,
            "independent_images": promise.units,
            "kept": promise.kept,
            "proven": promise.proven,
            "text": str(promise),
        },
    }


def file_size(path: Path) -> str:
    """`34.1 MB`."""
    return f"{path.stat().st_size / 1e6:,.1f} MB"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
