"""Any image a camera or a program writes becomes uint8 RGB; anything else becomes one clear error."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onlygood.errors import ImageError
from onlygood.images.reading import MAX_PIXELS, read_image, read_mask, read_masks

SIZE = (24, 17)  # width, height


@pytest.fixture
def photo(rng: np.random.Generator) -> Image.Image:
    """Smooth colours, so that lossy formats stay near the original."""
    coarse = rng.integers(40, 216, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        *[("PNG", mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "P")],
        *[("TIFF", mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "CMYK")],
        *[("BMP", mode) for mode in ("1", "L", "RGB", "P")],
        *[("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
        *[("WEBP", mode) for mode in ("RGB", "RGBA")],
    ],
)
def test_every_format_and_mode_reads_as_rgb(photo: Image.Image, format: str, mode: str) -> None:
    image = photo.convert(mode)
    options = {"quality": 98} if format == "JPEG" else {"lossless": True} if format == "WEBP" else {}
    pixels = read_image(encoded(image, format, **options))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    expected = np.asarray(image.convert("RGB"), int)
    assert np.abs(pixels - expected).max() <= (24 if format == "JPEG" else 0)
    assert np.abs(pixels - expected).mean() <= (4 if format == "JPEG" else 0)


def test_grey_is_repeated_on_three_channels(photo: Image.Image) -> None:
    pixels = read_image(encoded(photo.convert("L"), "PNG"))
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_colours_under_full_transparency_are_kept(mode: str) -> None:
    image = Image.new(mode, (8, 8), (90, 60, 30, 0) if mode == "RGBA" else (90, 0))
    assert tuple(read_image(encoded(image, "PNG"))[3, 3]) == ((90, 60, 30) if mode == "RGBA" else (90, 90, 90))


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_palette_with_transparency_keeps_the_palette_colours(transparency: int | bytes) -> None:
    image = Image.new("P", (9, 9))
    image.putpalette([200, 10, 20, 10, 200, 20, 20, 10, 200])
    image.putdata([i % 3 for i in range(81)])
    pixels = read_image(encoded(image, "PNG", transparency=transparency))
    assert pixels[0, :3].tolist() == [[200, 10, 20], [10, 200, 20], [20, 10, 200]]


@pytest.mark.parametrize(("mode", "colour"), [("1", 1), ("L", 255), ("RGB", (255, 255, 255))])
def test_a_transparent_colour_without_alpha_channel(mode: str, colour: object) -> None:
    image = Image.new(mode, (9, 9), colour)
    assert (read_image(encoded(image, "PNG", transparency=colour)) == 255).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_is_scaled_by_the_full_range_not_stretched(format: str) -> None:
    deep = np.tile(np.array([0, 257, 1000, 32768, 65535], np.uint16), (6, 2))
    pixels = read_image(encoded(Image.fromarray(deep), format))
    np.testing.assert_array_equal(pixels[..., 0], np.rint(deep / 65535 * 255))
    dark = read_image(encoded(Image.fromarray(deep // 2), format))
    assert dark.max() == 127  # a darker photograph stays darker


def test_float_tiff_in_zero_to_one() -> None:
    values = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    pixels = read_image(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(pixels[..., 1], np.rint(values.astype(float) * 255))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(format: str, orientation: int) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255
    # how the camera stored it: the inverse of what the tag asks the reader to do
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_image(encoded(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif))
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels[..., 0].astype(int) - upright).mean() < 12


def test_the_same_image_however_it_is_held(photo: Image.Image, tmp_path: Path) -> None:
    data = encoded(photo, "PNG")
    path = tmp_path / "part.png"
    path.write_bytes(data)
    expected = np.asarray(photo)
    with path.open("rb") as file:
        for source in (path, str(path), data, io.BytesIO(data), file, expected):
            np.testing.assert_array_equal(read_image(source), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64", ">f4", "bool"])
@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1), (9, 11, 3), (9, 11, 4)])
def test_arrays_of_every_dtype_and_shape(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> None:
    values = rng.random(shape)
    scale = {"u1": 255, "u2": 65535, "b1": 1}.get(np.dtype(dtype).str[1:], 1)
    array = (values > 0.5) if dtype == "bool" else (values * scale).astype(dtype)
    pixels = read_image(array)
    assert pixels.dtype == np.uint8 and pixels.shape == (9, 11, 3)
    expected = np.rint(array.astype(float) / scale * 255)
    expected = np.broadcast_to(expected.reshape(9, 11, -1)[..., :3], (9, 11, 3))
    np.testing.assert_array_equal(pixels, expected)


@given(st.integers(0, 65535))
def test_16_bit_levels_are_rounded_to_the_nearest(level: int) -> None:
    assert read_image(np.full((8, 8), level, np.uint16))[0, 0, 0] == round(level * 255 / 65535)


@pytest.mark.parametrize(
    ("array", "mend"),
    [
        (np.full((9, 9), np.nan, np.float32), "NaN"),
        (np.full((9, 9), np.inf), "infinite"),
        (np.full((9, 9), 1.5), r"\[0, 1\]"),
        (np.full((9, 9, 3), -0.1, np.float32), r"\[0, 1\]"),
        (np.zeros((9, 9), np.int64), "uint8"),
        (np.zeros((9, 9), np.complex64), "uint8"),
        (np.full((9, 9), "x"), "uint8"),
        (np.zeros((9, 9), object), "uint8"),
        (np.zeros(9, np.uint8), "channels"),
        (np.zeros((9, 9, 2), np.uint8), "channels"),
        (np.zeros((3, 9, 9), np.uint8), "channels"),
        (np.zeros((1, 9, 9, 3), np.uint8), "channels"),
        (np.zeros((0, 9, 3), np.uint8), "shape"),
        (np.zeros((), np.uint8), "shape"),
    ],
)
def test_arrays_that_are_no_images(array: np.ndarray, mend: str) -> None:
    with pytest.raises(ImageError, match=mend) as caught:
        read_image(array, "camera 2")
    assert "camera 2" in str(caught.value)


def named_error(path: Path) -> str:
    """The one error of an unreadable file: it names the file and how to mend it."""
    with pytest.raises(ImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message
    mends = ("Check", "Copy", "Remove", "remove", "Replace", "Crop", "Save", "Scale", "Fill")
    assert any(word in message for word in mends)
    return message


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    assert "no image file" in named_error(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    named_error(tmp_path / "folder.png")


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    path.touch()
    assert "0 bytes" in named_error(path)
    with pytest.raises(ImageError):
        read_image(b"")


@pytest.mark.parametrize("content", [b"just a note\n" * 20, b"%PDF-1.4\n", b"GIF89a" + bytes(40)])
def test_another_file_renamed_to_png(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(content)
    assert "PNG, JPEG, BMP, TIFF, WebP" in named_error(path)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_cut_short(tmp_path: Path, rng: np.random.Generator, format: str, share: float) -> None:
    data = encoded(Image.fromarray(rng.integers(0, 255, (60, 70, 3), dtype=np.uint8)), format)
    path = tmp_path / f"part.{format.lower()}"
    path.write_bytes(data[: int(len(data) * share)])
    named_error(path)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=4),
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_flipped_bytes_read_or_raise_image_error(format: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)), format))
    for position, value in changes:
        data[position % len(data)] = value
    with suppress(ImageError):
        assert read_image(bytes(data)).ndim == 3


@pytest.mark.parametrize(("width", "height"), [(12_001, 10_000), (60_000, 60_000)])
def test_a_small_file_that_claims_many_pixels_is_refused_undecoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b""))
    assert width * height > MAX_PIXELS
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert "limit is 120 million" in named_error(path)


@pytest.mark.parametrize("value", [-1, 70_000])
def test_32_bit_integers_outside_16_bits(tmp_path: Path, value: int) -> None:
    path = tmp_path / "deep.tif"
    Image.fromarray(np.full((9, 9), value, np.int32)).save(path)
    assert "65535" in named_error(path)


@pytest.mark.parametrize("value", [np.nan, 200.0])
def test_float_tiff_that_is_no_image(tmp_path: Path, value: float) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.full((9, 9), value, np.float32)).save(path)
    named_error(path)


@pytest.mark.parametrize("source", [io.StringIO("text"), None, 3])
def test_what_is_no_source_at_all(source: object) -> None:
    with pytest.raises(ImageError):
        read_image(source, "thing")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_are_true_where_any_channel_is_above_zero(tmp_path: Path, mode: str) -> None:
    expected = np.zeros((10, 12), bool)
    expected[2:5, 3:9] = True
    if mode == "P":  # a label image: dark blue for class 1
        image = Image.fromarray(expected.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 0, 0, 2])
    elif mode in {"RGB", "RGBA"}:
        image = Image.fromarray(expected[..., None] * np.array([0, 0, 1], np.uint8)).convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(expected.astype(np.uint16))
    else:
        image = Image.fromarray(expected.astype(np.uint8) * 255).convert(mode)
    image.save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(encoded(Image.effect_noise((50, 50), 80), "PNG")[:300])
    with pytest.raises(ImageError, match=r"mask\.png"):
        read_mask(path)


def test_masks_of_one_image_are_united_and_must_be_of_one_size(tmp_path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        marked = np.zeros((4, 6 + (i == 2)), np.uint8)
        marked[i, 1:3] = 9
        Image.fromarray(marked).save(path)
    expected = np.zeros((4, 6), bool)
    expected[:2, 1:3] = True
    assert np.array_equal(read_masks(paths[:2]), expected)
    with pytest.raises(ImageError, match=r"2.png is 7 x 4 pixels, but .*0.png of the same image is 6 x 4"):
        read_masks(paths)
