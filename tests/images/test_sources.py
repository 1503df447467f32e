from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import DataError, ImageError
from onlygood.images import ImageSource, as_sources

GREY = np.full((10, 12, 3), 99, np.uint8)


def png(path: Path | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(GREY).save(out, "PNG")
    if path:
        path.write_bytes(out.getvalue())
    return out.getvalue()


def test_a_folder_is_listed_sorted_and_read_lazily(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image yet")
    sources = as_sources(tmp_path)
    assert [source.name for source in sources] == [str(tmp_path / f"{letter}.png") for letter in "abc"]
    png(tmp_path / "a.png")
    np.testing.assert_array_equal(sources[0].read(), GREY)
    with pytest.raises(ImageError, match=r"b\.png"):
        sources[1].read()


@pytest.mark.parametrize("name", ["part.png", "part", "part.JPEG"])
def test_one_file_whatever_its_ending(tmp_path: Path, name: str) -> None:
    png(tmp_path / name)
    (source,) = as_sources(str(tmp_path / name))
    np.testing.assert_array_equal(source.read(), GREY)


def test_a_folder_with_a_dot_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "line.3"
    folder.mkdir()
    png(folder / "a.png")
    assert len(as_sources(folder)) == 1


def test_arrays_one_or_a_stack() -> None:
    assert len(as_sources(GREY)) == 1
    assert len(as_sources(GREY[..., 0])) == 1
    stack = as_sources(np.stack([GREY, GREY]))
    assert [source.name for source in stack] == ["image 0", "image 1"]


def test_a_mixed_list_keeps_its_order_and_names(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        items = [tmp_path / "a.png", png(), io.BytesIO(png()), GREY, ImageSource("mine", GREY), file]
        sources = as_sources(item for item in items)
        expected = [str(tmp_path / "a.png"), "image 1", "image 2", "image 3", "mine", str(tmp_path / "a.png")]
        assert [source.name for source in sources] == expected
        for _ in range(2):  # a file is read from its beginning each time
            for source in sources:
                np.testing.assert_array_equal(source.read(), GREY)


def test_a_file_that_cannot_be_rewound() -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation("seek")

    (source,) = as_sources(Pipe(png()))
    np.testing.assert_array_equal(source.read(), GREY)


def test_a_closed_file_is_an_image_error() -> None:
    file = io.BytesIO(png())
    (source,) = as_sources(file)
    file.close()
    with pytest.raises(ImageError, match="image 0"):
        source.read()


@pytest.mark.parametrize("images", [[], (), np.zeros((0, 9, 9, 3), np.uint8), iter([])])
def test_no_image_at_all(images: object) -> None:
    with pytest.raises(DataError, match="at least one"):
        as_sources(images)  # type: ignore[arg-type]


@pytest.mark.parametrize("images", [None, 3, [None], [3], [[GREY]], bytearray(b"xy"), Image.fromarray(GREY)])
def test_what_is_no_image_is_named_by_its_type(images: object) -> None:
    with pytest.raises(DataError, match="numpy array"):
        as_sources(images)  # type: ignore[arg-type]


def test_missing_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        as_sources(tmp_path / "gone")
    (source,) = as_sources(tmp_path / "gone.png")
    with pytest.raises(ImageError, match=r"gone\.png"):
        source.read()


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image") as caught:
        as_sources(tmp_path)
    assert str(tmp_path) in str(caught.value)
