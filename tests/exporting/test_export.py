"""From a detector to a file: what goes in, what the gate stops, and that the page about it is true."""

from __future__ import annotations

import copy
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import onlygood
from onlygood.errors import DataError, DataWarning, ExportError, ImageError, NotFittedError, ParameterError
from onlygood.exporting import export_onnx, onnx_graph
from onlygood.exporting.coreset import rank_correlation
from onlygood.exporting.parity import ORDER

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture(scope="session")
def detector(good) -> Any:
    return onlygood.REB(size=64).fit(good)


def test_without_a_wish_a_small_bank_goes_in_whole(detector, good, unseen, opened, tmp_path) -> None:
    done = export_onnx(detector, tmp_path / "part.onnx", images=[*good, *unseen])
    assert done.vectors == done.of_vectors == len(detector.bank_)
    assert done.detector is detector and done.fidelity == 1 and done.left_out_equal == done.left_out == len(good)
    parity = done.parity
    assert parity.images == parity.verdicts_equal == parity.unchanged == len(good) + len(unseen)
    assert parity.known == len(good) and not parity.changed
    assert done.bytes == (tmp_path / "part.onnx").stat().st_size
    graph = opened(tmp_path / "part.onnx")
    apart = [abs(float(graph(i)["score"][0]) - detector.score([i])[0]) for i in (*good, *unseen)]
    assert parity.score_difference == pytest.approx(max(apart), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    ("wish", "vectors"),
    [({"vectors": 100}, 100), ({"share": 0.25}, 128), ({"share": 1.0}, 512), ({"vectors": 9999}, 512)],
)
def test_as_many_vectors_as_asked_for_with_their_own_thresholds(
    detector, good, opened, tmp_path, wish, vectors
) -> None:
    done = export_onnx(detector, tmp_path / "part.onnx", images=good, **wish)
    expected = detector if vectors == 512 else detector.reduced(vectors)
    said = opened(tmp_path / "part.onnx").session.get_modelmeta().custom_metadata_map
    assert (done.vectors, int(said["vectors"])) == (vectors, vectors)
    assert float(said["ng_threshold"]) == expected.calibration_.ng_threshold
    assert float(said["review_threshold"]) == expected.calibration_.review_threshold
    assert said["promise"] == str(expected.calibration_.promise)


def test_a_large_bank_is_reduced_by_default(detector, good, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("onlygood.exporting.coreset.VECTORS", 60)
    assert export_onnx(detector, tmp_path / "part.onnx", images=good[:2]).vectors == 60


def test_what_the_coreset_changed_is_said(detector, good, unseen, opened, tmp_path) -> None:
    images = [*good, *unseen]
    done = export_onnx(detector, tmp_path / "part.onnx", images=images, vectors=8)
    graph = opened(tmp_path / "part.onnx")
    before = [str(one.verdict) for one in detector.inspect(images)]
    after = [str(ORDER[int(graph(image)["verdict"][0])]) for image in images]
    pairs = [pair for pair in zip(before, after) if pair[0] != pair[1]]
    assert done.parity.changed == {pair: pairs.count(pair) for pair in pairs} and pairs
    assert done.parity.unchanged == len(images) - len(pairs)
    calibrations = detector.calibration_, done.detector.calibration_
    verdicts = [[one.verdict(score) for score in one.scores] for one in calibrations]
    assert done.left_out_equal == sum(a == b for a, b in zip(*verdicts))


def test_fidelity_takes_the_first_coreset_that_reaches_it(detector, good, tmp_path) -> None:
    counts = [5, 10, 20, 40, 80, 160]
    reached = {
        len(one.bank_): rank_correlation(detector.calibration_.scores, one.calibration_.scores)
        for one in detector.reductions(counts)
    }
    for wish in (0.5, 0.9, 0.999999):
        done = export_onnx(detector, tmp_path / "part.onnx", images=good[:2], fidelity=wish)
        assert done.vectors == next((count for count in counts if reached[count] >= wish), 512)
        assert done.fidelity >= wish
    assert export_onnx(detector, tmp_path / "part.onnx", images=good[:2], fidelity=1).vectors == 512


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30))
def test_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the extra fit is not installed")
    first, second = np.array(pairs, np.float64).T
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


