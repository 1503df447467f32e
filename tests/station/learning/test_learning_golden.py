"""Golden sets, and thresholds that are tried on them before they are moved."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from learning_parts import part, pass_through, png

from onlygood.methods import load
from onlygood.station.decisions import Thresholds
from onlygood.station.learning.scoring import Scored, Scores

RECIPE = "/recipes/plate"
PNG = {"Content-Type": "image/png"}


def test_an_image_comes_changes_its_truth_and_goes(client, station):
    data = png(1, 90)
    digest = hashlib.sha256(data).hexdigest()
    for truth in ("good", "defect"):
        assert client.post(f"{RECIPE}/golden?truth={truth}", content=data, headers=PNG).status_code == 201
    (one,) = client.get(f"{RECIPE}/golden").json()["golden"]
    assert one["digest"] == digest and one["truth"] == "defect" and one["who"] == "local"
    assert client.get(f"{RECIPE}/golden/{digest}/image").content == data
    assert client.delete(f"{RECIPE}/golden/{digest}").status_code == 200
    assert client.get(f"{RECIPE}/golden").json() == {"golden": []}
    assert client.get(f"{RECIPE}/golden/{digest}/image").status_code == 404
    assert client.delete(f"{RECIPE}/golden/{digest}").status_code == 404
    actions = [entry["action"] for entry in station.record.audit_trail(10)]
    assert actions[:3] == ["golden remove", "golden add", "golden add"]


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        (f"{RECIPE}/golden?truth=good", {"content": b"no image", "headers": PNG}, 400),
        (f"{RECIPE}/golden?truth=good", {"content": png(1)[:300], "headers": PNG}, 400),
        (f"{RECIPE}/golden?truth=good", {"content": b"", "headers": PNG}, 400),
        (f"{RECIPE}/golden?truth=maybe", {"content": png(1), "headers": PNG}, 422),
        (f"{RECIPE}/golden", {"content": png(1), "headers": PNG}, 422),
        (f"{RECIPE}/golden?truth=good", {"content": png(1), "headers": {"Content-Type": "text/plain"}}, 415),
        (f"{RECIPE}/golden", {"json": {"decision_id": "0" * 32, "truth": "good"}}, 404),
        (f"{RECIPE}/golden", {"json": {"decision_id": "../" * 5, "truth": "good"}}, 422),
        (f"{RECIPE}/golden", {"json": {"truth": "good"}}, 422),
        (f"{RECIPE}/golden", {"json": []}, 422),
        ("/recipes/none/golden?truth=good", {"content": png(1), "headers": PNG}, 404),
    ],
)
def test_what_is_refused(client, station, address, body, status):
    answer = client.post(address, **body)
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert not station.record.golden("plate")


def test_a_decision_without_its_picture_cannot_become_golden(client, station):
    decision = pass_through(station, png(5))
    station.pictures.path(decision.picture).unlink()
    answer = client.post(f"{RECIPE}/golden", json={"decision_id": decision.id, "truth": "good"})
    assert answer.status_code == 404 and "not kept" in answer.json()["error"]["message"]


def test_each_image_is_scored_once_under_a_model(station, models, monkeypatch):
    room = station.learning.golden
    room.add("plate", png(8), "good", "erika")
    room.add("plate", png(2), "good", "erika")  # the model was fitted on it
    detector = load(models["a"])
    first = room.scored("plate", "a" * 64, lambda: detector)
    new, learned = (first[hashlib.sha256(png(seed)).hexdigest()] for seed in (8, 2))
    assert new.score == pytest.approx(detector.score(part(8))[0]) and not new.learned
    assert learned.learned

    def never():
        raise AssertionError

    assert room.scored("plate", "a" * 64, never) == first
    room.add("plate", png(9), "good", "erika")
    assert len(room.scored("plate", "a" * 64, lambda: detector)) == 3
    assert len(room.known("plate", "b" * 64)) == 0


def test_scores_that_cannot_be_read_count_as_none(tmp_path):
    scores = Scores(tmp_path / "scores")
    scores.add("a" * 64, {"x": Scored(1.0, False)})
    assert scores.get("a" * 64, ["x", "y"]) == {"x": Scored(1.0, False)}
    (tmp_path / "scores" / f"{'a' * 64}.json").write_text("[1, 2")
    assert scores.get("a" * 64, ["x"]) == {}


def test_thresholds_are_tried_before_they_are_moved(client, station):
    said = ["OK", "NG", ""] * 2
    scores = [pass_through(station, png(seed, 8 * seed), word).score for seed, word in zip(range(6), said)]
    for seed, truth in ((10, "good"), (11, "defect")):
        client.post(f"{RECIPE}/golden?truth={truth}", content=png(seed, 100 * (seed == 11)), headers=PNG)
    duty = station.recipes.get("plate")
    then = Thresholds(float(np.sort(scores)[4]), float(np.sort(scores)[1]))
    body = {"ng": then.ng, "review": then.review, "last": 5}
    told = client.post(f"{RECIPE}/thresholds/preview", json=body).json()

    def by_hand(values, limits):
        verdicts = ["NG" if x > limits.ng else "REVIEW" if x > limits.review else "OK" for x in values]
        return {word: verdicts.count(word) for word in ("OK", "REVIEW", "NG")}

    last = list(zip(scores, said))[-5:]
    assert told["last"] == 5
    for name, limits in (("now", duty.thresholds), ("then", then)):
        assert told[name] == by_hand([x for x, _ in last], limits)
        for word in ("OK", "NG"):
            assert told["answered"][word][name] == by_hand([x for x, one in last if one == word], limits)
        assert sum(told["golden"]["good"][name].values()) == sum(told["golden"]["defect"][name].values()) == 1
        good = duty.detector.calibration_.scores
        assert told["false_reject"][name] == pytest.approx((1 + sum(good > limits.ng)) / (1 + len(good)))
    assert station.recipes.get("plate").thresholds == duty.thresholds  # nothing moved

    shown = client.get(f"{RECIPE}/histogram?last=3").json()
    assert [one["score"] for one in shown["recent"]] == pytest.approx(scores[-3:])
    assert [one["answer"] for one in shown["recent"]] == ["OK", "NG", None]
    assert shown["calibration"] == pytest.approx(duty.detector.calibration_.scores.tolist())


def test_thresholds_that_are_none(client):
    for body in ({"ng": 1, "review": 2}, {"ng": "high", "review": 1}, {"ng": 1}):
        assert client.post(f"{RECIPE}/thresholds/preview", json=body).status_code == 422
