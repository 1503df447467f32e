"""ULSAD as a detector: splits, normalisation, what the second graph computes, and logical anomalies."""

from __future__ import annotations

import json
import warnings

import numpy as np
import onnx
import pytest
from arranged_parts import LOGICAL, tray
from hypothesis import given, settings
from hypothesis import strategies as st

import onlygood
from onlygood.errors import DataWarning, ParameterError
from onlygood.evaluation import auroc, training_curve
from onlygood.images import as_sources
from onlygood.images.preparing import resize
from onlygood.inspection import Inspection, Region, Verdict
from onlygood.methods.anomaly_map import find_regions
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.ulsad import BRANCHES, ULSAD, batches, channel_statistics

torch = pytest.importorskip("torch")

from onlygood.methods.networks.ulsad import Branches, NormalisedMaps, attention  # noqa: E402

#: Stride 4 only: no patch sees two places of a tray.
TRAY = {"size": 96, "layers": ["blocks.2"], "aggregator": "grouped", "groups": "none", "threads": 1}


@pytest.fixture(scope="module")
def trays():
    good = [tray(seed) for seed in range(30)]
    new = [tray(seed) for seed in range(1000, 1016)]
    odd = {kind: [tray(seed, kind) for seed in range(2000, 2016)] for kind in (*LOGICAL, "scratch")}
    return good, new, odd


@pytest.fixture(scope="module")
def of_trays(trays):
    return ULSAD(**TRAY, width=1.0, most_updates=70, learning_rate=2e-3).fit(trays[0])


@pytest.fixture(scope="module")
def small(good):
    """A detector that has hardly learned: for what holds of any."""
    return quick().fit(good)


def quick(**parameters):
    return ULSAD(size=64, width=0.25, threads=1, **{"epochs": 2, **parameters})


def test_logical_anomalies_are_found_where_every_patch_is_normal(trays, of_trays):
    """SYNTHETIC trays: parts missing, doubled, swapped, displaced. A nearest neighbour cannot see it, ULSAD does."""
    good, new, odd = trays
    neighbour = onlygood.KNN(**TRAY).fit(good)
    odd_ones = [image for kind in LOGICAL for image in odd[kind]]
    labels = np.repeat([0, 1], [len(new), len(odd_ones)])
    ours = of_trays.score([*new, *odd_ones])
    assert auroc(labels, neighbour.score([*new, *odd_ones])) < 0.75
    assert auroc(labels, ours) > 0.95
    for number, kind in enumerate(LOGICAL):
        part = ours[len(new) + 16 * number :][:16]
        assert auroc(np.repeat([0, 1], [len(new), 16]), [*ours[: len(new)], *part]) > 0.9, kind
    # what a nearest neighbour does see, both see
    scratched = np.repeat([0, 1], [len(new), 16])
    assert auroc(scratched, neighbour.score([*new, *odd["scratch"]])) > 0.95
    assert auroc(scratched, of_trays.score([*new, *odd["scratch"]])) > 0.95


def test_the_branches_tell_structural_from_logical(trays, of_trays):
    """SYNTHETIC trays: the global branch, not the local one, sees that a part is missing; a scratch the other way."""
    _, new, odd = trays

    def peaks(images, branch):
        return [one.maps[branch].max() for one in of_trays.inspect(images)]

    labels = np.repeat([0, 1], [len(new), 16])
    assert auroc(labels, peaks([*new, *odd["missing"]], "global")) > 0.95
    assert auroc(labels, peaks([*new, *odd["missing"]], "local")) < 0.75
    assert auroc(labels, peaks([*new, *odd["scratch"]], "local")) > 0.95
    reasons = {kind: [one.reason for one in of_trays.inspect(images)] for kind, images in odd.items()}
    assert reasons["missing"].count("logical") >= 14
    assert reasons["displaced"].count("logical") >= 12
    assert reasons["scratch"].count("structural") >= 14


