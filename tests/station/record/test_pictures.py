"""Kept pictures: by policy, within the quota and in its order, never in the way of a decision."""

from __future__ import annotations

import errno
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from onlygood.errors import ParameterError
from onlygood.inspection import Verdict
from onlygood.reports.colours import RAMP
from onlygood.station.decisions import new_id
from onlygood.station.errors import BusyError, NotFoundError
from onlygood.station.record import drawing
from onlygood.station.record import pictures as module
from onlygood.station.record.pictures import Pictures


class Answers:
    """What the pictures know of the record: who was answered, and what they told it."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        self.removed: list[str] = []
        self.gone = False

    def unanswered(self, ids: list[str]) -> set[str]:
        if self.gone:
            raise BusyError("gone")
        return set(ids) - self.answered

    def pictures_removed(self, ids: list[str]) -> None:
        if self.gone:
            raise BusyError("gone")
        self.removed += ids


def png(width: int = 20, height: int = 10, seed: int = 0, kind: str = "PNG") -> bytes:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def as_found(decision_id: str, kept: tuple[str, str], width: int = 20, height: int = 10) -> dict:
    return {"id": decision_id, "picture": kept[0], "map_picture": kept[1], "width": width, "height": height}


@pytest.mark.parametrize("keep", ["all", "review", "none"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_policy_says_whose_pictures_are_kept(tmp_path: Path, keep: str, verdict: Verdict) -> None:
    pictures, one = Pictures(tmp_path, keep, 10**6, Answers()), new_id()
    kept = pictures.keep(one, verdict, png(), "png", np.ones((4, 4), np.float32), 0.5)
    wanted = keep == "all" or (keep == "review" and verdict is not Verdict.OK)
    assert all(kept) if wanted else kept == ("", "")
    if wanted:
        assert pictures.image(as_found(one, kept)) == (png(), "image/png")
    else:
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        for ask in (pictures.image, pictures.overlay_png, pictures.thumbnail):
            with pytest.raises(NotFoundError):
                ask(as_found(one, kept))


def test_other_policies_and_ids_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="all, review, none"):
        Pictures(tmp_path, "some", 10**6, Answers())
    pictures = Pictures(tmp_path, "all", 10**6, Answers())
    for bad in ("../../../etc/passwd", "A" * 32, "", "0" * 31):
        with pytest.raises(ParameterError):
            pictures.keep(bad, Verdict.OK, png(), "png")


@pytest.mark.parametrize(
    "name", ["../record.sqlite", "/etc/passwd", "ok/../../x.png", "ok/000000/" + "1" * 32 + ".png"]
)
def test_a_record_that_was_tampered_with_opens_no_other_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "record.sqlite").write_bytes(b"secret")
    pictures = Pictures(tmp_path, "all", 10**6, Answers())
    for ask in (pictures.image, pictures.overlay_png, pictures.thumbnail):
        with pytest.raises(NotFoundError):
            ask(as_found(new_id(), (name, name)))


def test_a_suffix_of_no_known_kind_is_kept_under_a_neutral_one(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, "all", 10**6, Answers())
    for suffix, ending in ((".JPEG", "jpg"), ("tiff", "tif"), ("html", "bin"), ("../x", "bin"), ("", "bin")):
        picture, _ = pictures.keep(new_id(), Verdict.NG, png(), suffix)
        assert picture.endswith(f".{ending}") and (tmp_path / "pictures" / picture).is_file()


SIZE = len(png())


def in_order(kinds: list[tuple[Verdict, bool]]) -> list[int]:
    """Places in the order in which they must go, said once more in other words."""

    def key(place: int) -> tuple[int, int]:
        verdict, answered = kinds[place]
        if verdict is Verdict.OK:
            return 0, place
        return (2, place) if verdict is Verdict.REVIEW and not answered else (1, place)

    return sorted(range(len(kinds)), key=key)


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(list(Verdict)), st.booleans()), min_size=3, max_size=14),
    room=st.integers(2, 13),
    restart=st.booleans(),
)
def test_the_quota_removes_the_oldest_ok_first_and_open_reviews_last(
    tmp_path_factory, kinds: list[tuple[Verdict, bool]], room: int, restart: bool
) -> None:
    folder, record = tmp_path_factory.mktemp("data"), Answers()
    room = min(room, len(kinds) - 1)
    pictures = Pictures(folder, "all", 10**9, record)
    ids = []
    for verdict, answered in kinds:
        ids.append(new_id())
        assert pictures.keep(ids[-1], verdict, png(), "png")[0]
        if answered:
            record.answered.add(ids[-1])
    if restart:
        pictures = Pictures(folder, "all", 10**9, record)
    pictures._limit = len(kinds) * SIZE
    last = new_id()
    pictures._limit = room * SIZE + SIZE // 2
    kept = pictures.keep(last, Verdict.OK, png(), "png")
    expected = [ids[place] for place in in_order(kinds)][: len(kinds) - (room - 1)]
    assert record.removed == expected
    left = {path.name.split(".")[0] for path in (folder / "pictures").rglob("*.png")}
    assert left == {*ids, last} - set(expected)
    assert pictures.state["bytes"] == len(left) * SIZE <= pictures._limit and pictures.state["pictures"] == len(left)
    assert pictures.image(as_found(last, kept))[0] == png()


def test_the_quota_holds_at_every_moment(tmp_path: Path) -> None:
    limit = 12 * SIZE
    pictures = Pictures(tmp_path, "all", limit, Answers())
    for verdict, _ in zip(itertools.cycle(Verdict), range(60)):
        assert pictures.keep(new_id(), verdict, png(), "png")[0]
        held = sum(path.stat().st_size for path in (tmp_path / "pictures").rglob("*.png"))
        assert held == pictures.state["bytes"] <= limit


def test_a_picture_larger_than_the_quota_removes_no_others(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, "all", 3 * SIZE, Answers())
    first = new_id()
    pictures.keep(first, Verdict.OK, png(), "png")
    assert pictures.keep(new_id(), Verdict.NG, bytes(4 * SIZE), "png") == ("", "")
    assert "does not fit" in pictures.state["message"] and pictures.state["pictures"] == 1


def test_without_the_database_open_reviews_are_taken_for_granted_and_it_is_told_later(tmp_path: Path) -> None:
    record = Answers()
    pictures = Pictures(tmp_path, "all", 5 * SIZE, record)
    ids = [new_id() for _ in range(4)]
    for one, verdict in zip(ids, (Verdict.REVIEW, Verdict.REVIEW, Verdict.NG, Verdict.OK)):
        pictures.keep(one, verdict, png(), "png")
    record.gone = True
    for _ in range(3):
        pictures.keep(new_id(), Verdict.REVIEW, png(), "png")
    assert record.removed == [] and pictures.state["pictures"] <= 5
    record.gone = False
    record.answered.add(ids[1])
    pictures.keep(new_id(), Verdict.NG, png(), "png")
    assert record.removed == [ids[3], ids[2], ids[1]]


def test_a_full_disk_keeps_no_picture_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures(tmp_path, "all", 10**6, Answers())

    def full(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", full)
        assert pictures.keep(new_id(), Verdict.NG, png(), "png") == ("", "")
        assert "No space left" in pictures.state["message"]
        assert pictures.state["bytes"] == 0 and not list((tmp_path / "pictures").rglob("*.*"))
    assert pictures.keep(new_id(), Verdict.NG, png(), "png")[0] and pictures.state["message"] == ""


def test_half_written_files_of_a_killed_program_go_at_the_start(tmp_path: Path) -> None:
    one = new_id()
    folder = tmp_path / "pictures" / "ok" / one[:6]
    folder.mkdir(parents=True)
    (folder / f".{one}.png.7.part").write_bytes(b"half")
    pictures = Pictures(tmp_path, "all", 10**6, Answers())
    assert pictures.state["pictures"] == 0 and not list(folder.iterdir())


grey_maps = arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(-50, 50, width=32))


@settings(max_examples=100, deadline=None)
@given(grey_maps, st.floats(-20, 20))
def test_the_kept_map_tells_what_is_above_the_threshold(values: np.ndarray, threshold: float) -> None:
    kept = drawing.map_to_png(values, threshold)
    assert kept is not None
    grey = np.asarray(Image.open(io.BytesIO(kept)))
    assert grey.dtype == np.uint8 and grey.shape == values.shape
    np.testing.assert_array_equal(grey > 128, values > np.float32(threshold))
    order = np.argsort(values, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_the_kept_map_is_zero_at_zero_and_full_at_twice_the_threshold() -> None:
    kept = drawing.map_to_png(np.array([[0, 1, 2, 4, 5, 99]], np.float32), 2.0)
    assert kept is not None
    assert np.asarray(Image.open(io.BytesIO(kept))).tolist() == [[0, 64, 128, 255, 255, 255]]
    assert drawing.map_to_png(np.ones((2, 2), np.float32), float("inf")) is None


def test_a_large_map_is_reduced_and_keeps_its_peak() -> None:
    values = np.zeros((3000, 2100), np.float32)
    values[1234, 567] = 9
    kept = drawing.map_to_png(values, 4.0)
    assert kept is not None
    grey = np.asarray(Image.open(io.BytesIO(kept)))
    assert grey.shape == (1000, 700) and grey[411, 189] == 255 and (grey > 128).sum() == 1


def test_the_overlay_is_transparent_up_to_the_threshold_and_has_the_images_shape(tmp_path: Path) -> None:
    pictures, one = Pictures(tmp_path, "all", 10**7, Answers()), new_id()
    values = np.zeros((8, 8), np.float32)
    values[:, 4:] = 6
    kept = pictures.keep(one, Verdict.NG, png(40, 20), "png", values, 3.0)
    over = np.asarray(Image.open(io.BytesIO(pictures.overlay_png(as_found(one, kept, 40, 20)))))
    assert over.shape == (20, 40, 4)
    assert (over[:, :15] == 0).all() and (over[:, 25:, 3] == 255).all()
    assert (over[:, 30:, :3] == RAMP[255]).all()
    large = np.asarray(Image.open(io.BytesIO(pictures.overlay_png(as_found(one, kept, 4000, 2000)))))
    assert large.shape == (512, 1024, 4)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_thumbnails_are_small_and_made_once(tmp_path: Path, kind: str) -> None:
    pictures, one = Pictures(tmp_path, "all", 10**8, Answers()), new_id()
    kept = pictures.keep(one, Verdict.NG, png(400, 300, kind=kind), kind.lower())
    found = as_found(one, kept)
    small = pictures.thumbnail(found)
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == ("JPEG", (160, 120))
    (cached,) = (tmp_path / "thumbnails").rglob("*.jpg")
    assert cached.read_bytes() == small == pictures.thumbnail(found)
    pictures._remove("ng", one)
    assert not list((tmp_path / "thumbnails").rglob("*.jpg"))
    with pytest.raises(NotFoundError):
        pictures.thumbnail(found)


def test_a_thumbnail_looks_like_its_image(tmp_path: Path) -> None:
    """Also of a JPEG, which is decoded at a part of its size."""
    y, x = np.mgrid[:600, :900]
    image = np.stack([x / 900 * 255, y / 600 * 255, np.full_like(x, 90)], axis=2).astype(np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((160, 107), Image.Resampling.BOX)).astype(int)
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind)
        with Image.open(io.BytesIO(drawing.thumbnail_jpeg(file.getvalue(), 160))) as small:
            assert np.abs(np.asarray(small).astype(int) - expected).mean() < 4


def test_a_picture_that_browsers_do_not_show_is_shown_as_png(tmp_path: Path) -> None:
    pictures, one = Pictures(tmp_path, "all", 10**8, Answers()), new_id()
    found = as_found(one, pictures.keep(one, Verdict.NG, png(kind="TIFF"), "tif"))
    assert pictures.image(found) == (png(kind="TIFF"), "image/tiff")
    shown, media = pictures.image(found, display=True)
    assert media == "image/png"
    np.testing.assert_array_equal(Image.open(io.BytesIO(shown)), Image.open(io.BytesIO(png())))


def test_a_damaged_picture_is_not_found_rather_than_a_fault(tmp_path: Path) -> None:
    pictures, one = Pictures(tmp_path, "all", 10**8, Answers()), new_id()
    kept = pictures.keep(one, Verdict.NG, png(400, 300), "png", np.ones((4, 4), np.float32), 0.5)
    for name in kept:
        (tmp_path / "pictures" / name).write_bytes(b"not a picture")
    with pytest.raises(NotFoundError, match="cannot be read"):
        pictures.thumbnail(as_found(one, kept))
    with pytest.raises(NotFoundError, match="cannot be read"):
        pictures.overlay_png(as_found(one, kept))
