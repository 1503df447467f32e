"""Copies of kept images under their verdict."""

from __future__ import annotations

import pytest

from onlygood.inspection import Verdict
from onlygood.station.errors import StationError
from onlygood.station.outputs import open_outputs
from onlygood.station.settings import Settings, SortOut


@pytest.fixture
def sort_out(tmp_path):
    outputs = []

    def start(**given):
        settings = Settings(tmp_path / "data", {}, sort_out=SortOut(tmp_path / "sorted", **given))
        (output,) = open_outputs(settings)
        outputs.append(output)
        output.start()
        return output

    yield start
    for output in outputs:
        output.stop(0.5)


@pytest.fixture
def kept(tmp_path, decide):
    """Makes a decision whose picture is kept."""
    pictures = tmp_path / "data" / "pictures" / "2026"
    pictures.mkdir(parents=True)

    def make(content: bytes, **given):
        decision = decide(**given)
        (pictures / f"{decision.id}.jpg").write_bytes(content)
        return decide(**{**given, "id": decision.id, "picture": f"2026/{decision.id}.jpg"})

    return make


def test_images_are_copied_under_their_verdict_by_their_id(tmp_path, sort_out, kept, eventually):
    output = sort_out()
    sent = {
        "ok": kept(b"one", verdict=Verdict.OK, name="../../evil.png"),
        "review": kept(b"two", verdict=Verdict.REVIEW),
        "ng": kept(b"three", verdict=Verdict.NG),
    }
    for decision in sent.values():
        output.send(decision)
    eventually(lambda: output.state.count == 3)
    there = {path.relative_to(tmp_path / "sorted").as_posix() for path in (tmp_path / "sorted").rglob("*.*")}
    assert there == {f"{folder}/{decision.id}.jpg" for folder, decision in sent.items()}
    assert (tmp_path / "sorted" / "ok" / f"{sent['ok'].id}.jpg").read_bytes() == b"one"


def test_the_same_decision_again_makes_no_second_copy(tmp_path, sort_out, kept, eventually):
    output = sort_out()
    decision = kept(b"one")
    output.send(decision)
    output.send(decision)
    eventually(lambda: output.state.count == 2)
    assert len(list((tmp_path / "sorted" / "ng").iterdir())) == 1


def test_a_place_that_cannot_be_written_is_told_and_tried_again(tmp_path, sort_out, kept, eventually):
    (tmp_path / "sorted").write_bytes(b"a file where the folder should be")
    output = sort_out()
    decision = kept(b"one")
    output.send(decision)
    eventually(lambda: "cannot be written" in output.state.problem)
    (tmp_path / "sorted").unlink()
    eventually(lambda: output.state.count == 1)
    assert (tmp_path / "sorted" / "ng" / f"{decision.id}.jpg").read_bytes() == b"one"


def test_images_that_were_not_kept_or_are_gone_do_not_hold_up_the_others(tmp_path, sort_out, kept, decide, eventually):
    output = sort_out()
    output.send(decide(picture=""))
    output.send(decide(picture="2026/gone.png"))
    output.send(kept(b"one"))
    eventually(lambda: output.state.count == 1)
    assert output.state.failed == 2


@pytest.mark.parametrize(
    ("keep", "verdicts", "allowed"),
    [
        ("all", ("OK", "REVIEW", "NG"), True),
        ("review", ("REVIEW", "NG"), True),
        ("review", ("OK", "NG"), False),
        ("none", ("NG",), False),
    ],
)
def test_what_is_not_kept_cannot_be_asked_for(tmp_path, keep, verdicts, allowed):
    settings = Settings(tmp_path, {}, keep=keep, sort_out=SortOut(tmp_path / "sorted", verdicts))
    if allowed:
        assert len(open_outputs(settings)) == 1
    else:
        with pytest.raises(StationError, match="keep"):
            open_outputs(settings)
