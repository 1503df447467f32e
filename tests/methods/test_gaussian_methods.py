"""PaDiM, DFM and GDE against SciPy and scikit-learn, and their calibration against fitting without an image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from drawn_parts import spoilt

import onlygood
from onlygood.errors import DataWarning, ParameterError
from onlygood.images import as_sources
from onlygood.memory.threads import one_thread
from onlygood.methods.anomaly_map import anomaly_map, image_score

decomposition = pytest.importorskip("sklearn.decomposition")
distance = pytest.importorskip("scipy.spatial.distance")


def features(detector, images) -> np.ndarray:
    return np.stack([detector.graph_.features(source)[0] for source in as_sources(images)])


def padim_patches(query: np.ndarray, train: np.ndarray, eps: float) -> np.ndarray:
    """Mahalanobis distance at each position, literally: `(h, w, d)` against `(n, h, w, d)`."""
    h, w, d = query.shape
    out = np.empty((h, w))
    with one_thread():
        for y in range(h):
            for x in range(w):
                at = train[:, y, x].astype(float)
                inverse = np.linalg.inv(np.cov(at, rowvar=False) + eps * np.eye(d))
                out[y, x] = distance.mahalanobis(query[y, x], at.mean(axis=0), inverse)
    return out


def test_padim_scores_map_and_calibration_against_scipy(good, bad):
    detector = onlygood.PaDiM(size=64, d=12, eps=0.05, groups="none", image_score="max").fit(good)
    assert detector.graph_.spec.grid == (16, 16) and detector.graph_.spec.dim == 24 + 40 + 112
    channels = detector.channels_
    assert len(set(channels.tolist())) == 12 and channels.max() < 176
    train = features(detector, good)[..., channels]
    query = features(detector, bad[:1])[0][..., channels]
    expected = padim_patches(query, train, 0.05)
    found = detector.inspect(bad[:1])[0]
    assert found.score == pytest.approx(expected.max(), rel=1e-4)
    np.testing.assert_allclose(found.map, anomaly_map(expected.astype(np.float32), 64), rtol=1e-3)
    for image in (0, 5):
        left_out = padim_patches(train[image], np.delete(train, image, axis=0), 0.05)
        assert detector.calibration_.scores[image] == pytest.approx(left_out.max(), rel=1e-4)
        peak = anomaly_map(left_out.astype(np.float32), 64).max()
        assert detector.calibration_.peaks[image] == pytest.approx(peak, rel=1e-3)


def test_channels_of_padim_are_drawn_by_the_seed_or_taken_from_the_front(good, bad):
    first = onlygood.PaDiM(size=64, d=10, selection="first").fit(good[:3])
    assert first.channels_.tolist() == list(range(10))
    drawn = [onlygood.PaDiM(size=64, d=10, seed=seed).fit(good[:3]).channels_.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    every = onlygood.PaDiM(size=64, d=10_000, layers=("blocks.10",)).fit(good[:3])
    assert every.channels_.tolist() == list(range(112))


def test_padims_file_holds_the_triangles_only(good, tmp_path):
    detector = onlygood.PaDiM(size=64, d=20).fit(good[:3])
    detector.save(tmp_path / "part.og")
    from onlygood.modelfile import read_parts

    assert read_parts(tmp_path / "part.og").tensors["whitening"].shape == (256, 210)


def exposures() -> list[np.ndarray]:
    """Three exposures of each of four parts."""
    rng = np.random.default_rng(0)
    parts = [np.clip(spoilt(i).astype(int) + rng.integers(-30, 30, (80, 80, 1)), 0, 255) for i in range(4)]
    return [np.clip(part + shift, 0, 255).astype(np.uint8) for part in parts for shift in (0, 1, 2)]


@pytest.mark.parametrize("kind", [onlygood.PaDiM, onlygood.DFM])
def test_near_duplicates_are_left_out_together(kind):
    images = exposures()
    apart = kind(size=64, groups="none").fit(images)
    together = kind(size=64).fit(images)
    assert together.training_.groups == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert together.calibration_.units == pytest.approx(4)
    assert np.median(together.calibration_.scores) > np.median(apart.calibration_.scores)


@pytest.mark.parametrize("kind", [onlygood.PaDiM, onlygood.DFM])
def test_two_images_are_enough_to_calibrate(kind, good):
    assert kind(size=64).fit(good[:2]).calibration_.units == 2


@pytest.mark.parametrize("kind", [onlygood.PaDiM, onlygood.DFM])
def test_frames_of_one_part_are_warned_of(kind, good):
    frames = [np.clip(good[0].astype(int) + shift, 0, 255).astype(np.uint8) for shift in range(12)]
    with pytest.warns(DataWarning, match="near duplicates of each other"):
        assert kind(size=64).fit(frames).calibration_.units == 12


def dfm_patches(query: np.ndarray, train: np.ndarray, components: float) -> np.ndarray:
    """Squared reconstruction error of each pooled cell by scikit-learn: `(4, 4, c)` against `(n, 4, 4, c)`."""
    pooled = [m.reshape(-1, 2, 2, 2, 2, m.shape[-1]).mean(axis=(2, 4)) for m in (query[None], train)]
    flat = [m.reshape(len(m), -1).astype(float) for m in pooled]
    pca = decomposition.PCA(components, svd_solver="full").fit(flat[1])
    error = flat[0] - pca.inverse_transform(pca.transform(flat[0]))
    return (error.reshape(2, 2, -1) ** 2).sum(axis=2)


@pytest.mark.parametrize("components", [0.8, 0.97, 3])
def test_dfm_scores_and_calibration_against_scikit_learn(good, bad, components):
    options = {"components": components, "groups": "none"}
    detector = onlygood.DFM.from_preset("released", size=64, **options).fit(good)
    assert detector.graph_.spec.layers == ("blocks.10",) and detector.graph_.spec.grid == (4, 4)
    train = features(detector, good)
    for query, score in zip(features(detector, bad), detector.score(bad)):
        assert score == pytest.approx(dfm_patches(query, train, components).sum(), rel=1e-4)
    for image, score in enumerate(detector.calibration_.scores):
        left_out = dfm_patches(train[image], np.delete(train, image, axis=0), components)
        assert score == pytest.approx(left_out.sum(), rel=1e-4)
    assert detector.training_.notes["components"] == len(detector.subspace_.axes)


def test_dfms_map_is_not_blurred_in_the_released_code(good, bad):
    detector = onlygood.DFM.from_preset("released", size=64).fit(good)
    patches = detector._patch_scores(features(detector, bad[:1])[0])
    torch = pytest.importorskip("torch")
    wanted = torch.nn.functional.interpolate(torch.from_numpy(patches)[None, None], size=(64, 64), mode="bilinear")
    found = detector.inspect(bad[:1])[0]
    np.testing.assert_allclose(found.map, wanted[0, 0], rtol=1e-4)
    assert found.score == pytest.approx(patches.sum(), rel=1e-5)


def test_dfms_likelihood_is_of_the_whole_image(good, bad, tmp_path):
    detector = onlygood.DFM.from_preset("paper", size=64, groups="none").fit(good)
    assert not detector.has_map and detector.inspect(bad[:1])[0].map is None
    assert len(detector.calibration_.peaks) == 0
    assert detector.score(bad).min() > detector.calibration_.scores.max()
    train, count = features(detector, good), len(detector.subspace_.axes)
    flat = train.reshape(-1, 2, 2, 2, 2, train.shape[-1]).mean(axis=(2, 4)).reshape(len(train), -1).astype(float)
    for image, score in enumerate(detector.calibration_.scores):  # of as many components as without any left out
        rest = np.delete(flat, image, axis=0)
        pca = decomposition.PCA(count, svd_solver="full").fit(rest)
        variances = pca.explained_variance_ * (len(rest) - 1) / len(rest)
        z = pca.transform(flat[image : image + 1])[0]
        assert score == pytest.approx((z**2 / variances).sum() + np.log(variances).sum(), rel=1e-3)
    detector.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert not again.has_map and np.array_equal(again.score(bad), detector.score(bad))


def test_a_pool_that_does_not_fit_is_refused(good):
    with pytest.raises(ParameterError, match="4 x 4"):
        onlygood.DFM(size=64, pool=3).fit(good)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (onlygood.PaDiM, {"d": 0}),
        (onlygood.PaDiM, {"selection": "?"}),
        (onlygood.PaDiM, {"eps": 0}),
        (onlygood.PaDiM, {"aggregator": "pooled"}),
        (onlygood.DFM, {"components": 0}),
        (onlygood.DFM, {"components": 2.5}),
        (onlygood.DFM, {"components": True}),
        (onlygood.DFM, {"form": "?"}),
        (onlygood.DFM, {"pool": 0}),
        (onlygood.DFM, {"map_sigma": -1}),
    ],
)
def test_bad_parameters(good, kind, parameters):
    with pytest.raises(ParameterError):
        kind(size=64, **parameters).fit(good[:3])


def test_gde_against_scikit_learn(good, bad):
    covariance = pytest.importorskip("sklearn.covariance")
    detector = onlygood.GDE(size=64).fit(good)

    def unit(images):
        vectors = features(detector, images)[:, 0, 0].astype(float)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    train = unit(good)
    with one_thread():
        model = covariance.LedoitWolf().fit(train)
        left_out = [covariance.LedoitWolf().fit(np.delete(train, image, axis=0)) for image in range(len(good))]
    assert detector.score(bad) == pytest.approx(np.sqrt(model.mahalanobis(unit(bad))), rel=1e-4)
    for image, (score, rest) in enumerate(zip(detector.calibration_.scores, left_out)):
        assert score == pytest.approx(np.sqrt(rest.mahalanobis(train[[image]]))[0], rel=1e-4)


def test_folds_keep_groups_together():
    from onlygood.methods.leaving_out import folds

    groups = np.repeat(np.arange(50), 3)
    found = folds(groups, 0)
    assert len(np.unique(found)) == 20
    assert all(len(np.unique(found[groups == group])) == 1 for group in range(50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(folds(np.arange(7), 3).tolist()) == list(range(7))


def test_sum_and_maximum_of_the_map():
    patches = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert image_score(patches, "sum") == pytest.approx(patches.sum())
    assert image_score(patches, "map_max", 64, 2.0) == anomaly_map(patches, 64, 2.0).max()
