"""The watch over drift, fed from the record."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from onlygood.calibration.drift import DriftTest, one_of_each
from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now
from onlygood.station.learning.drift import DriftWatch

RECIPE = "/recipes/plate"


@pytest.fixture
def see(station):
    """Records decisions of the model on duty with these scores."""

    def record(scores, **changes):
        duty = station.recipes.get("plate")
        for score in scores:
            table = {
                "id": new_id(),
                "time": now(),
                "recipe": "plate",
                "model": duty.model,
                "source": "rest",
                "name": "",
                "verdict": Verdict.OK,
                "score": float(score),
                "p_value": 0.5,
                "thresholds": duty.thresholds,
                "pixel_threshold": 1.0,
                "reason": "",
                "regions": (),
                "width": 64,
                "height": 64,
                "digest": hashlib.sha256(b"").hexdigest(),
                "wait_ms": 0.0,
                "inspect_ms": 1.0,
            }
            station.record.add(Decision(**{**table, **changes}))

    return record


def draw(station, count, seed=0):
    """Scores such as the calibration's."""
    return np.random.default_rng(seed).choice(station.recipes.get("plate").detector.calibration_.scores, count)


def test_the_state_is_that_of_the_test(station, client, see):
    duty = station.recipes.get("plate")
    scores = np.append(draw(station, 15), [duty.thresholds.ng * 2, duty.thresholds.ng])
    see(scores)
    see([1e-9], thresholds=Thresholds(1.0, 0.5))  # of other thresholds
    see([1e-9], model="f" * 64)
    see([1e-9], recipe="other")
    told = client.get(f"{RECIPE}/drift").json()

    reference = one_of_each(duty.detector.calibration_.scores, duty.detector.training_.groups)
    test = DriftTest(reference, duty.thresholds.ng)
    for score in scores:
        test.add(score)
    assert told["parts"] == len(test.scores) and told["left_out"] == test.left_out >= 2
    assert told["recent"] == pytest.approx(test.scores.tolist())
    for name, one in (("calibration", test.against_calibration), ("start", test.against_start)):
        assert told["tests"][name]["capital_log10"] == pytest.approx(np.log10(one.state.capital))
    assert told["alarm"] is None and told["alarm_at"] == 200 and told["false_alarm_rate"] == 0.01
    assert len(told["martingale"]) == told["parts"] and told["martingale"][0]["seq"] >= 1
    see(draw(station, 4, seed=1))
    assert client.get(f"{RECIPE}/drift").json()["parts"] > told["parts"]


def test_an_alarm_stays_until_somebody_sees_to_it(station, client, see, settings):
    low = station.recipes.get("plate").detector.calibration_.scores.min()
    see(low * np.linspace(0.9, 0.1, 150))
    told = client.get(f"{RECIPE}/drift").json()
    assert told["alarm"]["direction"] == "falling" and told["parts"] < 150
    assert station.learning.drift.alarms == ["plate"]
    see(draw(station, 20))
    assert client.get(f"{RECIPE}/drift").json()["alarm"] == told["alarm"]

    after_a_restart = DriftWatch(settings.data, station.record, station.recipes)
    assert after_a_restart.state("plate")["alarm"] == told["alarm"]
    alarms = [entry for entry in station.record.audit_trail(50) if entry["action"] == "drift alarm"]
    assert len(alarms) == 1 and alarms[0]["detail"] == told["alarm"]

    answer = client.post(f"{RECIPE}/drift/restart", json={"why": "lamp replaced"}).json()
    assert answer["alarm"] is None and answer["parts"] == 0 and not station.learning.drift.alarms
    assert station.record.audit_trail(1)[0]["detail"]["why"] == "lamp replaced"
    see(draw(station, 5))
    again = DriftWatch(settings.data, station.record, station.recipes)  # knows where the run began
    assert again.state("plate")["parts"] == client.get(f"{RECIPE}/drift").json()["parts"] <= 5


