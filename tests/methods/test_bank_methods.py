"""The nearest-neighbour methods against brute force, and what only they can do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawn_parts import spoilt, tile

import onlygood
from onlygood.errors import DataError, DataWarning, ParameterError
from onlygood.inspection import Verdict
from onlygood.methods.anomaly_map import image_score
from onlygood.methods.leaving_out import merged


def features(detector, images):
    return [detector.graph_.features(s)[0] for s in onlygood.images.as_sources(images)]


def squared_distances(a, b):
    return ((a[:, None, :].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(-1)


def brute_ldknn(query, bank, image_of, k, alpha, across, without=None):
    """Literal LDKNN on the bank without the images of `without`."""
    keep = np.ones(len(bank), bool) if without is None else ~np.isin(image_of, without)
    bank, image_of = bank[keep], image_of[keep]
    among = squared_distances(bank, bank)
    among[image_of[:, None] == image_of if across else np.eye(len(bank), dtype=bool)] = np.inf
    density = np.sort(among, axis=1)[:, :k].mean(axis=1)
    d = squared_distances(query, bank)
    nearest = d.argmin(axis=1)
    return d[np.arange(len(d)), nearest] - alpha * density[nearest]


@pytest.mark.parametrize("density", ["bank", "cross_image"])
def test_ldknn_scores_and_calibration_against_brute_force(good, bad, density):
    detector = onlygood.LDKNN(size=64, k=3, alpha=0.7, density=density, groups="none", index="exact").fit(good)
    bank, image_of = detector.bank_.vectors, detector.bank_.image_of
    across = density == "cross_image"
    for query, score in zip(features(detector, bad), detector.score(bad)):
        expected = brute_ldknn(query.reshape(-1, 152), bank, image_of, 3, 0.7, across)
        assert score == pytest.approx(image_score(expected.reshape(8, 8).astype(np.float32)), rel=1e-4)
    for image in range(len(good)):
        own = bank[image_of == image]
        expected = brute_ldknn(own, bank, image_of, 3, 0.7, across, without=[image])
        left_out = image_score(expected.reshape(8, 8).astype(np.float32))
        assert detector.calibration_.scores[image] == pytest.approx(left_out, rel=1e-3, abs=1e-3)


def test_knn_leaves_the_own_image_out(good):
    detector = onlygood.KNN(size=64, groups="none", image_score="max", index="exact").fit(good)
    bank, image_of = detector.bank_.vectors, detector.bank_.image_of
    for image in range(len(good)):
        d = squared_distances(bank[image_of == image], bank[image_of != image]).min(axis=1)
        assert detector.calibration_.scores[image] == pytest.approx(d.max(), rel=1e-4)
    assert detector.calibration_.proven  # the theorem's case: 1-NN, full bank, exact search
    assert detector.score(good) == pytest.approx(np.zeros(len(good)), abs=1e-3)


def test_alpha_zero_is_plain_nearest_neighbour(good, bad):
    knn = onlygood.KNN(size=64).fit(good)
    ldknn = onlygood.LDKNN(size=64, alpha=0.0).fit(good)
    assert np.array_equal(knn.score(bad), ldknn.score(bad))
    assert np.array_equal(knn.calibration_.scores, ldknn.calibration_.scores)


def test_coreset_keeps_its_share_and_full_bank_density(good, bad):
    full = onlygood.LDKNN(size=64).fit(good)
    core = onlygood.LDKNN(size=64, coreset=0.25).fit(good)
    assert len(core.bank_) == int(0.25 * len(full.bank_))
    rows = [int(np.flatnonzero((full.bank_.vectors == v).all(axis=1))[0]) for v in core.bank_.vectors[:20]]
    assert np.allclose(core.stats_["density"][:20], full.stats_["density"][rows])
    assert np.isfinite(core.score(bad)).all()


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (onlygood.REB, {}),
        (onlygood.LDKNN, {"density": "bank", "k": 3}),
        (onlygood.KNN, {"k": 2}),
        (onlygood.LOF, {"k": 4}),
        (onlygood.LDOF, {"k": 4}),
    ],
)
def test_a_reduced_detector_is_one_fitted_with_that_coreset(good, bad, tmp_path, kind, parameters):
    full = kind(size=64, index="exact", **parameters).fit(good)
    before = full.score(bad)
    full.save(tmp_path / "full.og")
    fitted = kind(size=64, index="exact", coreset=0.25, **parameters).fit(good)
    for reduced in (full.reduced(len(fitted.bank_)), onlygood.load(tmp_path / "full.og").reduced(len(fitted.bank_))):
        assert np.array_equal(reduced.bank_.vectors, fitted.bank_.vectors)
        assert np.array_equal(reduced.score(bad), fitted.score(bad))
        assert np.array_equal(reduced.calibration_.scores, fitted.calibration_.scores)
        assert np.array_equal(reduced.calibration_.peaks, fitted.calibration_.peaks)
        assert not reduced.calibration_.proven and reduced.coreset == pytest.approx(0.25)
        reduced.save(tmp_path / "part.og")
        assert np.array_equal(onlygood.load(tmp_path / "part.og").score(bad), fitted.score(bad))
    assert np.array_equal(full.score(bad), before) and full.coreset == 1  # left as it was


def test_near_duplicates_stay_together_in_a_reduced_detector(good):
    images = [np.clip(image.astype(int) + shift, 0, 255).astype(np.uint8) for image in good for shift in (0, 1)]
    full = onlygood.REB(size=64).fit(images)
    assert full.calibration_.units < len(images)
    reduced = full.reduced(100)
    assert reduced.calibration_.units == full.calibration_.units


def test_other_rates_are_kept_in_a_reduced_detector(good):
    full = onlygood.KNN(size=64).fit(good)
    full.calibration_ = full.calibration_.at(0.3, 0.4)
    assert (full.reduced(50).calibration_.false_reject, full.reduced(50).calibration_.review) == (0.3, 0.4)


def test_several_reductions_are_each_the_single_one(good, bad):
    full = onlygood.REB(size=64).fit(good)
    for count, reduced in zip((20, 60, 200), full.reductions((20, 60, 200))):
        alone = full.reduced(count)
        assert len(reduced.bank_) == count
        assert np.array_equal(reduced.score(bad), alone.score(bad))
        assert np.array_equal(reduced.calibration_.scores, alone.calibration_.scores)


@pytest.mark.parametrize("vectors", [0, -1, 512, 9999])
def test_a_bank_cannot_be_reduced_to_nothing_or_to_itself(good, vectors):
    with pytest.raises(ParameterError, match="of 512"):
        onlygood.KNN(size=64).fit(good).reduced(vectors)


def test_a_coreset_cannot_be_reduced(good):
    with pytest.raises(ParameterError, match="Fit anew"):
        onlygood.PatchCore(size=64).fit(good).reduced(10)


def test_graph_and_exact_index_agree(good, bad):
    exact = onlygood.REB(size=64, index="exact").fit(good)
    graph = onlygood.REB(size=64, index="graph").fit(good)
    assert graph.score(bad) == pytest.approx(exact.score(bad), rel=0.02)


def test_add_equals_fitting_on_all(good, bad, tmp_path):
    grown = onlygood.REB(size=64).fit(good[:5]).add(good[5:])
    whole = onlygood.REB(size=64).fit(good)
    assert np.allclose(grown.score(bad), whole.score(bad))
    assert np.allclose(grown.calibration_.scores, whole.calibration_.scores)
    assert grown.training_.hashes == whole.training_.hashes
    grown.save(tmp_path / "grown.og")
    assert np.array_equal(
        onlygood.load(tmp_path / "grown.og").add([tile(90)]).score(bad), grown.add([tile(90)]).score(bad)
    )


def test_add_refuses_what_it_knows_and_coresets(good):
    detector = onlygood.REB(size=64).fit(good[:4])
    with pytest.raises(DataError, match="already"):
        detector.add([good[1]])
    assert detector.bank_.n_images == 4
    with pytest.raises(ParameterError, match="coreset"):
        onlygood.PatchCore(size=64).fit(good[:4]).add(good[4:])


def test_near_duplicates_are_left_out_together():
    """Three exposures of each part: leaving one image out alone finds its twin and promises too much."""
    rng = np.random.default_rng(0)
    parts = [np.clip(spoilt(i).astype(int) + rng.integers(-30, 30, (80, 80, 1)), 0, 255) for i in range(4)]
    images = [np.clip(part + shift, 0, 255).astype(np.uint8) for part in parts for shift in (0, 1, 2)]
    apart = onlygood.KNN(size=64, groups="none").fit(images)
    together = onlygood.KNN(size=64, groups="auto").fit(images)
    assert together.training_.groups == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert together.calibration_.units == pytest.approx(4)
    assert np.median(together.calibration_.scores) > np.median(apart.calibration_.scores)


def test_frames_of_one_part_are_warned_of_but_calibrated():
    frames = [np.clip(tile(0).astype(int) + shift, 0, 255).astype(np.uint8) for shift in range(12)]
    with pytest.warns(DataWarning, match="near duplicates of each other"):
        detector = onlygood.KNN(size=64).fit(frames)
    assert detector.calibration_.units == 12


def test_two_images_are_not_taken_for_duplicates(good):
    assert onlygood.KNN(size=64).fit(good[:2]).calibration_.units == 2


def test_auto_chooses_and_is_kept(good, bad, tmp_path):
    detector = onlygood.REB(size=64, k="auto", alpha="auto").fit(good)
    assert detector.training_.notes == {"k": detector.k_, "alpha": detector.alpha_}
    detector.save(tmp_path / "auto.og")
    assert np.array_equal(onlygood.load(tmp_path / "auto.og").score(bad), detector.score(bad))


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (onlygood.KNN, {"k": 0}),
        (onlygood.LDKNN, {"k": "many"}),
        (onlygood.LDKNN, {"alpha": -1}),
        (onlygood.LDKNN, {"density": "?"}),
        (onlygood.LDKNN, {"form": "?"}),
        (onlygood.LDKNN, {"distance": "?"}),
        (onlygood.LDOF, {"k": 1}),
        (onlygood.LOF, {"mode": "?"}),
        (onlygood.REB, {"fine_tune": "?"}),
        (onlygood.KNN, {"coreset": 0}),
        (onlygood.KNN, {"index": "?"}),
        (onlygood.KNN, {"aggregator": "?"}),
        (onlygood.KNN, {"backbone": "?"}),
        (onlygood.KNN, {"size": 70}),
    ],
)
def test_bad_parameters(good, kind, parameters):
    with pytest.raises(ParameterError):
        kind(**{"size": 64, **parameters}).fit(good)


def test_merged_groups():
    assert merged(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist() == [0, 0, 0, 1]


def test_bright_blot_is_ng_and_shown(good, bad):
    detector = onlygood.REB(size=64, false_reject=0.12, review=0.25).fit(good)
    result = detector.inspect(bad)[0]
    assert result.verdict == Verdict.NG
    left, top, right, bottom = result.regions[0].box
    assert left < 38 < right and top < 41 < bottom


def test_variable_k_is_a_labelled_oracle_that_contains_the_fixed_ones(good, bad):
    from onlygood.evaluation import auroc, variable_k

    detector = onlygood.LDKNN(size=64, k=3).fit(good)
    images, labels = [*[tile(s) for s in range(200, 206)], *bad], [0] * 6 + [1] * 4
    found = variable_k(detector, images, labels, ks=(1, 3, 5))
    assert found.oracle and found.image_auroc == max(found.by_k.values())
    assert found.by_k[3] == pytest.approx(auroc(labels, detector.score(images)))
    plain = onlygood.KNN(size=64).fit(good)
    assert found.by_k[0] == pytest.approx(auroc(labels, plain.score(images)))


@pytest.mark.parametrize("fine_tune", ["quick", "auto"])
def test_reb_fine_tunes_the_backbone_and_says_so(good, bad, tmp_path, monkeypatch, fine_tune):
    from onlygood.synthesis import pretext, recipes

    tiny = dataclasses.replace(recipes.Recipe.QUICK, updates=2, warmup=1, passes=1, sources=2, size=64)
    monkeypatch.setattr(pretext, "recipe", lambda name: tiny)
    detector = onlygood.REB(size=64, fine_tune=fine_tune).fit(good)
    tuned = fine_tune == "quick" or detector.training_.notes["fine_tune"] == "quick"
    assert detector.graph_.spec.fine_tuned == ("quick, 2 of 2 updates" if tuned else "")
    if fine_tune == "auto":
        assert set(detector.training_.notes["synthetic_auroc"]) == {"none", "quick"}
    detector.save(tmp_path / "tuned.og")
    assert np.array_equal(onlygood.load(tmp_path / "tuned.og").score(bad), detector.score(bad))
    plain = onlygood.REB(size=64).fit(good)
    assert np.array_equal(plain.score(bad), detector.score(bad)) != tuned


def test_layers_and_weights_survive_saving(good, bad, tmp_path):
    detector = onlygood.KNN(size=64, layers=("blocks.2", "blocks.4"), weights="random").fit(good)
    assert detector.graph_.spec.backbone.startswith("random/")
    detector.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert list(again.layers) == ["blocks.2", "blocks.4"] and again.weights == "random"
    assert np.array_equal(again.score(bad), detector.score(bad))


@pytest.mark.parametrize("index", ["exact", "graph"])
@pytest.mark.parametrize("density", ["bank", "cross_image"])
def test_a_bank_that_is_spilled_to_a_file_gives_the_same_detector(good, tmp_path, monkeypatch, index, density):
    def fitted(name):
        detector = onlygood.LDKNN(size=64, k=3, density=density, index=index).fit(good)
        detector.save(tmp_path / name)
        return detector.score(good), detector.calibration_.scores, detector.stats_["density"]

    in_memory = fitted("memory.og")
    monkeypatch.setattr("onlygood.memory.spill.IN_MEMORY", 0)
    for mine, other in zip(fitted("spilled.og"), in_memory, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert onlygood.load(tmp_path / "spilled.og").score(good) == pytest.approx(in_memory[0], rel=1e-6, abs=1e-4)


def test_no_room_to_spill_the_bank_is_said(good, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("onlygood.memory.spill.IN_MEMORY", 0)
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=r"patch vectors.*No space left.*TMPDIR"):
        onlygood.KNN(size=64).fit(good)
