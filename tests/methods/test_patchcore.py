"""PatchCore's re-weighting and DN2 against literal loops and scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onlygood
from onlygood.errors import ParameterError, ParameterWarning
from onlygood.images import as_sources
from onlygood.memory.bank import halved
from onlygood.memory.scores import reweighted
from onlygood.methods.anomaly_map import image_score

BANK = np.array([(0, 0), (1, 0), (0, 2), (5, 5)], float)


def literal(patches: np.ndarray, bank: np.ndarray, b: int) -> float:
    """PatchCore's image score as its equations 6 and 7 read."""
    distances = np.linalg.norm(patches[:, None] - bank[None], axis=2)
    star = distances.min(axis=1).argmax()
    m_star = distances[star].argmin()
    support = np.argsort(np.linalg.norm(bank - bank[m_star], axis=1), kind="stable")[:b]
    w = 1 - np.exp(distances[star, m_star]) / np.exp(distances[star, support]).sum()
    return w * distances[star, m_star]


@pytest.mark.parametrize(("b", "w", "score"), [(1, 0, 0), (2, 0.73106, 1.46212), (3, 0.88504, 1.77009)])
def test_reweighting_by_hand(b, w, score):
    """methods.md, oracle 5."""
    highest = np.array([(3.0, 0.0)])
    order = np.argsort(np.linalg.norm(BANK - BANK[1], axis=1), kind="stable")[:b]
    support = np.linalg.norm(BANK[order] - highest, axis=1)
    assert reweighted(np.array([2.0]), support[None])[0] == pytest.approx(2 * w, abs=2e-5)
    assert literal(highest, BANK, b) == pytest.approx(score, abs=1e-5)


def test_reweighting_without_the_nearest_itself_as_btf_has_it():
    """methods.md, oracle 5: b = 3, m* dropped, distances over the root of the feature length."""
    distances = np.linalg.norm(BANK[[0, 2]] - (3.0, 0.0), axis=1)
    assert reweighted(np.array([2.0]), distances[None], np.sqrt(2))[0] == pytest.approx(1.61091, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.floats(0, 300), st.integers(0, 10**6))
def test_weights_lie_between_one_minus_one_over_b_and_one(b, far, seed):
    """The nearest is never farther than the others, and no distance is too long for the exponential."""
    others = far + np.random.default_rng(seed).uniform(0, 50, b - 1)
    score = reweighted(np.array([far]), np.array([[far, *others]]))[0]
    assert (1 - 1 / b - 1e-6) * far <= score <= far * (1 + 1e-6)


@pytest.mark.parametrize("index", ["exact", "graph"])
@pytest.mark.parametrize("b", [2, 9])
def test_image_scores_and_calibration_against_the_equations(good, bad, index, b):
    options = {"b": b, "distance": "euclidean", "image_score": "max", "index": index, "groups": "none"}
    detector = onlygood.PatchCore(size=64, coreset=1.0, **options).fit(good)
    bank, image_of = detector.bank_.vectors.astype(float), detector.bank_.image_of
    for source, score in zip(as_sources(bad), detector.score(bad)):
        patches = halved(detector.graph_.features(source)[0]).astype(float).reshape(64, -1)
        assert score == pytest.approx(literal(patches, bank, b), rel=1e-4)
    for image, score in enumerate(detector.calibration_.scores):
        expected = literal(bank[image_of == image], bank[image_of != image], b)
        assert score == pytest.approx(expected, rel=1e-3)


def test_reweighting_within_a_coreset_leaves_the_own_image_out(good, bad):
    detector = onlygood.PatchCore.from_preset("paper", size=64, groups="none", b=3).fit(good)
    full = onlygood.KNN(size=64, groups="none").fit(good).bank_
    bank, image_of = detector.bank_.vectors.astype(float), detector.bank_.image_of
    assert len(bank) == int(0.1 * len(full))
    for image, score in enumerate(detector.calibration_.scores):
        own = full.vectors[full.image_of == image].astype(float)
        assert score == pytest.approx(literal(own, bank[image_of != image], 3), rel=1e-3)
    assert not detector.calibration_.proven


