"""Detectors with a trained head: what is learned from, what is held out, early ends, the model file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import onlygood
from onlygood.errors import DataError, ParameterError
from onlygood.methods.feature_cache import FeatureCache
from onlygood.methods.holding_out import hold_out
from onlygood.methods.leaving_out import groups_of
from onlygood.modelfile import read_parts
from onlygood.progress import silent

pytest.importorskip("torch")


def net(**parameters):
    return onlygood.SimpleNet(**{"size": 64, "epochs": 10, "updates": 1, "hidden": 64, "threads": 1, **parameters})


@pytest.fixture(scope="module")
def trained(good):
    return net().fit(good)


# held-out images


@pytest.mark.parametrize(
    ("n", "share", "expected"), [(10, 0.2, 2), (8, 0.2, 2), (2, 0.2, 1), (3, 0.99, 2), (100, 0.25, 25)]
)
def test_the_share_held_out(n, share, expected):
    learned, held_out = hold_out(np.arange(n), share, seed=0)
    assert len(held_out) == expected and len(learned) == n - expected
    assert set(learned) | set(held_out) == set(range(n))


def test_groups_are_held_out_together_and_stand_for_one_image():
    groups = np.repeat(np.arange(10), 3)
    learned, held_out = hold_out(groups, 0.3, seed=1)
    assert len(held_out) == 3 and len(set(groups[held_out])) == 3
    assert len(learned) == 21 and not set(groups[learned]) & set(groups[held_out])


def test_the_draw_does_not_depend_on_the_numbers_of_the_groups(rng):
    groups = np.repeat(np.arange(20), 2)
    for one, other in zip(hold_out(groups, 0.3, seed=0), hold_out(rng.permutation(20)[groups], 0.3, seed=0)):
        assert np.array_equal(one, other)


def test_every_image_has_the_same_chance_to_be_held_out():
    counts = np.zeros(10)
    for seed in range(600):
        counts[hold_out(np.arange(10), 0.3, seed)[1]] += 1
    assert np.abs(counts / 600 - 0.3).max() < 0.08  # four standard deviations


def test_a_single_group_is_learned_from():
    for n in (1, 4):
        learned, held_out = hold_out(np.zeros(n, np.int64), 0.2, seed=0)
        assert learned.tolist() == list(range(n)) and len(held_out) == 0


def test_near_duplicates_are_found_in_the_features(rng):
    originals = rng.normal(size=(12, 6, 6, 8)).astype(np.float32)
    twins = originals[:3] + rng.normal(size=(3, 6, 6, 8)).astype(np.float32) * 0.01
    features = FeatureCache((15, 6, 6, 8)).fill([np.concatenate([originals, twins])])
    hashes = [str(i) for i in range(15)]
    found = groups_of(features, hashes, True, "alone", silent)
    assert (found[:3] == found[12:]).all() and len(set(found)) == 12
    assert len(set(groups_of(features, hashes, False, "alone", silent))) == 15
    assert len(set(groups_of(features, [*hashes[:14], "0"], False, "alone", silent))) == 14


def test_calibration_scores_are_those_of_the_held_out_images(trained, good):
    held_out = trained.held_out_
    assert len(held_out) == 2
    assert np.array_equal(trained.calibration_.scores, trained.score([good[i] for i in held_out]))
    assert len(trained.calibration_.peaks) == 2


def test_held_out_images_do_not_change_the_head(good):
    first = net(groups="none").fit(good)
    changed = [np.roll(image, 7, axis=1) if i in first.held_out_ else image for i, image in enumerate(good)]
    other = net(groups="none").fit(changed)
    assert np.array_equal(other.held_out_, first.held_out_)
    assert other.head_.onnx == first.head_.onnx


def test_the_promise_is_proven_unless_the_graph_saw_the_held_out_images(trained, good):
    assert trained.calibration_.promise.proven
    assert not net(precision="int8", epochs=1).fit(good).calibration_.promise.proven


def test_split_conformal_keeps_its_promise_over_many_draws(rng):
    """The rank of a new score among m held-out ones is uniform: at 1 / (m + 1) no more than that is rejected."""
    from onlygood.calibration import Calibration

    rejected = 0
    for _ in range(2000):
        scores = rng.normal(size=10)
        calibration = Calibration.from_scores(scores[:9], false_reject=0.1, review=0.2, proven=True)
        rejected += scores[9] > calibration.ng_threshold
    assert abs(rejected / 2000 - 0.1) < 0.03


# features


@pytest.mark.parametrize(
    ("limits", "kind"),
    [({}, np.float32), ({"in_full": 0}, np.float16), ({"in_full": 0, "in_memory": 0}, np.memmap)],
)
def test_where_features_are_kept(rng, limits, kind):
    values = rng.normal(size=(7, 3, 4, 5)).astype(np.float32)
    cache = FeatureCache(values.shape, **limits).fill([values[:4], values[4:]])
    expected = values if kind is np.float32 else values.astype(np.float16).astype(np.float32)
    assert isinstance(cache._values, kind) if kind is np.memmap else cache._values.dtype == kind
    assert np.array_equal(cache[:], expected) and cache[[2, 0]].dtype == np.float32
    part = cache.subset([6, 1, 3])
    assert part.shape == (3, 3, 4, 5) and len(part) == 3
    assert np.array_equal(part[[2, 0]], expected[[3, 6]])
    assert np.array_equal(part.subset([1])[:], expected[[1]])
    assert np.array_equal(part.thinned(2), expected[[6, 1, 3], ::2, ::2].astype(np.float16))
    assert part.std() == pytest.approx(expected[[6, 1, 3]].reshape(-1, 5).std(axis=0).mean(), rel=1e-5)


def test_features_far_from_zero_keep_their_spread(rng):
    values = (rng.normal(size=(3, 4, 4, 2)) * 0.01 + 1000).astype(np.float32)
    cache = FeatureCache(values.shape).fill([values])
    assert cache.std() == pytest.approx(values.astype(np.float64).reshape(-1, 2).std(axis=0).mean(), rel=1e-6)


def test_no_room_for_the_temporary_file_is_said(monkeypatch):
    import os

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=r"No space left.*TMPDIR"):
        FeatureCache((2, 2, 2, 2), in_full=0, in_memory=0)


def test_a_detector_trained_from_a_mapped_file_finds_the_same(trained, good, bad, monkeypatch):
    from onlygood.methods import feature_cache
    from onlygood.methods import trained as module

    monkeypatch.setattr(module, "FeatureCache", lambda shape: feature_cache.FeatureCache(shape, 0, 0))
    other = net().fit(good)
    assert np.allclose(other.score(bad), trained.score(bad), rtol=0.05, atol=0.02)


# early ends


def stop_at(share: float):
    def report(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == round(share * total):
            raise KeyboardInterrupt

    return report


def test_ctrl_c_during_training_leaves_a_usable_detector(good, bad, tmp_path):
    early = net(epochs=40).fit(good, progress=stop_at(0.5))
    assert early.training_.notes["trained"].startswith("19 of 40 epochs, interrupted")
    assert np.isfinite(early.score(bad)).all() and early.calibration_.units == 2
    early.save(tmp_path / "part.og")
    assert np.array_equal(onlygood.load(tmp_path / "part.og").score(bad), early.score(bad))


def test_ctrl_c_in_the_first_epoch_stops_the_fit(good):
    detector = net(patches=1.0, batch=1)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(good, progress=stop_at(0.05))
    assert not hasattr(detector, "calibration_")


def test_a_training_that_is_not_interrupted_says_so(trained):
    assert trained.training_.notes["trained"].startswith("10 of 10 epochs, loss ")


def test_a_diverging_training_is_an_error(good):
    with pytest.raises(ParameterError, match="diverged"):
        net(adaptor_rate=1e30, discriminator_rate=1e30, epochs=5).fit(good)


# the file


def test_the_head_is_part_of_the_model_file(trained, bad, tmp_path):
    path = tmp_path / "part.og"
    trained.save(path)
    parts = read_parts(path)
    assert parts.blobs["head.onnx"].tobytes() == trained.head_.onnx
    assert parts.tensors["held_out"].tolist() == trained.held_out_.tolist()


def test_inspecting_imports_neither_torch_nor_scipy(trained, bad, tmp_path):
    trained.save(tmp_path / "part.og")
    np.save(tmp_path / "bad.npy", np.stack(bad))
    code = (
        "import sys, numpy as np, onlygood\n"
        f"scores = onlygood.load({str(tmp_path / 'part.og')!r}).score(np.load({str(tmp_path / 'bad.npy')!r}))\n"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'onnx') if m in sys.modules])\n"
        "print(scores.tolist())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, scores = answer.stdout.splitlines()
    assert modules == "[]"
    assert np.array_equal(np.array(eval(scores)), trained.score(bad))


def test_another_engine_runs_both_graphs(trained, bad, tmp_path):
    pytest.importorskip("openvino")
    trained.save(tmp_path / "part.og")
    other = onlygood.load(tmp_path / "part.og", engine="openvino")
    expected = trained.score(bad)
    assert np.abs(other.score(bad) - expected).max() <= 1e-3 * np.abs(expected).max()
    assert other.head_.engine.name == "openvino"


@pytest.mark.parametrize("parameters", [{"holdout": 0}, {"holdout": 1}, {"aggregator": "pooled"}])
def test_bad_parameters(good, parameters):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        net(**parameters).fit(good)
