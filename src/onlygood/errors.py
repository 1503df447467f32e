"""Errors and warnings: each says what is wrong, where (which file), and how to mend it."""

from __future__ import annotations


class OnlyGoodError(Exception):
    """Base of every error the library raises on purpose."""


class ParameterError(OnlyGoodError, ValueError):
    """A parameter has a value outside what it may be."""


class ImageError(OnlyGoodError, ValueError):
    """An image cannot be read or used."""


class DataError(OnlyGoodError, ValueError):
    """A folder, data set or list of images is not what it must be."""


class WeightsError(OnlyGoodError):
    """Pretrained weights cannot be found, or are not the ones asked for."""


class ModelFileError(OnlyGoodError):
    """A model file is missing, damaged, foreign or newer than this version can read."""


class ExportError(OnlyGoodError):
    """An exported graph does not say what its detector says, or cannot be written."""


class NotFittedError(OnlyGoodError, AttributeError):
    """A detector was asked to score before it was fitted."""


class MissingDependencyError(OnlyGoodError, ImportError):
    """An optional package is needed for what was asked."""


class DataWarning(UserWarning):
    """The data can be used, yet something about it weakens what can be promised."""


class ParameterWarning(UserWarning):
    """A parameter may have the value it has, yet with it the detector is of little use."""


def require(package: str, extra: str, purpose: str) -> None:
    """Raise `MissingDependencyError` unless `package` can be imported.

    `extra` names the extra of onlygood that brings it, `purpose` what it is needed for.
    """
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'onlygood[{extra}]'"
        )