def test_reweighting_among_equal_vectors():
    """Twins of m* in the bank count as neighbours; the weight is that of the equations."""
    images = [np.full((64, 64, 3), value, np.uint8) for value in (100, 100, 140)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = onlygood.PatchCore(size=64, coreset=1.0, b=4, image_score="max", distance="euclidean").fit(images)
    query = np.full((64, 64, 3), 200, np.uint8)
    patches = halved(detector.graph_.features(as_sources([query])[0])[0]).astype(float).reshape(64, -1)
    expected = literal(patches, detector.bank_.vectors.astype(float), 4)
    assert detector.score([query])[0] == pytest.approx(expected, rel=1e-4)


def test_more_neighbours_than_the_bank_has(good, bad):
    detector = onlygood.PatchCore(size=64, b=1000, image_score="max", distance="euclidean").fit(good)
    bank = detector.bank_.vectors.astype(float)
    patches = halved(detector.graph_.features(as_sources(bad)[0])[0]).astype(float).reshape(64, -1)
    assert detector.score(bad[:1])[0] == pytest.approx(literal(patches, bank, 1000), rel=1e-4)


def test_one_neighbour_is_warned_of_and_scores_nothing(good, bad):
    with pytest.warns(ParameterWarning, match="every image score"):
        detector = onlygood.PatchCore(size=64, b=1, distance="euclidean", image_score="max").fit(good)
    assert (detector.score([*good, *bad]) == 0).all()


def test_the_official_code_does_not_reweight(good, bad):
    released = onlygood.PatchCore.from_preset("released", size=64).fit(good)
    assert (released.b, released.distance, released.graph_.spec.aggregator) == (0, "sqeuclidean", "adaptive")
    features = released.graph_.features(as_sources(bad)[0])[0]
    assert released.score(bad[:1])[0] == image_score(released._patch_scores(features), "max")


def test_neighbourhood_is_a_parameter_and_is_recorded(good, bad, tmp_path):
    detector = onlygood.PatchCore(size=64, patch_size=5).fit(good[:4])
    assert detector.graph_.spec.patch == 5
    detector.save(tmp_path / "part.og")
    assert onlygood.load(tmp_path / "part.og").score(bad[:1]) == detector.score(bad[:1])
    assert onlygood.PatchCore(size=64).fit(good[:4]).score(bad[:1]) != detector.score(bad[:1])


def test_paper_preset_survives_the_file(good, bad, tmp_path):
    detector = onlygood.PatchCore.from_preset("paper", size=64).fit(good)
    detector.save(tmp_path / "part.og")
    assert np.array_equal(onlygood.load(tmp_path / "part.og").score(bad), detector.score(bad))


@pytest.mark.parametrize(
    "parameters",
    [
        {"b": -1},
        {"b": 2.5},
        {"b": 9, "distance": "euclidean", "image_score": "smoothed_max"},
        {"b": 9},
        {"b": 9, "distance": "euclidean", "k": 2},
        {"patch_size": 4},
        {"distance": "?"},
        {"aggregator": "pooled"},
    ],
)
def test_bad_parameters_of_patchcore(good, parameters):
    with pytest.raises(ParameterError):
        onlygood.PatchCore(size=64, **{"image_score": "max", **parameters}).fit(good[:3])


def test_a_coreset_that_only_one_image_is_in(good):
    with pytest.raises(ParameterError, match=r"coreset=0\.01 keeps 1 vectors"):
        onlygood.PatchCore(size=64, coreset=0.01).fit(good[:2])


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
def test_dn2_against_scikit_learn(good, bad, distance):
    neighbors = pytest.importorskip("sklearn.neighbors")
    detector = onlygood.DN2(size=64, distance=distance).fit(good)
    bank = detector.bank_.vectors.astype(np.float32)
    assert bank.shape == (8, 320)

    def expected(query, among):
        found = neighbors.NearestNeighbors(n_neighbors=2).fit(among).kneighbors(query)[0]
        return (found**2 if distance == "sqeuclidean" else found).mean(axis=1)

    queries = np.stack([halved(detector.graph_.features(s)[0])[0, 0] for s in as_sources(bad)]).astype(np.float32)
    assert detector.score(bad) == pytest.approx(expected(queries, bank), rel=1e-4)
    for image in range(len(good)):
        left_out = expected(bank[[image]], np.delete(bank, image, axis=0))
        assert detector.calibration_.scores[image] == pytest.approx(left_out[0], rel=1e-4)
    assert detector.calibration_.proven and not detector.has_map


def test_a_theorem_needs_k_neighbours_for_every_left_out_image(good):
    """With fewer the farthest found stands for the missing, and a larger bank may then raise a score."""
    assert not onlygood.DN2(size=64).fit(good[:2]).calibration_.proven
    assert onlygood.DN2(size=64).fit(good[:3]).calibration_.proven


def test_dn2_grows_and_takes_the_layers_it_is_given(good, bad):
    grown = onlygood.DN2(size=64).fit(good[:5]).add(good[5:])
    assert np.allclose(grown.score(bad), onlygood.DN2(size=64).fit(good).score(bad))
    two = onlygood.DN2(size=64, layers=("blocks.4", "blocks.10")).fit(good)
    assert two.graph_.spec.dim == 152 and np.isfinite(two.score(bad)).all()


@pytest.mark.parametrize("kind", [onlygood.DN2, onlygood.GDE])
def test_image_level_methods_refuse_patch_features(good, kind):
    with pytest.raises(ParameterError, match="pooled"):
        kind(size=64, aggregator="concat").fit(good)
    assert not kind().has_map and onlygood.KNN().has_map
