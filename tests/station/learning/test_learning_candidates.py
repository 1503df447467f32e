"""Candidates, from confirmed parts to duty."""

from __future__ import annotations

import numpy as np
import pytest
from learning_parts import part, pass_through, png

from onlygood.methods import DFM, KNN, load
from onlygood.station.errors import BusyError, NotFoundError, RefusedError
from onlygood.station.learning.candidates import check_can_learn
from onlygood.station.learning.learning import Learning

RECIPE = "/recipes/plate"
DENT = 120


def build(station, timeout=120):
    """A candidate, once it is there."""
    room = station.learning.candidates
    room.start("plate", "erika")
    assert room.wait(timeout)
    assert room.progress("plate")["state"] == "idle", room.progress("plate")
    return room.list("plate")[0]


def golden(station, *images):
    for truth, image in images:
        station.learning.golden.add("plate", image, truth, "erika")


def test_confirmed_parts_become_a_candidate_that_a_person_puts_on_duty(station, client, models):
    before = station.recipes.get("plate")
    confirmed = [pass_through(station, png(seed), "OK", f"part {seed}") for seed in range(20, 24)]
    pass_through(station, png(24), "NG")
    pass_through(station, png(25))
    pass_through(station, png(20), "OK")  # the same file again
    pass_through(station, png(3), "OK")  # fitted on already
    held = pass_through(station, png(26), "OK")
    body = {"decision_id": held.id, "truth": "good"}
    assert client.post(f"{RECIPE}/golden", json=body).status_code == 201
    sent = client.post(
        f"{RECIPE}/golden?truth=defect&name=dent", content=png(30, DENT), headers={"Content-Type": "image/png"}
    )
    assert sent.status_code == 201 and sent.json()["truth"] == "defect"

    assert client.get(f"{RECIPE}/candidates").json()["waiting"] == 5
    assert client.post(f"{RECIPE}/candidates").status_code == 202
    assert station.learning.candidates.wait(120)
    told = client.get(f"{RECIPE}/candidates").json()
    assert told["state"] == "idle" and told["waiting"] == 0, told
    one = told["candidates"][0]
    assert one["images"] == 10 and one["added"] == 4 and one["left_out"] == 1
    assert one["passed"] and not one["on_duty"] and one["parent"] == before.model

    # the same as adding the images to the file by hand
    expected = load(models["a"]).add([part(seed) for seed in range(23, 19, -1)])  # newest first
    made = load(station.recipes.files.path(one["model"]))
    assert sorted(made.calibration_.scores) == pytest.approx(sorted(expected.calibration_.scores), rel=1e-5)
    assert {outcome["name"]: outcome["then"]["score"] for outcome in one["gate"]["outcomes"]} == pytest.approx(
        {"part": made.score(part(26))[0], "dent": made.score(part(30, DENT))[0]}, rel=1e-5
    )
    assert station.recipes.get("plate").model == before.model  # nothing changes by itself

    answer = client.post(f"{RECIPE}/candidates/{one['model']}/activate")
    assert answer.status_code == 200 and answer.json()["model"] == one["model"]
    duty = station.recipes.get("plate")
    assert duty.model == one["model"] and duty.thresholds.ng == made.calibration_.ng_threshold
    assert answer.json()["thresholds"] == one["thresholds"]
    assert pass_through(station, png(20)).score == pytest.approx(0, abs=1e-3)  # learned
    row = station.record.models("plate")[0]
    assert row["origin"] == "candidate" and row["info"]["added_by_verdict"] != {}
    assert set(row["info"]["added"]) == {one.digest for one in confirmed}
    assert station.record.activations("plate")[0]["who"] == "local"
    again = client.post(f"{RECIPE}/candidates/{one['model']}/activate")
    assert again.status_code == 409


def test_a_candidate_that_learned_defects_lets_them_escape_and_is_turned_down(station, client):
    golden(station, ("defect", png(40, DENT)), ("good", png(41)))
    for seed in range(50, 53):
        pass_through(station, png(seed, DENT), "OK")  # somebody pressed the wrong key
    one = build(station)
    assert not one["passed"] and one["gate"]["escapes"] == 1
    assert one["added_by_verdict"]["NG"] == 3
    refused = client.post(f"{RECIPE}/candidates/{one['model']}/activate")
    assert refused.status_code == 409 and "escape" in refused.json()["error"]["message"]
    assert station.recipes.get("plate").model == one["parent"]


