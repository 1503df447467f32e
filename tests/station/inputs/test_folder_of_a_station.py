"""A watched folder of a whole station: from the file to the record, the sorted file and the copy."""

from __future__ import annotations

from dataclasses import replace

from onlygood.station.settings import FolderIn, SortOut


def test_files_are_decided_recorded_sorted_and_sent_on(tmp_path, make_station, settings, good, dented, eventually):
    (tmp_path / "in").mkdir()
    folder = FolderIn("line", tmp_path / "in", sort_into=tmp_path / "done", poll_seconds=0.05, settle_seconds=1.0)
    station = make_station(replace(settings, folders=(folder,), sort_out=SortOut(tmp_path / "copies")))
    files = {"good.png": good, "dented.png": dented, "cut.png": good[: len(good) // 2], "text.png": b"no image"}
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    station.start()
    eventually(lambda: not list((tmp_path / "in").iterdir()), 60.0)
    there = {path.name: path for path in (tmp_path / "done").glob("*/*")}
    assert {name: path.read_bytes() for name, path in there.items()} == files
    assert there["dented.png"].parent.name == "ng"
    assert there["cut.png"].parent.name == there["text.png"].parent.name == "error"
    (sorted_out,) = station.outputs
    eventually(lambda: sorted_out.state.count == 2)
    copies = list((tmp_path / "copies").glob("*/*"))
    decisions = {one["name"]: one for one in (station.record.decision(path.stem) for path in copies)}
    assert sorted(decisions) == ["dented.png", "good.png"]
    for name, decision in decisions.items():
        assert decision["source"] == "folder:line"
        assert decision["verdict"].lower() == there[name].parent.name
    status = station.status()
    assert [one["name"] for one in status["connections"]] == ["folder:line", "sorted"]
    assert (status["connections"][0]["count"], status["connections"][0]["failed"]) == (2, 2)
