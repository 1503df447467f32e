"""Old model files go, and never one that is needed: on duty, to roll back to, a candidate, of another recipe."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onlygood
from onlygood.errors import ParameterError
from onlygood.modelfile import read_parts, write_parts
from onlygood.station.errors import BusyError
from onlygood.station.model_keeping import kept
from onlygood.station.record.changes import KnownModel
from onlygood.station.settings import Settings
from onlygood.station.settings_file import read_settings

Another = Callable[[int], bytes]
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def another(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Another:
    """The bytes of a good model file; each number is another one."""
    parts, folder = read_parts(models["a"]), tmp_path_factory.mktemp("others")

    def make(number: int) -> bytes:
        path = folder / f"{number}.og"
        if not path.exists():
            write_parts(path, replace(parts, manifest={**parts.manifest, "version": f"0.0.{number}"}))
        return path.read_bytes()

    return make


def send(station: Any, data: bytes, recipe: str = "plate") -> str:
    """Put a model on duty as the REST interface does; its SHA-256."""
    sha256 = station.recipes.files.take_in(io.BytesIO(data))
    station.recipes.replace(recipe, sha256, "anna", "sent")
    return str(sha256)


def files(data: Path) -> set[str]:
    """What lies in the folder of model files, but for the note of what was given."""
    return {path.name.removesuffix(".og") for path in (data / "models").iterdir()} - {"given.json"}


def removed(station: Any) -> list[str]:
    """Models that the audit trail says were removed, the oldest first."""
    trail = reversed(station.record.audit_trail(500))
    return [one["detail"]["sha256"] for one in trail if one["action"] == "remove model"]


def test_the_last_models_stay_and_older_ones_go(
    make_station: Make, settings: Settings, another: Another, good: bytes, logged: list[str]
) -> None:
    from starlette.testclient import TestClient

    from onlygood.station.web.app import create_app

    station = make_station(replace(settings, keep_models=2))
    first = station.recipes.get().model
    sent = [send(station, another(number)) for number in range(4)]
    assert files(settings.data) == {first, *sent[2:]}  # the given file's copy stays
    assert removed(station) == sent[:2] and station.record.verify_audit().whole
    told = [line for line in logged if '"model_removed"' in line]
    assert len(told) == 2 and sent[0] in told[0] and sent[1] in told[1]

    client = TestClient(create_app(station), base_url="http://127.0.0.1")
    table = {one["sha256"]: one["file"] for one in client.get("/recipes/plate/models").json()["models"]}
    assert table == {first: True, sent[0]: False, sent[1]: False, sent[2]: True, sent[3]: True}
    assert client.post("/recipes/plate/rollback").json()["model"] == sent[2]
    assert client.post("/recipes/plate/rollback").json()["model"] == sent[3]
    assert files(settings.data) == {first, *sent[2:]} and len(removed(station)) == 2
    # one that was removed may be sent again
    assert send(station, another(0)) == sent[0] and files(settings.data) == {first, sent[0], sent[3]}
    assert station.inspecting.submit(good).result(30).decision.model == sent[0]


def test_a_roll_back_to_what_is_no_longer_kept_says_so(
    make_station: Make, settings: Settings, another: Another
) -> None:
    from starlette.testclient import TestClient

    from onlygood.station.web.app import create_app

    station = make_station(replace(settings, keep_models=1))
    sent = [send(station, another(number)) for number in range(2)]
    client = TestClient(create_app(station), base_url="http://127.0.0.1")
    refused = client.post("/recipes/plate/rollback")
    message = refused.json()["error"]["message"]
    assert refused.status_code == 409 and sent[0] in message and "keep_models = 1" in message and "PUT" in message
    assert station.recipes.get().model == sent[1] and len(station.record.activations("plate")) == 3


def test_other_thresholds_remove_nothing_and_zero_keeps_all(
    make_station: Make, settings: Settings, another: Another
) -> None:
    station = make_station(replace(settings, keep_models=0))
    given, sent = station.recipes.get().model, [send(station, another(number)) for number in range(3)]
    assert files(settings.data) == {given, *sent} and removed(station) == []
    station.close()
    station = make_station(replace(settings, keep_models=1))  # at the start, too
    assert files(settings.data) == {given, sent[2]} and sorted(removed(station)) == sorted(sent[:2])
    before = files(settings.data)
    station.recipes.set_thresholds("plate", replace(station.recipes.get().thresholds, ng=1e9), "anna")
    assert files(settings.data) == before and len(removed(station)) == 2


def test_what_another_recipe_uses_stays(make_station: Make, settings: Settings, another: Another) -> None:
    given = settings.models["plate"]
    both = replace(settings, models={"one": given, "two": given}, keep_models=1)
    station = make_station(both)
    shared = send(station, another(0), "one")
    assert send(station, another(0), "two") == shared
    after = send(station, another(1), "one")
    assert {shared, after} <= files(settings.data)
    station.close()
    # also while the other recipe is not among the settings
    station = make_station(replace(both, models={"one": given}))
    last = send(station, another(2), "one")
    assert {shared, last} <= files(settings.data) and removed(station) == [after]
    station.close()
    assert make_station(both).recipes.get("two").model == shared


def test_nothing_goes_that_cannot_be_written_down(
    make_station: Make, settings: Settings, another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(replace(settings, keep_models=1))
    sent = [send(station, another(0))]

    def refuse(*_: object) -> None:
        raise BusyError("The database is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(station.record, "audit", refuse)
        sent.append(send(station, another(1)))
        assert set(sent) <= files(settings.data) and station.recipes.get().model == sent[1]
    sent.append(send(station, another(2)))
    assert sorted(removed(station)) == sorted(sent[:2]) and not files(settings.data) & set(sent[:2])


#: Puts a second model on duty, and is killed at a step.
KILLED = """
import os, signal, sys
from pathlib import Path
from onlygood.station.model_files import Incoming, ModelFiles
from onlygood.station.record import Record
from onlygood.station.running import Station
from onlygood.station.settings import Settings

