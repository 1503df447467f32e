"""Work in several threads: order, errors, bounds, and a detector that many threads share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onlygood
from onlygood.methods.registry import find_method
from onlygood.parallel import in_order, is_worker


@pytest.mark.parametrize("workers", [None, 1, 2, 5, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_come_in_order(workers: int | None, count: int) -> None:
    assert list(in_order(lambda x: x * x, range(count), workers)) == [x * x for x in range(count)]


def test_it_runs_in_threads_that_know_it_and_begins_a_bounded_number() -> None:
    begun: list[tuple[int, bool]] = []
    results = in_order(lambda x: begun.append((x, is_worker())), range(50), 3)
    assert not begun  # nothing until asked for
    next(results)
    results.close()
    assert len(begun) <= 7 and all(worker for _, worker in begun) and not is_worker()


def test_work_inside_work_starts_no_further_threads() -> None:
    def inner(_: int) -> set[int]:
        return set(in_order(lambda _: threading.get_ident(), range(5), 4)) | {threading.get_ident()}

    assert all(len(used) == 1 for used in in_order(inner, range(6), 3))


def test_an_error_is_raised_at_its_turn() -> None:
    results = in_order(lambda x: 1 // (x - 2), range(50), 2)
    assert next(results) == -1 and next(results) == -1
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    base = rng.integers(60, 190, (80, 80, 3))
    return [np.clip(base + rng.integers(-12, 12, base.shape), 0, 255).astype(np.uint8) for _ in range(24)]


@pytest.mark.parametrize(("method", "index"), [("knn", "graph"), ("ldknn", "exact"), ("reb", "graph"), ("gde", None)])
def test_eight_threads_see_what_one_sees(images: list[np.ndarray], tmp_path, method: str, index: str | None) -> None:
    parameters = {} if index is None else {"index": index}
    find_method(method)(size=64, threads=2, **parameters).fit(images[:12]).save(tmp_path / "part.og")
    detector = onlygood.load(tmp_path / "part.og")
    alone = [detector._inspect_one(source, detector.has_map, False) for source in onlygood.images.as_sources(images)]
    start = threading.Barrier(8)

    def hammer(number: int) -> list[onlygood.Inspection]:
        start.wait()  # all at once, the first use of engine and index included
        order = np.random.default_rng(number).permutation(len(images))
        found = {int(i): detector.inspect([images[i]], progress=lambda *_: None)[0] for i in order}
        return [found[i] for i in range(len(images))]

    detector = onlygood.load(tmp_path / "part.og")
    with ThreadPoolExecutor(8) as pool:
        for seen in pool.map(hammer, range(8)):
            for mine, other in zip(seen, alone, strict=True):
                assert (mine.score, mine.verdict, mine.p_value) == (other.score, other.verdict, other.p_value)
                np.testing.assert_array_equal(mine.map, other.map)
                assert mine.regions == other.regions


def test_a_folder_is_inspected_as_image_by_image(images: list[np.ndarray]) -> None:
    detector = onlygood.KNN(size=64, index="graph").fit(images[:12])
    together = detector.inspect(images)
    for image, one in zip(images, together, strict=True):
        alone = detector.inspect([image])[0]
        assert alone.score == one.score
        np.testing.assert_array_equal(alone.map, one.map)