def test_a_coreset_goes_in_as_it_is_and_no_smaller(good, tmp_path) -> None:
    core = onlygood.PatchCore(size=64, coreset=0.2).fit(good)
    assert export_onnx(core, tmp_path / "part.onnx", images=good[:2]).vectors == len(core.bank_)
    assert export_onnx(core, tmp_path / "part.onnx", images=good[:2], share=1).vectors == len(core.bank_)
    with pytest.raises(ParameterError, match="Fit anew"):
        export_onnx(core, tmp_path / "part.onnx", images=good[:2], vectors=10)


def test_the_graph_index_becomes_exact_search(good, unseen, tmp_path) -> None:
    detector = onlygood.REB(size=64, index="graph").fit(good)
    done = export_onnx(detector, tmp_path / "part.onnx", images=[*good, *unseen])
    assert done.vectors == 512 and done.detector.index_.kind == "exact" and detector.index_.kind == "graph"
    assert done.detector.calibration_ is detector.calibration_


def test_a_detector_of_a_single_image(good, unseen, opened, tmp_path) -> None:
    with pytest.warns(DataWarning, match="single image"):
        single = onlygood.REB(size=64).fit(good[:1])
    done = export_onnx(single, tmp_path / "part.onnx", images=unseen, vectors=20)
    assert done.left_out == 0 and done.parity.verdicts_equal == len(unseen)
    assert int(opened(tmp_path / "part.onnx")(unseen[0])["verdict"][0]) == 1
    with pytest.raises(ParameterError, match="left-out images"):
        export_onnx(single, tmp_path / "part.onnx", images=unseen, fidelity=0.9)


def test_a_method_without_a_bank(gde, good, tmp_path) -> None:
    done = export_onnx(gde, tmp_path / "part.onnx", images=good)
    assert (done.vectors, done.of_vectors, done.parity.map_difference) == (0, 0, 0)
    with pytest.raises(ParameterError, match="gde keeps no memory bank"):
        export_onnx(gde, tmp_path / "part.onnx", images=good, share=0.1)


def tampered(change: Any) -> Any:
    """What composes a graph of another detector than the one it is given."""
    compose = onnx_graph.compose

    def other(detector: Any, **options: Any) -> bytes:
        return compose(change(copy.copy(detector)), **options)

    return other


def with_(detector: Any, **attributes: Any) -> Any:
    detector.__dict__.update(attributes)
    return detector


def rebuilt(detector: Any, **fields: Any) -> Any:
    return with_(detector, calibration_=dataclasses.replace(detector.calibration_, **fields))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: with_(d, alpha_=d.alpha_ * 1.01), "has a score that differs by"),
        (lambda d: with_(d, image_score="max"), "has a score that differs by|says"),
        (lambda d: with_(d, map_sigma=4.5), "has a map that differs by"),
        (
            lambda d: with_(d, bank_=d.bank_.subset(np.arange(50)), stats_={"density": d.stats_["density"][:50]}),
            "score",
        ),
        (lambda d: rebuilt(d, scores=d.calibration_.scores - 10_000), "says NG"),
        (lambda d: rebuilt(d, weights=d.calibration_.weights * 3), "p-value"),
        (lambda d: rebuilt(d, scores=d.calibration_.scores * np.nan), "p-value|says"),
    ],
)
def test_a_graph_that_differs_is_not_written(detector, good, unseen, monkeypatch, tmp_path, change, reason) -> None:
    target = tmp_path / "part.onnx"
    target.write_text("an older file")
    monkeypatch.setattr(onnx_graph, "compose", tampered(change))
    with pytest.raises(ExportError, match=reason) as caught:
        export_onnx(detector, target, images=[*good, *unseen])
    assert "Nothing was written" in str(caught.value) and "image " in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["part.onnx"] and target.read_text() == "an older file"


def test_a_tolerance_of_nothing_is_kept(detector, good, unseen, tmp_path) -> None:
    """Another order of sums gives other last digits: the gate sees even these."""
    with pytest.raises(ExportError, match="allowed is 0"):
        export_onnx(detector, tmp_path / "part.onnx", images=[*good, *unseen], tolerance=0.0)
    assert not list(tmp_path.iterdir())


