from __future__ import annotations

import json

import numpy as np
import pytest

from onlygood.errors import ParameterError
from onlygood.evaluation import aupro, evaluate, pixel_auroc, resize_mask
from onlygood.inspection import Inspection, Verdict

OK, REVIEW, NG = Verdict.OK, Verdict.REVIEW, Verdict.NG


def inspection(score: float, verdict: Verdict = OK, anomaly_map: np.ndarray | None = None) -> Inspection:
    return Inspection(name=f"{score}.png", score=score, p_value=0.5, verdict=verdict, map=anomaly_map)


def test_review_is_neither_a_false_reject_nor_an_escape() -> None:
    good = [inspection(s, v) for s, v in [(1, OK), (2, OK), (3, REVIEW), (4, NG)]]
    bad = [inspection(s, v) for s, v in [(1.5, OK), (3.5, REVIEW), (5, NG), (6, NG), (7, NG)]]
    result = evaluate(good + bad, [0] * 4 + [1] * 5)
    assert result.false_reject_rate is not None and result.false_reject_rate.value == 1 / 4
    assert result.escape_rate is not None and result.escape_rate.value == 1 / 5
    assert result.escape_rate_if_review_passes is not None
    assert result.escape_rate_if_review_passes.value == 2 / 5
    assert result.review_rate is not None and result.review_rate.value == 2 / 9
    assert result.verdicts == {"good": {OK: 2, REVIEW: 1, NG: 1}, "defect": {OK: 1, REVIEW: 1, NG: 3}}
    assert result.pixel_auroc is None and result.aupro is None


def test_each_type_stands_against_all_good_images() -> None:
    scores = [1, 2, 3, 0, 2.5, 9, 10]
    verdicts = [OK, OK, OK, OK, OK, NG, REVIEW]
    types = ["good"] * 3 + ["scratch", "scratch", "dent", "dent"]
    result = evaluate([inspection(s, v) for s, v in zip(scores, verdicts)], [0] * 3 + [1] * 4, types=types)
    dent, scratch = result.per_type
    assert (dent.name, dent.total, dent.image_auroc, dent.escape_rate.value) == ("dent", 2, 1.0, 0.0)
    assert dent.verdicts == {OK: 0, REVIEW: 1, NG: 1}
    assert scratch.image_auroc == pytest.approx(2 / 6)
    assert scratch.escape_rate.value == 1


def test_pixel_figures_use_masks_at_the_size_of_the_maps() -> None:
    rng = np.random.default_rng(1)
    maps = [rng.random((8, 6)).astype(np.float32) for _ in range(3)]
    small = np.zeros((4, 3), dtype=bool)
    small[1:3, 1] = True
    result = evaluate(
        [inspection(s, anomaly_map=m) for s, m in zip([1, 2, 3], maps)], [0, 1, 1], [None, small, small * 255]
    )
    large = np.kron(small, np.ones((2, 2))).astype(bool)
    masks = [np.zeros((8, 6), dtype=bool), large, large]
    assert result.pixel_auroc == pixel_auroc(maps, masks)
    assert result.aupro == aupro(maps, masks)
    assert result.n_without_mask == 0


def test_a_defect_without_a_mask_is_left_out_of_the_pixel_figures_and_counted() -> None:
    rng = np.random.default_rng(2)
    maps = [rng.random((5, 5)).astype(np.float32) for _ in range(3)]
    mask = np.eye(5, dtype=bool)
    inspections = [inspection(s, anomaly_map=m) for s, m in zip([1, 2, 3], maps)]
    result = evaluate(inspections, [0, 1, 1], [None, mask, None])
    assert result.n_without_mask == 1
    assert result.aupro == aupro(maps[:2], [np.zeros((5, 5), dtype=bool), mask])


@pytest.mark.parametrize(("labels", "n"), [([0, 0], 2), ([1, 1], 2), ([], 0)])
@pytest.mark.parametrize("with_masks", [False, True])
def test_a_missing_class_gives_none_and_never_nan(labels: list[int], n: int, with_masks: bool) -> None:
    maps = np.zeros((4, 4), np.float32)
    masks = [np.ones((4, 4), bool) if label else None for label in labels] if with_masks else None
    result = evaluate([inspection(1.0, NG, maps)] * n, labels, masks, types=["dent"] * n)
    plain = result.as_dict()
    assert plain["image_auroc"] is None and plain["best_f1"] is None
    assert plain["pixel_auroc"] is None and plain["aupro"] is None
    assert (plain["false_reject_rate"] is None) == (0 not in labels)
    assert (plain["escape_rate"] is None) == (1 not in labels)
    json.dumps(plain, allow_nan=False)


def test_the_dictionary_is_json_and_complete() -> None:
    inspections = [inspection(1.0), inspection(2.0, NG)]
    plain = json.loads(json.dumps(evaluate(inspections, [0, 1], types=["", "dent"]).as_dict(), allow_nan=False))
    expected = "image_auroc average_precision best_f1 pixel_auroc aupro false_reject_rate escape_rate"
    expected += " review_rate n_good n_defect intervals per_type"
    assert set(expected.split()) <= set(plain)
    assert plain["image_auroc"] == 1 and plain["n_good"] == plain["n_defect"] == 1
    low, high = plain["intervals"]["false_reject_rate"]
    assert low == 0 and 0.7 < high < 0.8
    assert plain["per_type"][0]["verdicts"] == {"OK": 0, "REVIEW": 0, "NG": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0]}, "one score for each label"),
        ({"labels": [0, 3]}, "0 .good. or 1"),
        ({"masks": [None]}, "masks"),
        ({"types": ["dent"]}, "types"),
        ({"masks": [None, np.ones((2, 2))]}, "without a map"),
        ({"aupro_limit": 0}, "aupro_limit"),
    ],
)
def test_bad_input_is_refused(arguments: dict, message: str) -> None:
    inspections = [inspection(1.0), inspection(2.0)]
    with pytest.raises(ParameterError, match=message):
        evaluate(inspections, **{"labels": [0, 1], **arguments})


def test_scores_and_masks_that_contradict_are_refused() -> None:
    with pytest.raises(ParameterError, match="not finite"):
        evaluate([inspection(float("nan"))], [0])
    shown = inspection(1.0, anomaly_map=np.zeros((2, 2), np.float32))
    with pytest.raises(ParameterError, match=r"1\.0\.png is labelled good"):
        evaluate([shown], [0], [np.ones((2, 2), bool)])


def test_masks_shrink_by_the_nearest_pixel() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[3, 3] = True
    np.testing.assert_array_equal(resize_mask(mask, (2, 2)), [[False, False], [False, True]])
    assert resize_mask(mask, (4, 4)).sum() == 1
    assert resize_mask(mask, (9, 7)).shape == (9, 7)
