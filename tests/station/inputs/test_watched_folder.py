"""A watched folder: nothing is skipped, nothing is inspected by halves, nothing is lost."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.station.errors import BusyError, NotRecordedError, StationError
from onlygood.station.inputs import open_inputs
from onlygood.station.settings import FolderIn, Limits, Settings


@pytest.fixture
def watch(tmp_path, inspector):
    """Starts watching a folder; everything that was started is stopped at the end."""
    started = []

    def start(**given):
        settle = given.pop("settle_seconds", 0.3)
        limits = given.pop("limits", Limits())
        given = {"name": "line", "path": tmp_path / "in", **given}
        folder = FolderIn(poll_seconds=0.02, settle_seconds=settle, **given)
        (part,) = open_inputs(Settings(tmp_path / "data", {}, folders=(folder,), limits=limits), inspector.submit)
        part.start()
        started.append(part)
        return part

    (tmp_path / "in").mkdir()
    yield start
    inspector.open.set()
    for part in started:
        part.stop(2.0)


def looks(inspector, part, png, folder: Path, eventually) -> None:
    """Returns once the folder has been looked through several times since now: a file put there now was inspected."""
    for number in range(2):
        name = f"zz-{len(inspector.recorded)}-{number}.png"
        (folder / name).write_bytes(png(1))
        eventually(lambda name=name: name in inspector.names)


def test_every_new_image_is_inspected_once_in_the_order_of_times_and_names(tmp_path, watch, inspector, png, eventually):
    files = {"c.png": 100, "b.PNG": 300, "a.png": 300, "d.bmp": 200}
    for name, moment in files.items():
        path = tmp_path / "in" / name
        Image.new("RGB", (8, 8)).save(path)
        os.utime(path, (moment, moment))
    part = watch(recipe="cap")
    eventually(lambda: part.state.count == 4)
    assert inspector.names == ["c.png", "d.bmp", "a.png", "b.PNG"]
    assert {(one.source, one.recipe) for one in inspector.recorded} == {("folder:line", "cap")}
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert sorted(inspector.names[:4]) == sorted(files)
    assert len(set(inspector.names)) == len(inspector.names) == 6
    assert (tmp_path / "in" / "c.png").is_file()
    assert part.state.running
    assert not part.state.problem


def test_what_was_inspected_is_known_after_a_restart_and_a_changed_file_is_new(
    tmp_path, watch, inspector, png, eventually
):
    (tmp_path / "in" / "a.png").write_bytes(png(10))
    (tmp_path / "in" / "b.png").write_bytes(png(10))
    part = watch()
    eventually(lambda: part.state.count == 2)
    assert part.stop()
    (tmp_path / "in" / "b.png").write_bytes(png(10, 20))
    (tmp_path / "in" / "c.png").write_bytes(png(10))
    part = watch()
    eventually(lambda: part.state.count == 2)
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert sorted(inspector.names[:4]) == ["a.png", "b.png", "b.png", "c.png"]
    assert len(inspector.names) == 6


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF"])
def test_a_slowly_written_image_is_inspected_once_and_whole(tmp_path, watch, inspector, rng, eventually, form):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, form)
    whole = file.getvalue()
    part = watch(settle_seconds=30.0)
    path = tmp_path / "in" / f"slow.{form.lower()}"
    with path.open("wb", buffering=0) as written:
        for start in range(0, len(whole), len(whole) // 3 + 1):
            written.write(whole[start : start + len(whole) // 3 + 1])
            tried = len(inspector.asked)
            if start + len(whole) // 3 + 1 < len(whole):  # the writer pauses until the half was looked at
                eventually(lambda tried=tried: len(inspector.asked) > tried or form == "TIFF")
    eventually(lambda: part.state.count == 1)
    assert inspector.images == [whole]
    assert part.state.failed == 0


def test_a_file_of_full_length_whose_content_is_still_to_come_is_not_inspected(
    tmp_path, watch, inspector, rng, png, eventually
):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, "BMP")
    whole = file.getvalue()
    part = watch(settle_seconds=30.0)
    path = tmp_path / "in" / "hollow.bmp"
    path.write_bytes(whole[: len(whole) // 2].ljust(len(whole), b"\0"))
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert "hollow.bmp" not in inspector.asked
    path.write_bytes(whole)
    eventually(lambda: "hollow.bmp" in inspector.names)
    assert whole in inspector.images


def test_an_image_that_is_black_at_its_end_is_inspected_a_little_later(tmp_path, watch, inspector, eventually):
    Image.new("RGB", (64, 64)).save(tmp_path / "in" / "black.bmp")
    watch()
    eventually(lambda: inspector.names == ["black.bmp"])


def test_hidden_and_temporary_names_links_folders_and_other_files_are_left_alone(
    tmp_path, watch, inspector, png, eventually
):
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(10))
    folder = tmp_path / "in"
    for name in (".a.png", "~a.png", "a.png.part", "a.tmp", "b.part.png", "c.TMP.png", "notes.txt", "png"):
        (folder / name).write_bytes(png(10))
    (folder / "link.png").symlink_to(outside)
    (folder / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "sub.png").mkdir()
    (folder / "sub.png" / "inner.png").write_bytes(png(10))
    os.mkfifo(folder / "pipe.png")
    part = watch(sort_into=tmp_path / "out")
    looks(inspector, part, png, folder, eventually)
    assert [name for name in inspector.names if not name.startswith("zz")] == []
    assert outside.is_file()
    assert "link" in part.state.last_error
    (folder / "b.part.png").rename(folder / "b.png")
    eventually(lambda: "b.png" in inspector.names)


def test_sorted_files_lie_under_their_verdict_and_collisions_get_a_suffix(tmp_path, watch, inspector, png, eventually):
    out = tmp_path / "out"
    (out / "ng").mkdir(parents=True)
    (out / "ng" / "a.png").write_bytes(b"an older one")
    for name, level in {"a.png": 250, "b.png": 150, "c.png": 10}.items():
        (tmp_path / "in" / name).write_bytes(png(level))
    part = watch(sort_into=out)
    eventually(lambda: not list((tmp_path / "in").iterdir()))
    assert (out / "ng" / "a.png").read_bytes() == b"an older one"
    assert (out / "ng" / "a-1.png").read_bytes() == png(250)
    assert (out / "review" / "b.png").read_bytes() == png(150)
    assert (out / "ok" / "c.png").read_bytes() == png(10)
    (tmp_path / "in" / "c.png").write_bytes(png(10))  # the same again is a new image
    eventually(lambda: (out / "ok" / "c-1.png").is_file())
    assert part.state.count == 4


def test_files_are_moved_only_after_their_decision_is_recorded(tmp_path, watch, inspector, png, eventually):
    inspector.open.clear()
    (tmp_path / "in" / "a.png").write_bytes(png(10))
    part = watch(sort_into=tmp_path / "out")
    eventually(lambda: part.state.waiting == 1)
    assert not part.stop(0.2) or (tmp_path / "in" / "a.png").is_file()
    assert (tmp_path / "in" / "a.png").is_file()
    assert not (tmp_path / "out" / "ok").exists()


def test_a_file_that_is_no_image_is_reported_once_and_left(tmp_path, watch, inspector, png, eventually, logged):
    (tmp_path / "in" / "bad.png").write_bytes(b"this is not an image")
    (tmp_path / "in" / "cut.png").write_bytes(png(10, 64)[:-40])
    (tmp_path / "in" / "empty.png").write_bytes(b"")
    part = watch()
    eventually(lambda: part.state.failed == 3)
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert part.state.failed == 3
    assert "".join(logged).count("bad.png was not inspected") == 1
    assert (tmp_path / "in" / "bad.png").is_file()
    assert not part.state.problem
    assert part.stop()
    asked = len(inspector.asked)
    part = watch()
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert [name for name in inspector.asked[asked:] if not name.startswith("zz")] == []
    (tmp_path / "in" / "bad.png").write_bytes(png(10))
    eventually(lambda: "bad.png" in inspector.names)


def test_a_file_that_is_no_image_or_too_large_is_sorted_as_an_error(tmp_path, watch, inspector, eventually):
    (tmp_path / "in" / "bad.png").write_bytes(b"this is not an image")
    (tmp_path / "in" / "big.png").write_bytes(bytes(2000))
    part = watch(sort_into=tmp_path / "out", limits=Limits(upload_bytes=1000))
    eventually(lambda: part.state.failed == 2)
    eventually(lambda: not list((tmp_path / "in").iterdir()))
    assert sorted(path.name for path in (tmp_path / "out" / "error").iterdir()) == ["bad.png", "big.png"]
    assert "big.png" not in inspector.asked


def test_a_busy_station_and_a_record_that_is_gone_skip_nothing(tmp_path, watch, inspector, png, eventually):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(png(10))
    inspector.errors = [BusyError("many wait", 0), BusyError("many wait", 0)]
    inspector.failing = [NotRecordedError("the disk is full", 1), RuntimeError("the engine stumbled")]
    part = watch(sort_into=tmp_path / "out")
    eventually(lambda: "disk is full" in part.state.last_error or "stumbled" in part.state.last_error)
    assert len(list((tmp_path / "in").iterdir())) + len(inspector.names) >= 3
    eventually(lambda: part.state.count == 3)
    assert sorted(inspector.names) == ["a.png", "b.png", "c.png"]
    eventually(lambda: not part.state.problem)
    eventually(lambda: len(list((tmp_path / "out" / "ok").iterdir())) == 3)


def test_a_folder_that_vanishes_is_told_and_watched_again_when_it_is_back(tmp_path, watch, inspector, png, eventually):
    (tmp_path / "in" / "a.png").write_bytes(png(10))
    part = watch()
    eventually(lambda: part.state.count == 1)
    (tmp_path / "in").rename(tmp_path / "away")
    eventually(lambda: "cannot be read" in part.state.problem)
    assert str(tmp_path / "in") in part.state.problem
    (tmp_path / "in").mkdir()  # an empty place where the share was
    eventually(lambda: not part.state.problem)
    (tmp_path / "in").rmdir()
    (tmp_path / "away" / "b.png").write_bytes(png(10))
    (tmp_path / "away").rename(tmp_path / "in")
    eventually(lambda: part.state.count == 2)
    assert inspector.names == ["a.png", "b.png"]


def test_a_place_to_sort_into_that_cannot_be_written_is_told_and_nothing_is_inspected_twice(
    tmp_path, watch, inspector, png, eventually, monkeypatch
):
    monkeypatch.setattr("onlygood.station.inputs.folder.MOVE_AGAIN_SECONDS", 0.05)
    (tmp_path / "out").write_bytes(b"a file where the folder should be")
    (tmp_path / "in" / "a.png").write_bytes(png(250))
    part = watch(sort_into=tmp_path / "out")
    eventually(lambda: "cannot be moved" in part.state.problem)
    (tmp_path / "out").unlink()
    eventually(lambda: (tmp_path / "out" / "ng" / "a.png").is_file())
    eventually(lambda: not part.state.problem)
    assert inspector.names == ["a.png"]


def test_a_file_that_was_recorded_and_not_moved_is_moved_after_a_restart(tmp_path, watch, inspector, png, eventually):
    (tmp_path / "out").write_bytes(b"a file where the folder should be")
    (tmp_path / "in" / "a.png").write_bytes(png(250))
    part = watch(sort_into=tmp_path / "out")
    eventually(lambda: "cannot be moved" in part.state.problem)
    assert part.stop()
    (tmp_path / "out").unlink()
    watch(sort_into=tmp_path / "out")
    eventually(lambda: (tmp_path / "out" / "ng" / "a.png").is_file())
    assert inspector.names == ["a.png"]


def test_an_image_that_another_overwrites_while_it_is_inspected_is_not_taken_for_it(
    tmp_path, watch, inspector, png, eventually
):
    path = tmp_path / "in" / "a.png"
    path.write_bytes(png(10))
    inspector.open.clear()
    watch(sort_into=tmp_path / "out")
    eventually(lambda: inspector.entered)
    (tmp_path / "in" / "new.part").write_bytes(png(250))
    (tmp_path / "in" / "new.part").replace(path)
    inspector.open.set()
    eventually(lambda: (tmp_path / "out" / "ng" / "a.png").is_file())
    assert (tmp_path / "out" / "ng" / "a.png").read_bytes() == png(250)
    assert not list((tmp_path / "out").glob("ok/*"))


def test_a_name_that_is_no_text_is_inspected_and_moved(tmp_path, watch, inspector, png, eventually):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / "in" / name).write_bytes(png(10))
    except OSError:
        pytest.skip("this disk has only names that are text")
    watch(sort_into=tmp_path / "out")
    eventually(lambda: (tmp_path / "out" / "ok" / name).is_file())
    inspector.names[0].encode("utf-8")


def test_a_list_of_what_was_seen_that_was_cut_off_or_damaged_costs_no_more_than_an_inspection(
    tmp_path, watch, inspector, png, eventually
):
    (tmp_path / "in" / "a.png").write_bytes(png(10))
    (tmp_path / "in" / "b.png").write_bytes(png(10))
    part = watch()
    eventually(lambda: part.state.count == 2)
    assert part.stop()
    (memory,) = (tmp_path / "data" / "inputs").iterdir()
    memory.write_bytes(b"\xff\x00 rubbish\n[1]\n3\n" + memory.read_bytes()[:-5])
    part = watch()
    eventually(lambda: part.state.count == 1)
    assert part.stop()
    part = watch()
    looks(inspector, part, png, tmp_path / "in", eventually)
    assert sorted(inspector.names[:3]) in (["a.png", "b.png", "b.png"], ["a.png", "a.png", "b.png"])
    assert len(inspector.names) == 5


KILLED = """
    import sys, threading, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from conftest import Inspector
    from onlygood.station.inputs import open_inputs
    from onlygood.station.settings import FolderIn, Settings

    root = Path(sys.argv[1])
    class Recording(Inspector):
        def _inspect(self, *given):
            answer = super()._inspect(*given)
            with (root / "record").open("a") as record:
                record.write(answer.decision.name + "\\n")
            return answer

    folder = FolderIn("line", root / "in", sort_into=root / "out", poll_seconds=0.01)
    (part,) = open_inputs(Settings(root / "data", {}, folders=(folder,)), Recording().submit)
    part.start()
    print("started", flush=True)
    time.sleep(30)