def test_a_displaced_part_is_shown_where_it_is_or_was(trays, of_trays):
    found = of_trays.inspect([tray(7)])[0]
    image = np.asarray(tray(7)).copy()
    image[32:64, 66:90] = tray(7)[32:64, 36:60][:, ::-1] * 0 + tray(7)[36:37, 2:3]  # the yellow part wiped out
    wiped = of_trays.inspect([image])[0]
    assert wiped.score > found.score
    row, column = np.unravel_index(wiped.maps["global"].argmax(), (96, 96))
    assert 32 <= row < 64 and 66 <= column < 90


def test_map_is_the_mean_of_both_maps_and_both_have_its_size(small, bad):
    for original in (False, True):
        for one in small.inspect(bad, original_size=original):
            assert set(one.maps) == set(BRANCHES)
            assert all(m.shape == one.map.shape and m.dtype == np.float32 for m in one.maps.values())
            assert np.allclose(one.map, (one.maps["local"] + one.maps["global"]) / 2, atol=1e-5)
            for region in one.regions:
                left, top, right, bottom = region.box if original else (0, 0, 64, 64)
                assert region.branch in BRANCHES and right > left and bottom > top
    assert small.inspect(bad, maps=False)[0].maps == {}


def test_the_second_graph_is_the_network(good, monkeypatch):
    kept = []
    to_onnx = ULSAD._to_onnx
    monkeypatch.setattr(ULSAD, "_to_onnx", lambda self, head: kept.append(head) or to_onnx(self, head))
    detector = quick().fit(good)
    source = as_sources(good[:1])[0]
    features, _ = detector.graph_.features(source)
    image = resize(good[0], 64)[None].copy()
    with torch.no_grad():
        expected = kept[0](torch.from_numpy(features[None]), torch.from_numpy(image))
    found = detector._scores_of(source)
    for one, other in zip(expected, (found.patches, *found.branches.values()), strict=True):
        assert np.allclose(one[0], other, atol=1e-4 * max(1, float(one.abs().max())))
    operations = {node.op_type for node in onnx.load_from_string(detector.head_.onnx).graph.node}
    assert "Softmax" not in operations  # attention is for the training alone


@pytest.mark.parametrize(
    ("switches", "maps"),
    [
        ({"consistency": "none"}, ()),
        ({"consistency": "none", "lambda_local": 0.0}, ()),
        ({"consistency": "plain", "local_global": False}, BRANCHES),
        ({"local_global": False, "lambda_global": 0.0}, BRANCHES),
        ({"variant": "paper", "distance": "sum", "image_score": "max"}, BRANCHES),
        ({"variant": "released", "image_score": "map_max"}, BRANCHES),
    ],
)
def test_switches_survive_the_model_file(switches, maps, good, bad, tmp_path):
    detector = quick(**switches).fit(good)
    detector.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    for a, b in zip(detector.inspect(bad), again.inspect(bad), strict=True):
        assert (a.score, a.verdict, a.regions) == (b.score, b.verdict, b.regions)
        assert tuple(a.maps) == tuple(b.maps) == maps
        assert a.reason in ("", *(("structural", "logical") if maps else ()))


def test_presets_are_the_papers():
    paper, released = ULSAD.from_preset("paper"), ULSAD.from_preset("released")
    for one in (paper, released):
        assert (one.epochs, one.batch, one.learning_rate, one.weight_decay) == (200, 8, 2e-4, 2e-5)
        assert (one.alpha, one.beta, one.lambda_local, one.lambda_global) == (0.9, 0.995, 0.5, 0.5)
        assert (one.aggregator, one.consistency, one.local_global, one.width) == ("grouped", "attention", True, 1.0)
        assert (one.schedule, one.most_updates) == ("constant", 0)
    assert (paper.variant, paper.distance, paper.image_score) == ("paper", "sum", "max")
    assert (released.variant, released.distance, released.image_score) == ("released", "mean", "map_max")


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.floats(0.05, 0.9),
    st.floats(0.05, 0.9),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_images_that_set_the_quantiles_neither_teach_nor_calibrate(groups, holdout, validation, seed):
    from onlygood.methods.base import Training
    from onlygood.methods.holding_out import hold_out

    groups = np.asarray(groups)
    detector = ULSAD(validation=validation, seed=seed)
    detector.training_ = Training(groups=groups.tolist())
    rest, detector.held_out_ = hold_out(groups, holdout, seed)
    learned, checked = detector._set_aside()
    taught, set_by = groups[rest[learned]], groups[rest[checked]]
    calibrated = groups[detector.held_out_]
    assert not set(calibrated) & (set(taught) | set(set_by))
    if len(set(groups[rest])) > 1:
        assert len(checked) >= 1 and not set(taught) & set(set_by)
    else:
        assert np.array_equal(learned, checked)


