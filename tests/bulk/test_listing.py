"""What is to be done: each image once, no finished one again, pictures that do not overwrite each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.bulk.listing import BulkImage, list_images, named, parts_of
from onlygood.bulk.results import check_settings
from onlygood.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/1.jpg", "b/1.png", "b/.hidden.png", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_each_image_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = list_images(["b/1.png", folder, "b", "gone.png", Path("gone.png")])
    names = [str(Path(image.path).relative_to(folder)) for image in found]
    assert names == ["b/1.png", "a/1.jpg", "a/1.png", "gone.png"]
    assert [image.below for image in found] == ["1.png", "a/1.jpg", "a/1.png", "gone.png"]
    with pytest.raises(DataError, match="empty"):
        list_images([])


def test_pictures_of_finished_images_keep_their_names(folder: Path) -> None:
    images = list_images([folder / "a", folder / "b"])
    first = named(images, {})
    assert [image.pictures for image in first] == ["1", "1-2", "1-3"]
    for finished in first:
        again = named(images, {finished.path: finished.pictures})
        left = [image.pictures for image in again if image.path != finished.path]
        assert len({*left, finished.pictures}) == 3


@given(st.integers(0, 3000), st.integers(0, 3000), st.sets(st.integers(0, 20)), st.integers(0, 9))
def test_whatever_is_finished_the_rest_is_done_once(total: int, more: int, done: set[int], new: int) -> None:
    """Parts that were done stay done; those that were lost come back under the same name; new images are added."""
    images = [BulkImage(f"/{number:05}.png", f"{number:05}.png") for number in range(total)]
    parts = parts_of(images, ())
    assert [image for part in parts for image in part.images] == images
    finished = {image.path for number, part in enumerate(parts) if number in done for image in part.images}
    left = parts_of(images, finished)
    assert left == [part for number, part in enumerate(parts) if number not in done]
    grown = [*images[:more], *(BulkImage(f"/new{number}.png", "") for number in range(new)), *images[more:]]
    parts = parts_of(grown, finished)
    assert [image for part in parts for image in part.images] == [one for one in grown if one.path not in finished]
    assert len({part.name for part in parts}) == len(parts)


def test_other_settings_are_refused_and_named() -> None:
    settings = {"model": "5f", "maps": None, "original_size": False}
    check_settings(dict(settings), settings, "verdicts")
    for begun in ({**settings, "model": "60"}, {**settings, "maps": "/maps"}, {"model": "5f"}, {}, None, 3):
        with pytest.raises(DataError, match=r"verdicts.*other settings"):
            check_settings(begun, settings, "verdicts")
    with pytest.raises(DataError, match=r"\(maps, model\)"):
        check_settings({"model": "60", "maps": "/maps", "original_size": False}, settings, "verdicts")