"""


def test_killed_at_any_moment_it_loses_no_file(tmp_path, png, eventually):
    (tmp_path / "in").mkdir()
    whole = {f"{number:03}.png": png(number) for number in range(60)}
    for name, data in whole.items():
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "run.py").write_text(textwrap.dedent(KILLED))
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), str(Path(__file__).parent)]

    def sorted_files() -> list[Path]:
        return [path for path in (tmp_path / "out").glob("*/*") if not path.name.startswith(".")]

    for _ in range(3):  # killed after the first files, each time
        before = len(sorted_files())
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        eventually(lambda before=before: len(sorted_files()) > before)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        left = {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}
        there = [path.read_bytes() for path in sorted_files()]
        assert all(data in there or left.get(name) == data for name, data in whole.items())
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    eventually(lambda: not list((tmp_path / "in").iterdir()))
    process.kill()
    process.wait()
    there = [path.read_bytes() for path in sorted_files()]
    assert set(there) == set(whole.values())
    recorded = (tmp_path / "record").read_text().split()
    assert set(recorded) == set(whole)


@pytest.mark.parametrize("name", ["", "line"])
def test_names_that_are_missing_or_double_are_refused(tmp_path, inspector, name):
    folders = (FolderIn("line", tmp_path / "a"), FolderIn(name, tmp_path / "b"))
    with pytest.raises(StationError, match="name"):
        open_inputs(Settings(tmp_path, {}, folders=folders), inspector.submit)


def test_a_folder_that_would_be_sorted_into_itself_is_refused(tmp_path, inspector):
    folder = FolderIn("line", tmp_path / "ok", sort_into=tmp_path)
    with pytest.raises(StationError, match="watched itself"):
        open_inputs(Settings(tmp_path, {}, folders=(folder,)), inspector.submit)


def test_files_that_are_not_there_now_are_remembered_up_to_a_bound(tmp_path):
    from onlygood.station.inputs.seen import Seen

    seen = Seen(tmp_path / "seen.jsonl")
    for number in range(3000):
        seen.add(f"{number}.png", 1, number, "ok")
    seen.keep({"0.png"}, absent=10)
    again = Seen(tmp_path / "seen.jsonl")
    for one in (seen, again):
        assert one.outcome("0.png", 1, 0) == "ok"
        assert one.outcome("2999.png", 1, 2999) == "ok"
        assert one.outcome("2990.png", 1, 2990) == "ok"
        assert one.outcome("2989.png", 1, 2989) == ""
        assert one.outcome("0.png", 2, 0) == ""
    assert len((tmp_path / "seen.jsonl").read_text().splitlines()) == 11
