"""What holds for every registered method. A new method gets all of it by being registered."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.errors import DataError, DataWarning, ImageError, ModelFileError, NotFittedError, ParameterError
from onlygood.inspection import Inspection, Verdict


def test_constructor_only_stores_parameters(method):
    detector = method()
    assert method.kind(**detector.get_params()).get_params() == detector.get_params()
    assert not hasattr(detector, "calibration_")


@pytest.mark.parametrize("preset", ["paper", "released", "quick"])
def test_presets_exist(method, preset):
    assert isinstance(method.kind.from_preset(preset), method.kind)
    with pytest.raises(ParameterError, match="no preset"):
        method.kind.from_preset("fastest")


def test_scores_are_finite_float64_and_tell_the_obvious(fitted, good, bad):
    ok, ng = fitted.score(good), fitted.score(bad)
    assert ok.shape == (8,) and ok.dtype == np.float64
    assert np.isfinite(ok).all() and np.isfinite(ng).all()
    assert np.median(ng) > np.median(fitted.calibration_.scores)


def test_inspection(fitted, bad):
    results = fitted.inspect(bad)
    assert [r.name for r in results] == [f"image {i}" for i in range(4)]
    for r in results:
        assert isinstance(r, Inspection) and isinstance(r.verdict, Verdict)
        assert 0 < r.p_value <= 1 and r.size == (80, 80)
        if fitted.has_map:
            assert r.map.shape == (64, 64) and r.map.dtype == np.float32
            for region in r.regions:
                left, top, right, bottom = region.box
                assert 0 <= left < right <= 80 and 0 <= top < bottom <= 80 and region.area > 0
        else:
            assert r.map is None and r.regions == ()
    assert np.array_equal([r.score for r in results], fitted.score(bad))


def test_maps_in_original_size(fitted, bad):
    result = fitted.inspect(bad[:1], original_size=True)[0]
    assert result.map is None or result.map.shape == (80, 80)


def test_same_seed_same_scores(method, fitted, good, bad):
    assert np.array_equal(method().fit(good).score(bad), fitted.score(bad))


def test_save_and_load_give_the_same_inspections(fitted, bad, tmp_path):
    fitted.save(tmp_path / "part.og")
    again = onlygood.load(tmp_path / "part.og")
    assert type(again) is type(fitted)
    assert again.get_params() == fitted.get_params()
    for a, b in zip(fitted.inspect(bad), again.inspect(bad)):
        assert (a.score, a.p_value, a.verdict, a.regions) == (b.score, b.p_value, b.verdict, b.regions)
        assert a.map is None or np.array_equal(a.map, b.map)
    assert again.training_ == fitted.training_
    assert str(again.calibration_.promise) == str(fitted.calibration_.promise)


def test_thresholds_are_those_of_the_calibration(fitted, bad, good):
    for r in fitted.inspect([*good, *bad]):
        ng, review = fitted.calibration_.ng_threshold, fitted.calibration_.review_threshold
        expected = Verdict.NG if r.score > ng else Verdict.REVIEW if r.score > review else Verdict.OK
        assert r.verdict == expected


def test_not_fitted(method, good, tmp_path):
    for call in (lambda d: d.score(good), lambda d: d.inspect(good), lambda d: d.save(tmp_path / "x.og")):
        with pytest.raises(NotFittedError, match="fit"):
            call(method())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([], DataError, "empty"),
        ([np.zeros((1, 1, 3), np.uint8)], ImageError, "1 x 1"),
        ([np.zeros((50, 20_000), np.uint8)], ImageError, "20000 x 50"),
        ([np.full((40, 40), np.nan)], ImageError, "NaN"),
        ([np.zeros((40, 40, 5), np.uint8)], ImageError, "shape"),
        ("no/such/folder", DataError, "no/such/folder"),
    ],
)
def test_bad_input_leaves_the_detector_as_it_was(fitted, good, images, error, words):
    before = fitted.score(good[:2])
    for call in (fitted.fit, fitted.score):
        with pytest.raises(error, match=words):
            call(images)
    assert np.array_equal(fitted.score(good[:2]), before)


def test_a_broken_file_is_named(method, good, tmp_path):
    for i, image in enumerate(good[:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:900])
    with pytest.raises(ImageError, match=r"broken\.png"):
        method().fit(tmp_path)


@pytest.mark.parametrize("parameter", [{"false_reject": 0}, {"false_reject": 0.5, "review": 0.1}, {"image_score": "?"}])
def test_bad_parameters(method, good, parameter):
    with pytest.raises(ParameterError):
        method(**parameter).fit(good)


def test_grey_16_bit_and_constant_images(fitted, good):
    grey = good[0][..., 0]
    deep = (grey.astype(np.uint16)) * 257
    same = fitted.score([good[0], grey, deep])
    assert same[0] == same[1] == same[2]
    assert np.isfinite(fitted.score([np.full((64, 64), 128, np.uint8)])).all()


def test_fit_on_constant_images(method):
    images = [np.full((64, 64, 3), value, np.uint8) for value in range(100, 106)]
    assert np.isfinite(method().fit(images).score(images)).all()


def test_one_training_image_means_review(method, good, bad):
    with pytest.warns(DataWarning, match="single image"):
        detector = method().fit(good[:1])
    results = detector.inspect([good[0], bad[0]])
    assert {r.verdict for r in results} == {Verdict.REVIEW}
    assert np.isfinite([r.score for r in results]).all()
    assert "Nothing can be promised" in str(detector.calibration_.promise)


def test_copies_are_warned_of_and_count_once(method, good):
    with pytest.warns(DataWarning, match="same picture"):
        detector = method().fit([*good[:4], good[0]])
    assert detector.training_.groups[0] == detector.training_.groups[4]
    assert detector.calibration_.units <= 4


def test_file_likes_folders_and_mixed_sizes(method, good, tmp_path):
    for i, image in enumerate(good[:4]):
        Image.fromarray(image).resize((70 + 10 * i, 90)).save(tmp_path / f"{i}.png")
    from_folder = method().fit(tmp_path)
    streams = [io.BytesIO(path.read_bytes()) for path in sorted(tmp_path.iterdir())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        from_streams = method().fit(streams)
    assert np.array_equal(from_folder.score(good), from_streams.score(good))


def test_progress_is_reported(method, good):
    seen: dict[str, tuple[int, int]] = {}
    method().fit(good, progress=lambda stage, done, total: seen.update({stage: (done, total)}))
    assert seen["features"] == (8, 8)
    assert all(done == total for done, total in seen.values())


def test_interruption_leaves_nothing_half_done(method, fitted, good, bad, tmp_path):
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "calibration":
            raise KeyboardInterrupt

    fresh = method()
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(good, progress=stop)
    assert not hasattr(fresh, "calibration_")
    before = fitted.score(bad)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(good[:4], progress=stop)
    assert np.array_equal(fitted.score(bad), before)


def test_saving_to_a_missing_folder(fitted, tmp_path):
    with pytest.raises(ModelFileError, match="nowhere"):
        fitted.save(tmp_path / "nowhere" / "part.og")


def test_eight_threads_agree_with_one(fitted, good, bad):
    images = [*good, *bad]
    alone = fitted.score(images)
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(lambda _: fitted.score(images), range(8)):
            assert np.array_equal(scores, alone)