def scraped(client):
    """The gauges of drift, by name and labels, as a Prometheus server reads them."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [one for one in families if one.name.startswith("onlygood_drift_")]
    assert {one.type for one in found} == {"gauge"} and all(one.documentation for one in found)
    values = {}
    for sample in (sample for one in found for sample in one.samples):
        of = [sample.labels[name] for name in ("recipe", "against") if name in sample.labels]
        values[sample.name.removeprefix("onlygood_drift_"), *of] = sample.value
    return values


def test_how_it_stands_can_be_scraped(station, client, see):
    assert scraped(client) == {}  # not looked at yet
    assert client.get("/ready").json()["recipes"][0]["drift"] is None
    ng = station.recipes.get("plate").thresholds.ng
    see([*draw(station, 12), ng, ng * 2])
    told = client.get(f"{RECIPE}/drift").json()
    values = scraped(client)
    assert values["alarm", "plate"] == 0
    assert values["parts", "plate"] == told["parts"] > 0 and values["left_out_parts", "plate"] == told["left_out"] >= 2
    for name in ("calibration", "start"):
        assert values["capital", "plate", name] == pytest.approx(10 ** told["tests"][name]["capital_log10"])
    ready = client.get("/ready").json()
    assert ready["problems"] == [] and ready["recipes"][0]["drift"]["parts"] == told["parts"]

    see(station.recipes.get("plate").detector.calibration_.scores.min() * np.linspace(0.9, 0.1, 150))
    told = client.get(f"{RECIPE}/drift").json()
    values = scraped(client)
    assert values["alarm", "plate"] == 1
    assert max(values["capital", "plate", name] for name in ("calibration", "start")) >= told["alarm_at"]
    answer = client.get("/ready")
    assert answer.status_code == 200 and answer.json()["recipes"][0]["drift"]["alarm"] == told["alarm"]
    assert [told["alarm"]["direction"] in one and "plate" in one for one in answer.json()["problems"]] == [True]

    client.post(f"{RECIPE}/drift/restart", json={"why": "lens cleaned"})
    values = scraped(client)
    assert values["alarm", "plate"] == values["parts", "plate"] == values["left_out_parts", "plate"] == 0
    assert values["capital", "plate", "calibration"] == values["capital", "plate", "start"] == 1
    assert client.get("/ready").json()["problems"] == []


def test_an_alarm_is_not_told_of_the_next_model(station, client, see):
    see(station.recipes.get("plate").detector.calibration_.scores.min() * np.linspace(0.9, 0.1, 150))
    client.get(f"{RECIPE}/drift")
    assert scraped(client)["alarm", "plate"] == 1
    limits = station.recipes.get("plate").thresholds
    station.recipes.set_thresholds("plate", Thresholds(limits.ng * 2, limits.review), "erika")
    assert scraped(client) == {} and client.get("/ready").json()["problems"] == []
    client.get(f"{RECIPE}/drift")
    assert scraped(client)["alarm", "plate"] == 0


def test_other_thresholds_begin_another_run(station, client, see):
    see(draw(station, 10))
    assert client.get(f"{RECIPE}/drift").json()["parts"] > 0
    limits = station.recipes.get("plate").thresholds
    station.recipes.set_thresholds("plate", Thresholds(limits.ng * 2, limits.review), "erika")
    assert client.get(f"{RECIPE}/drift").json()["parts"] == 0
    see(draw(station, 3))
    assert client.get(f"{RECIPE}/drift").json()["parts"] == 3


def test_a_run_that_is_full_is_followed_by_the_next(station, see, monkeypatch):
    monkeypatch.setattr(DriftTest.__init__, "__kwdefaults__", {"alpha": 0.01, "most": 4, "seed": 0})
    low = float(station.recipes.get("plate").detector.calibration_.scores.min())
    see([low] * 10)
    told = station.learning.drift.state("plate")
    assert told["parts"] == 2 and told["most_parts"] == 4


def test_a_damaged_note_of_where_runs_began_is_no_fault(station, see, settings):
    settings.data.joinpath("drift.json").write_text('{"plate": 3')
    see(draw(station, 3))
    assert station.learning.drift.state("plate")["parts"] <= 3


def test_an_unknown_recipe(client):
    assert client.get("/recipes/none/drift").status_code == 404
    assert client.post("/recipes/none/drift/restart", json={}).status_code == 404