def test_the_gate_is_about_the_golden_set_as_it_is_now(station):
    room = station.learning.candidates
    pass_through(station, png(60), "OK")
    pass_through(station, png(61), "OK")
    one = build(station)
    with pytest.raises(RefusedError, match="No good image waits"):
        room.start("plate", "erika")  # it would be the same again
    assert not one["passed"] and "proves nothing" in one["gate"]["reasons"][0]
    with pytest.raises(RefusedError, match="proves nothing"):
        room.activate("plate", one["model"], "erika")

    golden(station, ("defect", png(62, DENT)), ("good", png(63)))
    assert room.list("plate")[0]["passed"]  # scored since
    golden(station, ("good", png(60)))  # which it has learned
    assert len(room.waiting("plate")) == 1  # so that another one could be built without it
    told = room.list("plate")[0]
    assert told["passed"] and told["gate"]["good"] == 1 and "learned" in " ".join(told["gate"]["notes"])
    golden(station, ("defect", png(64)))  # a defect that nobody can see
    with pytest.raises(RefusedError, match="escape"):
        room.activate("plate", one["model"], "erika")
    digest = room.list("plate")[0]["gate"]["outcomes"][-1]["digest"]
    station.learning.golden.remove("plate", digest, "erika")
    station.recipes.activate("plate", one["parent"], None, "erika", "again")  # other thresholds, the same model
    assert room.activate("plate", one["model"], "erika").model == one["model"]


def test_a_candidate_of_another_model_than_the_one_on_duty_is_refused(station, models):
    golden(station, ("defect", png(62, DENT)), ("good", png(63)))
    pass_through(station, png(60), "OK")
    one = build(station)
    with models["b"].open("rb") as file:
        other = station.recipes.files.take_in(file)
    station.recipes.replace("plate", other, "erika", "a better one")
    told = station.learning.candidates.list("plate")[0]
    assert told["stale"] and not told["passed"]
    with pytest.raises(RefusedError, match="another model"):
        station.learning.candidates.activate("plate", one["model"], "erika")


def test_what_cannot_be_built(station, client):
    empty = client.post(f"{RECIPE}/candidates")
    assert empty.status_code == 409 and "confirm parts as OK" in empty.json()["error"]["message"]
    pass_through(station, png(2), "OK")  # fitted on, which shows once it is read
    room = station.learning.candidates
    room.start("plate", "erika")
    with pytest.raises(BusyError, match="one at a time"):
        room.start("plate", "erika")
    assert room.wait(120)
    told = client.get(f"{RECIPE}/candidates").json()
    assert told["state"] == "failed" and "new to the model" in told["error"] and not told["candidates"]
    assert client.post("/recipes/none/candidates").status_code == 404
    unknown = client.post(f"{RECIPE}/candidates/{'0' * 64}/activate")
    assert unknown.status_code == 404
    assert client.post(f"{RECIPE}/candidates/..%2F..%2Fetc/activate").status_code in (404, 422)
    with pytest.raises(NotFoundError):
        room.gate("plate", station.recipes.get("plate").model)  # no candidate


def test_one_that_is_cut_short_leaves_nothing(station, settings):
    pass_through(station, png(70), "OK")
    known = station.record.models("plate")
    room = station.learning.candidates
    room.start("plate", "erika")
    room.close()
    assert room.progress("plate")["state"] == "failed"
    assert station.record.models("plate") == known
    left = settings.data / "models" / ".candidate.1.2.part"
    left.write_bytes(b"half")  # as kill -9 leaves it
    Learning(settings, station.record, station.recipes)
    assert not list((settings.data / "models").glob(".candidate*"))


def test_methods_that_cannot_learn_say_so():
    with pytest.raises(RefusedError, match="keeps no memory bank"):
        check_can_learn(DFM())
    with pytest.raises(RefusedError, match="coreset=1"):
        check_can_learn(KNN(coreset=0.5))
    check_can_learn(KNN())


def test_added_images_do_not_reset_the_rates(models):
    detector = load(models["a"])
    detector.calibration_ = detector.calibration_.at(0.2, 0.4)
    detector.add([part(80)])
    assert (detector.calibration_.false_reject, detector.calibration_.review) == (0.2, 0.4)
    assert np.isfinite(detector.calibration_.ng_threshold)
