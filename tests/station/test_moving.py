"""Moving image files: never over another one, never lost, also to another disk and where disks know no links."""

from __future__ import annotations

import errno
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onlygood.station.moving import ChangedError, copy, move, signature


@pytest.fixture(params=["links", "no links", "another disk"])
def folder(request, tmp_path, monkeypatch):
    """Where files are moved to: on the same disk, on one without links, on another one."""
    if request.param == "another disk":
        shared = Path("/dev/shm")
        if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second disk (/dev/shm)")
        with tempfile.TemporaryDirectory(dir=shared) as name:
            yield Path(name) / "out"
        return
    if request.param == "no links":

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    yield tmp_path / "out"


def listed(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_moved_file_is_whole_keeps_its_time_and_leaves_its_place(tmp_path, folder):
    source = tmp_path / "a.png"
    source.write_bytes(b"content")
    os.utime(source, (1000, 2000))
    target = move(source, folder, signature(source.lstat()))
    assert target == folder / "a.png"
    assert not source.exists()
    assert listed(folder) == {"a.png": b"content"}
    assert target.stat().st_mtime == 2000


def test_no_file_is_overwritten_however_many_have_one_name(tmp_path, folder):
    moved = set()
    for number in range(120):
        source = tmp_path / "a.b.png"
        source.write_bytes(b"%d" % number)
        moved.add(move(source, folder).name)
    assert len(moved) == 120
    assert sorted(listed(folder).values()) == sorted(b"%d" % number for number in range(120))
    assert {"a.b.png", "a.b-1.png", "a.b-99.png"} < moved
    assert all(name.startswith("a.b") and name.endswith(".png") for name in moved)


def test_many_who_move_to_one_name_at_once_lose_nothing(tmp_path, folder):
    sources = []
    for number in range(40):
        (tmp_path / f"from-{number}").mkdir()
        sources.append(tmp_path / f"from-{number}" / "a.png")
        sources[-1].write_bytes(b"%d" % number)
    with ThreadPoolExecutor(8) as pool:
        targets = list(pool.map(lambda source: move(source, folder), sources))
    assert len(set(targets)) == 40
    assert sorted(listed(folder).values()) == sorted(b"%d" % number for number in range(40))


def test_a_file_that_is_not_the_expected_one_stays(tmp_path, folder):
    source = tmp_path / "a.png"
    source.write_bytes(b"old")
    expected = signature(source.lstat())
    source.write_bytes(b"newer")
    with pytest.raises(ChangedError):
        move(source, folder, expected)
    assert source.read_bytes() == b"newer"
    assert not listed(folder)


def test_a_file_that_changes_while_it_is_moved_stays(tmp_path, folder, monkeypatch):
    from onlygood.station import moving

    source = tmp_path / "a.png"
    source.write_bytes(b"old")
    expected = signature(source.lstat())
    link = moving._link

    def overtaken(one: Path, where: Path, name: str) -> Path | None:
        target = link(one, where, name)
        if one == source:  # another program replaces the file in this very moment
            (tmp_path / "new").write_bytes(b"newer")
            (tmp_path / "new").replace(source)
        return target

    monkeypatch.setattr(moving, "_link", overtaken)
    with pytest.raises(ChangedError):
        move(source, folder, expected)
    assert source.read_bytes() == b"newer"
    assert not listed(folder)


def test_a_file_that_cannot_be_moved_stays_and_leaves_nothing_behind(tmp_path, folder, monkeypatch):
    source = tmp_path / "a.png"
    source.write_bytes(b"content")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onlygood.station.moving.os.link", full)
    monkeypatch.setattr("onlygood.station.moving.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        move(source, folder)
    assert source.read_bytes() == b"content"
    assert not listed(folder)


def test_a_copy_leaves_the_source(tmp_path, folder):
    source = tmp_path / "a.png"
    source.write_bytes(b"content")
    folder.mkdir()
    assert copy(source, folder, "b.png") == folder / "b.png"
    assert copy(source, folder, "b.png") == folder / "b-1.png"
    assert source.exists()
    assert listed(folder) == {"b.png": b"content", "b-1.png": b"content"}


@pytest.mark.parametrize("refused", ["open", "fsync"])
def test_a_share_that_cannot_flush_its_list_of_files_is_no_error(tmp_path, monkeypatch, refused):
    """The copy is there: an error now would only have it copied once more."""
    (tmp_path / "out").mkdir()
    source = tmp_path / "a.png"
    source.write_bytes(b"content")
    real = getattr(os, refused)
    asked = []

    def refuse(what, *more):
        if Path(what if refused == "open" else f"/proc/self/fd/{what}").is_dir():
            asked.append(what)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(what, *more)

    monkeypatch.setattr(os, refused, refuse)
    target = copy(source, tmp_path / "out", "a.png")
    assert asked and target.read_bytes() == b"content"
    assert listed(tmp_path / "out") == {"a.png": b"content"}
