"""BTF and BTM: on pictures and on made-up scans, against brute force, and what only they can do.

The scans are synthetic: what is shown of them here is behaviour, no accuracy.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import onlygood
from made_scans import OF_BOTH, OF_COLOUR, OF_SHAPE, made_scan
from onlygood.errors import DataError, DataWarning, ImageError, MissingDependencyError, ParameterError
from onlygood.features.geometry import Geometry
from onlygood.features.pooling import mean_and_pool_matrix
from onlygood.images import DepthMap, ImageSource
from onlygood.inspection import Verdict
from onlygood.methods.anomaly_map import anomaly_map
from onlygood.methods.scan_bank import balance

#: Small enough to fit in a moment.
QUICK = {"size": 64, "neighbours": 24, "normal_neighbours": 10}
BOTH = (onlygood.BTF, onlygood.BTM)


def scan(seed: int, defect: str | None = None, side: int = 64) -> ImageSource:
    made = made_scan(seed, defect, side)
    return ImageSource(f"{defect or 'good'} {seed}", made.rgb, made.xyz)


@pytest.fixture(scope="module", autouse=True)
def _once():
    """FPFH of the same points is the same; to keep these tests fast it is computed once."""
    known: dict[tuple, np.ndarray] = {}
    compute = Geometry.of_points

    def of_points(self, points, name, threads=None):
        key = points.tobytes(), self.neighbours, self.radius, self.normal_neighbours, self.normal_radius
        if key not in known:
            known[key] = compute(self, points, name, threads)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Geometry, "of_points", of_points)
        yield


@pytest.fixture(scope="module")
def parts() -> list[ImageSource]:
    return [scan(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def others() -> dict[str, list[ImageSource]]:
    """Further good scans, and two of each defect."""
    kinds = (*OF_SHAPE, *OF_COLOUR, *OF_BOTH)
    return {"good": [scan(seed) for seed in range(100, 104)]} | {
        kind: [scan(seed, kind) for seed in (200, 201)] for kind in kinds
    }


@pytest.fixture(scope="module")
def fitted(parts):
    """Detectors on the parts by method and modality, each fitted once."""
    known: dict[tuple[str, str], onlygood.Detector] = {}

    def get(kind: type, modality: str):
        key = kind.method, modality
        if key not in known:
            known[key] = kind(modality=modality, **QUICK).fit(parts)
        return known[key]

    return get


# what each modality can see


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("modality", ["rgb", "fpfh", "rgb+fpfh"])
def test_shape_is_seen_by_geometry_and_colour_by_the_picture(fitted, others, kind, modality):
    """Light comes from all sides: a dent leaves no trace in the picture, and a stain none in the points."""
    detector = fitted(kind, modality)
    of_good = detector.score(others["good"])
    without = detector.score([scan(200), scan(201)])  # the same parts before they were spoilt
    for defect in (*OF_SHAPE, *OF_COLOUR, *OF_BOTH):
        scores = detector.score(others[defect])
        if (modality == "rgb" and defect in OF_SHAPE) or (modality == "fpfh" and defect in OF_COLOUR):
            np.testing.assert_allclose(scores, without, rtol=0.02, err_msg=defect)
        else:
            assert (scores > of_good.max()).all() and (scores > 1.1 * without).all(), defect


@pytest.mark.parametrize(
    ("modality", "defect"), [("fpfh", "dent"), ("rgb", "stain"), ("rgb+fpfh", "bump"), ("rgb+fpfh", "hole")]
)
def test_the_map_shows_where(fitted, modality, defect):
    made = made_scan(300, defect)
    found = fitted(onlygood.BTM, modality).inspect([ImageSource("part", made.rgb, made.xyz)])[0]
    highest = np.unravel_index(found.map.argmax(), found.map.shape)
    apart = np.hypot(*(np.argwhere(made.mask) - highest).T).min()
    assert apart < 8  # in the defect or in the patch beside it


# the scores, literally


def squared_distances(a, b):
    return ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(axis=2)


def test_btm_against_brute_force(parts, others):
    detector = onlygood.BTM(coreset=1.0, image_score="max", groups="none", **QUICK).fit(parts[:5])
    bank, image_of = detector.bank_.vectors, detector.bank_.image_of
    for source in (others["dent"][0], others["stain"][0], others["good"][0]):
        features = detector._features_at(source)[0]
        d = np.sort(squared_distances(features.reshape(-1, features.shape[-1]), bank), axis=1)
        found = detector.inspect([source])[0]
        assert found.score == pytest.approx(np.sqrt(d[:, 0]).max(), rel=1e-5)
        patches = d[:, :3].mean(axis=1).reshape(8, 8).astype(np.float32)
        np.testing.assert_allclose(found.map, anomaly_map(patches, 64, 4.0, 15), rtol=1e-4)
    for image in range(5):  # calibration: each image against the others
        d = squared_distances(bank[image_of == image], bank[image_of != image])
        assert detector.calibration_.scores[image] == pytest.approx(np.sqrt(d.min(axis=1)).max(), rel=1e-4)


def test_btm_of_a_part_of_the_bank(parts):
    """methods.md, oracle 13."""
    detector = onlygood.BTM(coreset=1.0, **QUICK).fit(parts[:4])
    assert detector.score([parts[2]])[0] == 0
    patches = detector._scores_of(parts[2])[0]
    bank = detector.bank_.vectors
    d = np.sort(squared_distances(bank[detector.bank_.image_of == 2], bank), axis=1)[:, :3]
    np.testing.assert_allclose(patches.ravel(), d.mean(axis=1), rtol=1e-4)
    assert (d[:, 0] == 0).all() and (patches > 0).all()


@pytest.mark.parametrize(("distance", "power"), [("sqeuclidean", 2), ("euclidean", 1)])
def test_btm_with_other_neighbours(good, bad, distance, power):
    detector = onlygood.BTM(size=64, k=4, k_image=2, distance=distance, image_score="max", map_taps=None).fit(good)
    features = detector._features_at(onlygood.images.as_sources(bad)[0])[0]
    queries = features.reshape(-1, features.shape[-1])
    d = np.sort(np.sqrt(squared_distances(queries.astype(np.float16), detector.bank_.vectors)), axis=1)
    found = detector.inspect(bad[:1])[0]
    assert found.score == pytest.approx(d[:, :2].mean(axis=1).max(), rel=1e-4)
    patches = (d[:, :4] ** power).mean(axis=1).reshape(8, 8).astype(np.float32)
    np.testing.assert_allclose(found.map, anomaly_map(patches, 64, 4.0), rtol=1e-3)


def literal_btf(features, bank, b):
    d = np.sqrt(squared_distances(features, bank))
    highest = d.min(axis=1).argmax()
    nearest = d[highest].argmin()
    among = np.sqrt(squared_distances(bank[nearest : nearest + 1], bank))[0]
    others = np.argsort(among, kind="stable")[1:b]
    root = np.sqrt(features.shape[1])
    weight = 1 - np.exp(d[highest, nearest] / root) / np.exp(d[highest, others] / root).sum()
    return weight * d[highest, nearest]


@pytest.mark.parametrize("coreset", [1.0, 0.3])
def test_btf_against_brute_force(parts, others, coreset):
    detector = onlygood.BTF(coreset=coreset, groups="none", **QUICK).fit(parts[:5])
    bank, image_of = detector.bank_.vectors, detector.bank_.image_of
    for source in (others["dent"][0], others["stain"][0], others["good"][0]):
        features = detector._features_at(source)[0]
        expected = literal_btf(features.reshape(-1, features.shape[-1]), bank, 3)
        assert detector.score([source])[0] == pytest.approx(expected, rel=1e-4)
    for image in range(5):  # each image against the bank without its own patches
        features = detector._features_at(parts[image])[0]
        expected = literal_btf(features.reshape(-1, features.shape[-1]), bank[image_of != image], 3)
        assert detector.calibration_.scores[image] == pytest.approx(expected, rel=1e-3)


def test_btf_with_a_plain_maximum(good, bad):
    plain = onlygood.BTF(size=64, image_score="max").fit(good)
    full = onlygood.BTM(size=64, image_score="max").fit(good)
    np.testing.assert_allclose(plain.score(bad), full.score(bad), rtol=1e-6)
    assert (onlygood.BTF(size=64).fit(good).score(bad) < plain.score(bad)).all()  # the weight is below 1


# modalities and patch vectors


def test_auto_takes_what_there_is(parts, good):
    assert onlygood.BTM(size=64).fit(good).modality_ == "rgb"
    detector = onlygood.BTM(**QUICK).fit(parts[:3])
    assert detector.modality_ == "rgb+fpfh"
    assert detector.training_.notes == {"modality": "rgb+fpfh", "geometry_weight": detector.geometry_weight_}
    bare = [ImageSource(p.name, None, p.points) for p in parts[:3]]
    assert onlygood.BTM(**QUICK).fit(bare).modality_ == "fpfh"


def test_a_patch_vector_is_colour_and_weighted_geometry(fitted, parts):
    colour, geometry = (fitted(onlygood.BTM, m)._features_at(parts[1])[0] for m in ("rgb", "fpfh"))
    both = onlygood.BTM(geometry_weight=0.5, **QUICK).fit(parts[:3])._features_at(parts[1])[0]
    assert (colour.shape, geometry.shape, both.shape) == ((8, 8, 152), (8, 8, 33), (8, 8, 185))
    np.testing.assert_allclose(both[..., :152], colour, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(both[..., 152:], 0.5 * geometry, rtol=2e-3, atol=1e-3)


def test_geometry_is_pooled_as_the_picture_is(parts):
    """BTF's means lose the border, BTM's are padded with zeros."""
    both = {a: onlygood.BTM(modality="fpfh", aggregator=a, **QUICK).fit(parts[:2]) for a in ("btf", "btm", "concat")}
    corner = {a: detector._features_at(parts[0])[0][0, 0].sum() for a, detector in both.items()}
    assert corner["btm"] == corner["concat"] < corner["btf"]
    share = mean_and_pool_matrix(64, 8, True).sum(axis=1)[0] ** 2
    assert corner["btm"] == pytest.approx(share * corner["btf"], rel=0.05)


def test_balanced_parts_have_the_same_variance():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(3, 0.2, (500, 7)), rng.normal(0, 40, (500, 4))], axis=1).astype(np.float16)
    weight = balance(vectors, 7)
    assert pytest.approx(4 * (40 * weight) ** 2, rel=0.1) == 7 * 0.2**2
    vectors[:, 7:] = 5
    assert balance(vectors, 7) == 1


def test_the_balance_follows_the_data(parts, fitted):
    detector = fitted(onlygood.BTM, "rgb+fpfh")
    full = onlygood.BTM(coreset=1.0, **QUICK).fit(parts)
    assert full.geometry_weight_ == detector.geometry_weight_
    variances = full.bank_.vectors.astype(np.float64).var(axis=0)
    assert variances[:152].sum() == pytest.approx(variances[152:].sum(), rel=0.01)


def test_a_depth_map_serves_as_well(parts, others):
    depth = [
        (p.name, p.content, np.where(np.isnan(p.read_points()[..., 2]), 0, p.read_points()[..., 2])) for p in parts
    ]
    camera = {"fx": 1.3 * 64, "fy": 1.3 * 64, "cx": 31.5, "cy": 31.5}
    detector = onlygood.BTM(modality="fpfh", **QUICK).fit(
        [ImageSource(n, c, DepthMap(d, **camera)) for n, c, d in depth]
    )
    whole = onlygood.BTM(modality="fpfh", **QUICK).fit(parts)
    np.testing.assert_allclose(detector.score(others["dent"]), whole.score(others["dent"]), rtol=0.05)


@pytest.mark.parametrize("modality", ["rgb", "rgb+fpfh"])
def test_foreground_makes_the_table_not_count(parts, others, modality, tmp_path):
    """A stripe on the table is an anomaly of the picture, and none of the part."""
    detector = onlygood.BTM(modality=modality, foreground=0.003, image_score="max", **QUICK).fit(parts[:5])
    whole = onlygood.BTM(modality=modality, image_score="max", **QUICK).fit(parts[:5])
    picture = others["good"][0].content.copy()
    picture[2:6, 8:50] = 250
    striped = ImageSource("striped", picture, others["good"][0].points)
    assert detector.score([striped])[0] == pytest.approx(detector.score(others["good"][:1])[0], rel=1e-5)
    assert whole.score([striped])[0] > 1.3 * whole.score(others["good"]).max()
    assert detector.score(others["stain"]).min() > detector.score(others["good"]).max()
    detector.save(tmp_path / "part.og")
    np.testing.assert_array_equal(onlygood.load(tmp_path / "part.og").score([striped]), detector.score([striped]))


def test_foreground_needs_points(good):
    with pytest.raises(DataError, match="without 3-D points"):
        onlygood.BTM(foreground=0.005, size=64).fit(good[:2])


# the contract of every detector, on scans


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("modality", ["fpfh", "rgb+fpfh"])
def test_save_and_load(fitted, others, tmp_path, kind, modality):
    detector = fitted(kind, modality)
    detector.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert (again.modality_, again.geometry_weight_) == (modality, detector.geometry_weight_)
    assert again.get_params() == detector.get_params() and again.training_ == detector.training_
    for a, b in zip(detector.inspect(others["dent"]), again.inspect(others["dent"])):
        assert (a.score, a.verdict, a.regions, a.size) == (b.score, b.verdict, b.regions, b.size)
        np.testing.assert_array_equal(a.map, b.map)


def test_inspections_of_scans(fitted):
    wide = made_scan(7, "dent", 96)
    source = ImageSource("wide", wide.rgb[:, :80], wide.xyz[:, :80])
    for modality in ("fpfh", "rgb+fpfh"):
        found = fitted(onlygood.BTM, modality).inspect([source], original_size=True)[0]
        assert found.size == (80, 96) and found.map.shape == (96, 80)
        assert isinstance(found.verdict, Verdict) and 0 < found.p_value <= 1


def test_adding_equals_fitting_on_all(parts, others):
    weights = {"geometry_weight": 0.7, "coreset": 1.0, **QUICK}
    grown = onlygood.BTM(**weights).fit(parts[:3]).add(parts[3:5])
    whole = onlygood.BTM(**weights).fit(parts[:5])
    np.testing.assert_allclose(grown.score(others["dent"]), whole.score(others["dent"]), rtol=1e-5)
    np.testing.assert_allclose(grown.calibration_.scores, whole.calibration_.scores, rtol=1e-5)
    with pytest.raises(DataError, match="already"):
        grown.add(parts[4:5])


def test_same_seed_same_scores_and_threads_agree(parts, others):
    runs = [onlygood.BTM(threads=threads, **QUICK).fit(parts[:4]).score(others["bump"]) for threads in (1, 2)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-5)


def test_one_scan_and_copies(parts):
    with pytest.warns(DataWarning, match="single image"):
        detector = onlygood.BTM(**QUICK).fit(parts[:1])
    assert {r.verdict for r in detector.inspect(parts[:2])} == {Verdict.REVIEW}
    with pytest.warns(DataWarning, match="same picture"):
        onlygood.BTM(**QUICK).fit([*parts[:3], parts[0]])


def test_missing_points_are_borne(parts, others):
    """A third of the points gone at random: scores stay finite, and good scans like it can be fitted on."""
    rng = np.random.default_rng(0)

    def thinned(source):
        points = source.points.copy()
        points[rng.random(points.shape[:2]) < 0.33] = np.nan
        return ImageSource(source.name, source.content, points)

    detector = onlygood.BTM(modality="fpfh", **QUICK).fit([thinned(p) for p in parts])
    scores = detector.score([thinned(p) for p in [*others["good"], *others["dent"]]])
    assert np.isfinite(scores).all() and scores[:4].max() < scores[4:].min()


def test_hardly_any_points_are_told(parts, fitted):
    """A scan that the sensor nearly lost is unlike every good one."""
    points = np.zeros((64, 64, 3), np.float32)
    points[30:32, 30:32] = parts[0].points[30:32, 30:32]
    lost = fitted(onlygood.BTM, "fpfh").score([ImageSource("lost", parts[0].content, points)])[0]
    assert lost > fitted(onlygood.BTM, "fpfh").calibration_.scores.max()


# bad input


@pytest.mark.parametrize(
    ("points", "error", "words"),
    [
        (np.ones((60, 64, 3)), ImageError, "64 x 64 pixels, its points are 64 x 60"),
        (np.zeros((64, 64, 3)), ImageError, "no valid point"),
        (np.full((64, 64, 3), np.nan), ImageError, "no valid point"),
        (np.ones((64, 64)), ImageError, "shape"),
        (None, DataError, "without 3-D points"),
    ],
)
def test_bad_scans_are_named_and_leave_the_detector_as_it_was(fitted, parts, points, error, words):
    detector = fitted(onlygood.BTM, "rgb+fpfh")
    before = detector.score(parts[:1])
    bad = ImageSource("the bad one", parts[0].content, points)
    for call in (detector.score, lambda one: detector.fit([*parts[:2], *one])):
        with pytest.raises(error, match=words) as raised:
            call([bad])
        assert "the bad one" in str(raised.value)
    np.testing.assert_array_equal(detector.score(parts[:1]), before)


def test_mixed_input_is_refused(parts, good):
    with pytest.raises(DataError, match="image 0 is a picture"):
        onlygood.BTM(**QUICK).fit([*parts[:2], *onlygood.images.as_sources(good[:1])])
    bare = ImageSource("bare", None, parts[0].points)
    with pytest.raises(DataError, match="bare has no picture"):
        onlygood.BTM(**QUICK).fit([*parts[:2], bare])
    with pytest.raises(DataError, match="bare has no picture"):
        onlygood.BTM(modality="rgb", **QUICK).fit([*parts[:2], bare])
    with pytest.raises(DataError, match="without 3-D points"):
        onlygood.BTM(modality="fpfh", **QUICK).fit(good[:2])


def test_a_radius_in_the_wrong_unit_is_told(parts):
    millimetres = [ImageSource(p.name, p.content, 1000 * p.points) for p in parts[:2]]
    with pytest.raises(DataError, match=r"radius=0\.25"):
        onlygood.BTM.from_preset("paper", **QUICK).fit(millimetres)
    assert onlygood.BTM(**QUICK).fit(millimetres).modality_ == "rgb+fpfh"


@pytest.mark.parametrize(
    "parameters",
    [
        {"modality": "depth"},
        {"geometry_weight": 0},
        {"geometry_weight": np.inf},
        {"radius": -1},
        {"foreground": 0},
        {"neighbours": 2},
        {"normal_neighbours": 2.5},
        {"modality": "fpfh", "size": 70},
        {"kind": onlygood.BTM, "k": 0},
        {"kind": onlygood.BTM, "k_image": 0},
        {"kind": onlygood.BTM, "distance": "?"},
        {"kind": onlygood.BTM, "map_taps": 14},
        {"kind": onlygood.BTM, "image_score": "reweighted"},
        {"kind": onlygood.BTF, "b": 1},
    ],
)
def test_bad_parameters(parts, parameters):
    kinds = [parameters.pop("kind")] if "kind" in parameters else BOTH
    for kind in kinds:
        with pytest.raises(ParameterError):
            kind(**{**QUICK, **parameters}).fit(parts[:2])


# what inspecting needs


def test_geometry_without_scipy_says_what_to_install(fitted, parts, monkeypatch):
    known = fitted(onlygood.BTM, "fpfh")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    detector = onlygood.BTM(modality="fpfh", **QUICK)
    for call in (lambda: detector.fit(parts[:2]), lambda: known.score([scan(999)])):
        with pytest.raises(MissingDependencyError, match=r"onlygood\[3d\]"):
            call()


def test_inspecting_scans_needs_no_torch_and_colours_no_scipy(fitted, parts, tmp_path):
    np.savez(tmp_path / "scan.npz", rgb=parts[0].content, xyz=parts[0].points)
    script = (
        "import sys; blocked = sys.argv[3].split(','); [sys.modules.__setitem__(name, None) for name in blocked]\n"
        "import numpy as np, onlygood; from onlygood.images import ImageSource\n"
        "scan = np.load(sys.argv[2])\n"
        "print(repr(float(onlygood.load(sys.argv[1]).score([ImageSource('a', scan['rgb'], scan['xyz'])])[0])))"
    )
    for modality, blocked in (("rgb", "torch,sklearn,scipy,tifffile"), ("rgb+fpfh", "torch,sklearn,tifffile,open3d")):
        detector = fitted(onlygood.BTM, modality)
        detector.save(tmp_path / "part.og")
        words = [sys.executable, "-c", script, str(tmp_path / "part.og"), str(tmp_path / "scan.npz"), blocked]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == pytest.approx(detector.score(parts[:1])[0], rel=1e-5)


def test_geometry_alone_is_fitted_without_torch(parts, others, monkeypatch, fitted):
    monkeypatch.setitem(sys.modules, "torch", None)
    detector = onlygood.BTM(modality="fpfh", **QUICK).fit(parts)
    np.testing.assert_array_equal(detector.score(others["dent"]), fitted(onlygood.BTM, "fpfh").score(others["dent"]))
