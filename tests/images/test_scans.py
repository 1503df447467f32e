"""Scans: points from files, arrays and depth maps; the MVTec 3D-AD layout; ordinary pictures stay what they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import DataError, ImageError, MissingDependencyError, ParameterError
from onlygood.images import (
    DepthMap,
    ImageSource,
    as_sources,
    find_good_images,
    find_labelled_images,
    read_points,
    resize_points,
)
from onlygood.images.scans import picture_of

GREY = np.full((20, 24, 3), 99, np.uint8)


def cloud(side: tuple[int, int] = (20, 24)) -> np.ndarray:
    rows, columns = np.indices(side)
    return np.stack([columns * 1e-3, rows * 1e-3, 0.3 + 1e-4 * rows], axis=-1).astype(np.float32)


def laid_out(root: Path, kinds: dict[str, int]) -> Path:
    """An MVTec 3D-AD folder; good and defective scans, masks of all test scans."""
    for kind, count in kinds.items():
        for part in ("rgb", "xyz", "gt"):
            (root / kind / part).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(GREY).save(root / kind / "rgb" / f"{i:03}.png")
            np.save(root / kind / "xyz" / f"{i:03}.npy", cloud())
            Image.fromarray(np.full((20, 24), 255 * ("good" not in kind), np.uint8)).save(
                root / kind / "gt" / f"{i:03}.png"
            )
    return root


@pytest.mark.parametrize("nothing", [0, np.nan, np.inf])
def test_zeros_nan_and_infinity_are_missing(nothing: float) -> None:
    given = cloud().astype(np.float64)
    given[3, 4] = nothing
    points = read_points(given, "part")
    assert points.dtype == np.float32 and np.isnan(points[3, 4]).all()
    assert np.isfinite(np.delete(points.reshape(-1, 3), 3 * 24 + 4, axis=0)).all()
    np.testing.assert_array_equal(points[0], cloud()[0])


def test_a_point_with_one_coordinate_zero_is_there() -> None:
    assert np.isfinite(read_points(cloud(), "part")[0, 0]).all()  # x = y = 0


def test_one_missing_coordinate_is_a_missing_point() -> None:
    given = cloud()
    given[5, 5, 2] = np.nan
    assert np.isnan(read_points(given, "part")[5, 5]).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((20, 24, 3)), "no valid point"),
        (np.full((20, 24, 3), np.nan), "no valid point"),
        (np.zeros((20, 24)), r"shape \(20, 24\)"),
        (np.zeros((20, 24, 4)), r"shape \(20, 24, 4\)"),
        (np.ones((4, 24, 3)), "24 x 4"),
        (np.array([[["a"] * 3] * 9] * 9), "dtype"),
        (np.broadcast_to(np.float32(1), (20_000, 20_000, 3)), "limit"),
        (DepthMap(np.ones((4, 4)), 1, 1, 2, 2), "4 x 4"),
    ],
)
def test_what_is_no_scan_is_named(content: object, words: str) -> None:
    with pytest.raises(ImageError, match=words) as error:
        read_points(content, "the part")
    assert "the part" in str(error.value)


def test_resizing_takes_whole_points() -> None:
    points = cloud((30, 24))
    small = resize_points(points, 8)
    for i in range(8):
        for j in range(8):
            np.testing.assert_array_equal(small[i, j], points[i * 30 // 8, j * 24 // 8])
    assert resize_points(points, 64).shape == (64, 64, 3)


# files


def test_npy_and_tiff_hold_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", cloud())
    np.testing.assert_array_equal(read_points(tmp_path / "a.npy", "a"), cloud())
    tifffile = pytest.importorskip("tifffile", reason="the extra 3d")
    for compression in (None, "zlib"):
        tifffile.imwrite(tmp_path / "a.tiff", cloud(), photometric="rgb", compression=compression)
        np.testing.assert_array_equal(read_points(tmp_path / "a.tiff", "a"), cloud())
    (tmp_path / "cut.tiff").write_bytes((tmp_path / "a.tiff").read_bytes()[:200])
    with pytest.raises(ImageError, match=r"cut\.tiff"):
        read_points(tmp_path / "cut.tiff", "a")


def test_tiff_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tiff").write_bytes(b"II*\0")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[3d\]"):
        read_points(tmp_path / "a.tiff", "a")


@pytest.mark.parametrize("name", ["missing.npy", "broken.npy", "pickled.npy", "broken.png"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00")
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=name.replace(".", r"\.")):
        read_points(tmp_path / name, "part")


# depth maps


def test_depth_maps_are_back_projected(tmp_path: Path) -> None:
    depth = np.full((20, 24), 300, np.uint16)
    depth[4, 7], depth[5, 5] = 250, 0
    camera = {"fx": 40.0, "fy": 50.0, "cx": 11.5, "cy": 9.5, "unit": 0.001}
    points = read_points(DepthMap(depth, **camera), "part")
    np.testing.assert_allclose(points[4, 7], [(7 - 11.5) * 0.25 / 40, (4 - 9.5) * 0.25 / 50, 0.25], rtol=1e-6)
    assert np.isnan(points[5, 5]).all() and np.isnan(points).any(axis=2).sum() == 1
    # projecting them again gives the pixels back
    there = np.isfinite(points).all(axis=2)
    rows, columns = np.nonzero(there)
    x, y, z = points[there].T
    np.testing.assert_allclose(40 * x / z + 11.5, columns, atol=1e-4)
    np.testing.assert_allclose(50 * y / z + 9.5, rows, atol=1e-4)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    Image.fromarray(depth.astype(np.float32)).save(tmp_path / "depth.tif")
    for file in ("depth.png", "depth.tif"):
        if file.endswith("tif"):
            pytest.importorskip("tifffile", reason="the extra 3d")
        np.testing.assert_array_equal(read_points(DepthMap(tmp_path / file, **camera), "part"), points)


def test_bad_cameras_and_depths() -> None:
    with pytest.raises(ParameterError, match="fx=0"):
        read_points(DepthMap(np.ones((9, 9)), 0, 1, 4, 4), "part")
    with pytest.raises(ImageError, match="not \\(h, w\\)"):
        read_points(DepthMap(np.ones((9, 9, 3)), 1, 1, 4, 4), "part")
    with pytest.raises(ImageError, match="no valid point"):
        read_points(DepthMap(np.full((9, 9), np.nan), 1, 1, 4, 4), "part")


# sources and layouts


def test_a_scan_is_a_picture_with_points() -> None:
    (scan,) = as_sources([ImageSource("part", GREY, cloud())])
    assert scan.is_scan
    np.testing.assert_array_equal(scan.read(), GREY)
    np.testing.assert_array_equal(scan.read_points(), cloud())


def test_a_picture_has_no_points() -> None:
    (picture,) = as_sources(GREY)
    assert not picture.is_scan
    with pytest.raises(DataError, match="without 3-D points"):
        picture.read_points()


def test_a_scan_without_colours_is_shown_as_its_depth() -> None:
    points = cloud()
    points[2, 3] = 0
    shown = ImageSource("part", None, points).read()
    assert shown.shape == (20, 24, 3) and shown.dtype == np.uint8
    assert shown[0, 0, 0] == 255 and 0 < shown[-1, -1, 0] < 60  # near is bright, far is dark
    assert not shown[2, 3].any()
    assert (picture_of(np.ones((9, 9, 3), np.float32)) == 255).all()  # all equally far


def test_folders_of_scans(tmp_path: Path) -> None:
    root = laid_out(tmp_path, {"train/good": 3, "test/good": 1, "test/bent": 2})
    good = find_good_images(root)
    assert [path.parent.name for path in good] == ["rgb"] * 3
    sources = as_sources(good)
    assert all(source.is_scan for source in sources)
    np.testing.assert_array_equal(sources[0].read_points(), cloud())
    samples = find_labelled_images(root)
    assert [(s.defect, s.path.name, s.mask and s.mask.parent.name) for s in samples] == [
        ("bent", "000.png", "gt"),
        ("bent", "001.png", "gt"),
        ("good", "000.png", None),
    ]
    assert samples[0].mask == root / "test/bent/gt/000.png"
    assert [s.name for s in as_sources(root / "test" / "good")] == [str(root / "test/good/rgb/000.png")]


def test_a_mask_that_is_missing_is_named(tmp_path: Path) -> None:
    root = laid_out(tmp_path, {"test/good": 1, "test/bent": 2})
    (root / "test/bent/gt/001.png").unlink()
    with pytest.raises(DataError, match="001"):
        find_labelled_images(root)


def test_points_that_are_missing_are_named_when_they_are_asked_for(tmp_path: Path) -> None:
    root = laid_out(tmp_path, {"good": 2})
    (root / "good/xyz/001.npy").unlink()
    scan = as_sources(root)[1]
    np.testing.assert_array_equal(scan.read(), GREY)  # methods for pictures do not ask
    with pytest.raises(ImageError, match=r"xyz.001\.tiff"):
        scan.read_points()


def test_a_folder_of_points_alone(tmp_path: Path) -> None:
    (tmp_path / "xyz").mkdir()
    np.save(tmp_path / "xyz" / "a.npy", cloud())
    (scan,) = as_sources(tmp_path)
    assert scan.is_scan and scan.content is None
    assert scan.read().shape == (20, 24, 3)


def test_ordinary_folders_stay_ordinary(tmp_path: Path) -> None:
    for name in ("rgb/a.png", "gt/b.png", "xyz/c.png"):  # no scans: rgb has no xyz of points beside it ...
        (tmp_path / name.split("/")[0] / "in").mkdir(parents=True)
        Image.fromarray(GREY).save(tmp_path / name.replace("/", "/in/"))
    assert [s.is_scan for s in as_sources(tmp_path)] == [False] * 3
    Image.fromarray(GREY).save(tmp_path / "xyz" / "d.png")
    assert not as_sources(tmp_path / "xyz" / "d.png")[0].is_scan  # ... and a picture is no file of points