data, given, sent, step = sys.argv[1:]
station = Station.open(Settings(data=Path(data), models={"plate": Path(given)}, threads=1, keep_models=1))

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if step == "before it is noted":
    audit = Record.audit
    Record.audit = lambda self, action, *more: killed() if action == "remove model" else audit(self, action, *more)
elif step == "noted, not removed":
    ModelFiles.remove = killed
elif step == "removed":
    remove = ModelFiles.remove
    ModelFiles.remove = lambda self, sha256: (remove(self, sha256), killed())
elif step == "while one comes":
    Incoming.keep = killed
with open(sent, "rb") as file:
    station.recipes.replace("plate", station.recipes.files.take_in(file), "anna", "sent")
"""


@pytest.mark.parametrize("step", ["before it is noted", "noted, not removed", "removed", "while one comes"])
def test_a_kill_between_the_steps_is_mended_at_the_next_start(
    make_station: Make, settings: Settings, another: Another, good: bytes, tmp_path: Path, step: str
) -> None:
    once = replace(settings, keep_models=1)
    station = make_station(once)
    given, old = station.recipes.get().model, send(station, another(0))
    station.close()
    file = tmp_path / "sent.og"
    file.write_bytes(another(1))
    home = str(Path(onlygood.__file__).parents[1])
    words = [sys.executable, "-c", KILLED, str(settings.data), str(settings.models["plate"]), str(file), step]
    done = subprocess.run(words, env={"PYTHONPATH": home}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr

    station = make_station(once)
    on_duty = station.recipes.get().model
    assert (on_duty == old) == (step == "while one comes") and on_duty != given
    assert files(settings.data) == {given, on_duty}
    assert set(removed(station)) == {old} - {on_duty} and station.record.verify_audit().whole
    assert station.inspecting.submit(good).result(30).decision.model == on_duty


MODELS = st.lists(
    st.tuples(st.sampled_from("xy"), st.sampled_from("abcdefgh"), st.sampled_from(["", *"abcdefgh"]), st.booleans()),
    unique_by=lambda one: one[:2],
)


@given(MODELS, st.integers(1, 4), st.randoms())
def test_what_is_kept(drawn: list[tuple[str, str, str, bool]], count: int, draw: Any) -> None:
    numbers = list(range(1, len(drawn) + 1))
    draw.shuffle(numbers)
    known = [
        KnownModel(recipe, sha256, parent, number if used else 0)
        for (recipe, sha256, parent, used), number in zip(drawn, numbers, strict=True)
    ]
    stay = kept(known, count)
    needed: set[str] = set()
    for recipe in "xy":
        used = {one.last: one.sha256 for one in known if one.recipe == recipe and one.last}
        last = {used[number] for number in sorted(used)[-count:]}
        waiting = {
            one.sha256 for one in known if one.recipe == recipe and one.last == 0 and one.parent and one.parent in last
        }
        assert len(last) == min(count, len(used)) and last <= stay and waiting <= stay
        needed |= last | waiting
    assert stay == needed


def test_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text("keep_models = 3")
    assert read_settings(file, {}).keep_models == 3
    file.write_text("keep_models = -1")
    with pytest.raises(ParameterError, match="keep_models = -1"):
        read_settings(file, {})
