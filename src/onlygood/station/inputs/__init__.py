"""Where images come from, besides requests: watched folders, cameras, video files, streams."""

from __future__ import annotations

from onlygood.station.errors import StationError
from onlygood.station.inputs.base import Input, Submit
from onlygood.station.moving import ERROR_FOLDER, FOLDERS
from onlygood.station.settings import FolderIn, Settings

__all__ = ["Input", "Submit", "open_inputs"]


def open_inputs(settings: Settings, submit: Submit) -> list[Input]:
    """The inputs that the settings ask for, not yet started.

    Args:
        settings: Of the station.
        submit: Has an image inspected: bytes, name, source, recipe. The future ends once the decision is recorded;
            `BusyError` means to wait and try again.

    Returns:
        Each has `start()`, `state` and `stop(timeout)`, which waits for the decisions of what was handed over.

    Raises:
        StationError: A setting cannot be used.
        MissingDependencyError: A camera is asked for and OpenCV is not installed.
    """
    names = [f"folder:{one.name}" for one in settings.folders] + [f"camera:{one.name}" for one in settings.cameras]
    for name in names:
        if names.count(name) > 1 or name.endswith(":"):
            raise StationError(f"Each folder and each camera needs a `name` of its own; there are {', '.join(names)}.")
    _check_folders(settings.folders)
    inputs: list[Input] = []
    for folder in settings.folders:
        from onlygood.station.inputs.folder import FolderInput

        inputs.append(FolderInput(folder, settings, submit))
    for camera in settings.cameras:
        from onlygood.station.inputs.camera import open_camera

        inputs.append(open_camera(camera, submit))
    return inputs


def _check_folders(folders: tuple[FolderIn, ...]) -> None:
    watched = {folder.path.resolve() for folder in folders}
    for folder in folders:
        if folder.poll_seconds <= 0 or folder.settle_seconds < 0:
            raise StationError(
                f"`poll_seconds` of the folder {folder.name} must be above 0, `settle_seconds` 0 or more."
            )
        into = folder.sort_into
        if into is not None and any((into / name).resolve() in watched for name in (*FOLDERS.values(), ERROR_FOLDER)):
            raise StationError(f"{into}, into which the folder {folder.name} is sorted, must not be watched itself.")