def test_quantiles_of_the_validation_images_become_0_and_a_tenth(good, monkeypatch):
    seen = {}
    with_quantiles = ULSAD._with_quantiles

    def watched(self, network, features, images):
        seen["images"] = images
        return with_quantiles(self, network, features, images)

    monkeypatch.setattr(ULSAD, "_with_quantiles", watched)
    detector = quick(validation=0.4, alpha=0.7, beta=0.9).fit(good)
    maps = [detector._scores_of(one).branches for one in as_sources(list(seen["images"]))]
    for branch in BRANCHES:
        pooled = np.concatenate([one[branch].ravel() for one in maps])
        assert np.quantile(pooled, 0.7) == pytest.approx(0, abs=1e-4)
        assert np.quantile(pooled, 0.9) == pytest.approx(0.1, abs=1e-4)


def test_normalising_by_hand_and_where_nothing_varies():
    network = Branches(64, 5, (8, 8)).eval()
    patches, images = torch.randn(2, 8, 8, 5), torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    with torch.no_grad():
        raw = network(patches, images)
        quantiles = torch.tensor([[1.0, 3.0], [2.0, 2.5]])
        mean, local, overall = NormalisedMaps(network, quantiles)(patches, images)
        assert torch.allclose(local, 0.1 * (raw[:, 0] - 1) / 2, atol=1e-5)
        assert torch.allclose(overall, 0.1 * (raw[:, 1] - 2) / 0.5, atol=1e-5)
        assert torch.allclose(mean, (local + overall) / 2)
        flat = NormalisedMaps(network, torch.tensor([[0.0, 0.0], [3.0, 3.0]]))(patches, images)
    assert all(torch.isfinite(one).all() for one in flat)