def test_int8_fitted_on_another_engine_is_refused_with_the_mend(good, unseen, tmp_path) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    detector = onlygood.KNN(size=64, precision="int8", engine="openvino").fit(good)
    with pytest.raises(ExportError, match="engine='onnxruntime'"):
        export_onnx(detector, tmp_path / "part.onnx", images=[*good, *unseen])
    assert not list(tmp_path.iterdir())


def test_a_graph_that_cannot_run_is_not_written(detector, good, monkeypatch, tmp_path) -> None:
    compose = onnx_graph.compose

    def broken(one: Any, **options: Any) -> bytes:
        model = onnx.load_from_string(compose(one, **options))
        model.graph.node[0].op_type = "NoSuchNode"
        return model.SerializeToString()

    monkeypatch.setattr(onnx_graph, "compose", broken)
    with pytest.raises(ExportError, match="cannot load"):
        export_onnx(detector, tmp_path / "part.onnx", images=good)
    monkeypatch.setattr(onnx_graph, "compose", lambda one, **options: compose(one, any_size=False))
    with pytest.raises(ExportError, match="cannot run"):
        export_onnx(detector, tmp_path / "part.onnx", images=good)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"vectors": 10, "share": 0.5}, ParameterError, "vectors and share"),
        ({"vectors": 0}, ParameterError, "vectors=0"),
        ({"vectors": 1.5}, ParameterError, "vectors=1.5"),
        ({"vectors": True}, ParameterError, "vectors=True"),
        ({"share": 0.0}, ParameterError, "share=0"),
        ({"share": 1.1}, ParameterError, "share=1.1"),
        ({"fidelity": 0.0}, ParameterError, "fidelity=0"),
        ({"fidelity": float("nan")}, ParameterError, "fidelity=nan"),
        ({"tolerance": -1.0}, ParameterError, "tolerance=-1"),
        ({"tolerance": float("nan")}, ParameterError, "tolerance=nan"),
        ({"images": []}, DataError, "empty"),
        ({"images": "nowhere"}, DataError, "nowhere"),
        ({"images": [np.zeros((4, 4, 3), np.uint8)]}, ImageError, "8 x 8"),
    ],
)
def test_what_cannot_be_asked_for(detector, good, tmp_path, wish, error, words) -> None:
    with pytest.raises(error, match=words):
        export_onnx(detector, tmp_path / "part.onnx", **{"images": good[:1], **wish})
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_to_are_named_first(detector, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(onnx_graph, "compose", lambda *_, **__: pytest.fail("composed"))
    with pytest.raises(DataError, match="no folder"):
        export_onnx(detector, tmp_path / "none" / "part.onnx", images=[])
    with pytest.raises(DataError, match="is a folder"):
        export_onnx(detector, tmp_path, images=[])


def test_nothing_fitted_nothing_exported(good, tmp_path) -> None:
    with pytest.raises(NotFittedError):
        export_onnx(onlygood.REB(), tmp_path / "part.onnx", images=good)


def test_the_example_of_the_page_needs_nothing_of_ours(detector, unseen, tmp_path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert code
    lines = [line for line in code[1].splitlines() if line.strip()]
    assert len(lines) <= 15 and "onlygood" not in code[1]
    export_onnx(detector, tmp_path / "part.onnx", images=unseen)
    blocked = "import sys; sys.modules.update(dict.fromkeys(('onlygood', 'torch', 'onnx')))\n"
    for image in (unseen[3], unseen[6]):
        Image.fromarray(image).save(tmp_path / "photo.png")
        done = subprocess.run(
            [sys.executable, "-c", blocked + code[1]], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        word, score, p_value = done.stdout.split()
        expected = detector.inspect(tmp_path / "photo.png", original_size=True)[0]
        assert word == expected.verdict
        assert float(score) == pytest.approx(expected.score, rel=1e-4)
        assert float(p_value) == pytest.approx(expected.p_value, rel=1e-5)
        with Image.open(tmp_path / "where.png") as where:
            marked = np.asarray(where)
        assert marked.shape == image.shape[:2]
        assert bool(marked.any()) == bool(expected.regions)