@pytest.mark.parametrize(("n", "size"), [(1, 8), (2, 8), (7, 8), (8, 8), (9, 8), (30, 8), (31, 4)])
def test_batches(n, size):
    found = list(batches(n, size, torch.Generator().manual_seed(0)))
    again = list(batches(n, size, torch.Generator().manual_seed(0)))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert len(found) == max(1, n // size) and all(len(one) >= 2 for one in found)
    used = np.concatenate(found)
    if n == 1:
        assert used.tolist() == [0, 0]
    else:
        assert len(set(used)) == len(used) == (n // size * size if n >= size else n)


def test_statistics_are_those_of_all_patches():
    values = np.random.default_rng(0).normal(100, 0.5, (7, 4, 3, 6)).astype(np.float32)
    mean, variance = channel_statistics(FeatureCache(values.shape).fill([values[:3], values[3:]]))
    flat = values.astype(np.float64).reshape(-1, 6)
    assert np.allclose(mean, flat.mean(0)) and np.allclose(variance, flat.var(0), rtol=1e-4)


def test_cached_self_attention_is_the_loss_of_the_equation(good):
    network = Branches(64, 5, (8, 8)).eval()
    patches, images = torch.randn(2, 8, 8, 5), torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    u = network.standardised(patches)
    assert torch.equal(network.loss(patches, images, attention(u, u)), network.loss(patches, images))


def test_ctrl_c_after_the_first_epoch_leaves_a_usable_detector(good, bad, tmp_path):
    def stop(stage, done, total):
        if stage == "training" and done == 3:
            raise KeyboardInterrupt

    detector = quick(epochs=50).fit(good, progress=stop)
    assert detector.training_.notes["trained"].startswith("3 of 50 epochs, interrupted") or detector.training_.notes[
        "trained"
    ].startswith("2 of 50 epochs, interrupted")
    assert np.isfinite(detector.score(bad)).all()
    detector.save(tmp_path / "part.og")
    assert np.array_equal(onlygood.load(tmp_path / "part.og").score(bad), detector.score(bad))


def test_ctrl_c_in_the_first_epoch_ends_the_fit(good):
    def stop(stage, done, total):
        if stage == "training":
            raise KeyboardInterrupt

    detector = quick()
    with pytest.raises(KeyboardInterrupt):
        detector.fit(good, progress=stop)
    assert not hasattr(detector, "head_")


def test_what_is_promised_is_proven(small):
    assert small.calibration_.promise.proven
    assert small.calibration_.units == len(small.held_out_) == 2


def test_most_updates_and_learning(good):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        detector = quick(epochs=9, most_updates=3, batch=2).fit(good)  # 8 - 2 held out - 1 = 5 images, 2 updates each
    assert detector.training_.notes["trained"].startswith("2 of 2 epochs")


def test_the_figures_of_each_epoch_end_with_those_of_the_detector(good, bad):
    test, labels = [*good[:3], *bad], [0] * 3 + [1] * 4
    curve = training_curve(quick(epochs=3, most_updates=3), good, test, labels, every=2)
    assert [one.epoch for one in curve.figures] == [2, 3]
    assert curve.last.image_auroc == pytest.approx(auroc(labels, curve.detector.score(test)))
    assert np.allclose(curve.detector.score(bad), quick(epochs=3, most_updates=3).fit(good).score(bad))
    assert curve.oracle.oracle and curve.oracle.image_auroc >= curve.last.image_auroc


@pytest.mark.parametrize(
    "parameters",
    [
        {"variant": "text"},
        {"distance": "l1"},
        {"consistency": "self"},
        {"schedule": "step"},
        {"alpha": 0.99, "beta": 0.9},
        {"validation": 0},
        {"width": 0},
        {"learning_rate": -1.0},
        {"lambda_local": -0.5},
        {"epochs": 0},
        {"batch": 1},
        {"most_updates": -1},
        {"aggregator": "pooled"},
    ],
)
def test_bad_parameters(parameters, good):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        ULSAD(size=64, **parameters).fit(good)


def test_a_region_is_named_by_the_branch_furthest_beyond_good_images(small, good, bad, tmp_path):
    held_out = small.inspect([good[number] for number in small.held_out_])
    for branch in BRANCHES:  # two held-out images: the level is the higher peak, and at least 0.1
        assert small.branch_levels_[branch] == pytest.approx(max(0.1, *(o.maps[branch].max() for o in held_out)))
    small.save(tmp_path / "part.og")
    assert onlygood.load(tmp_path / "part.og").branch_levels_ == small.branch_levels_
    assert small.inspect(bad)[0].levels == small.branch_levels_
    whole = np.zeros((8, 8), np.float32)
    whole[2:4, 2:4] = 1
    maps = {"local": whole * 3, "global": whole * 4}
    assert find_regions(whole, 0.5, 8, 8, maps, {"local": 1.0, "global": 2.0})[0].branch == "local"
    assert find_regions(whole, 0.5, 8, 8, maps, {"local": 1.0, "global": 1.0})[0].branch == "global"
    assert find_regions(whole, 0.5, 8, 8)[0].branch == ""


def test_reason_is_that_of_the_worst_region():
    local, overall = Region((0, 0, 2, 2), 4, 0.9, "local"), Region((5, 5, 7, 7), 4, 0.5, "global")
    one = Inspection("a", 1.0, 0.1, Verdict.NG, regions=(local, overall))
    assert one.reason == "structural"
    plain = json.loads(json.dumps(one.as_dict()))
    assert plain["reason"] == "structural" and [r["branch"] for r in plain["regions"]] == ["local", "global"]
    assert Inspection("a", 1.0, 0.1, Verdict.NG, regions=(overall,)).reason == "logical"
    bare = Inspection("a", 1.0, 0.1, Verdict.NG, regions=(Region((0, 0, 2, 2), 4, 0.9),))
    assert bare.reason == "" and "reason" not in bare.as_dict() and "branch" not in bare.as_dict()["regions"][0]
