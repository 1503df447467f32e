"""FPFH against a plain loop of the published formulas, against Open3D, and by what must hold for any surface.

`open3d_fpfh.npz` holds what Open3D 0.20 gives for a small made-up cloud with two copies of a point and one point far
away: normals (radius 0.02, 12 neighbours), FPFH with radius 0.025 and 20 neighbours, and with 0.25 and 15.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from onlygood.errors import MissingDependencyError, ParameterError
from onlygood.features.fpfh import fpfh, neighbours_of, normals_of, pair_angles

UP = np.array([0.0, 0.0, 1.0])


def surface(rng: np.random.Generator, n: int = 150) -> np.ndarray:
    """A bumpy cloud, in no order."""
    flat = rng.uniform(-1, 1, (n, 2))
    z = 0.3 * np.sin(3 * flat[:, 0]) * np.cos(2 * flat[:, 1]) + rng.normal(0, 0.02, n)
    return np.column_stack([flat, z])


def described(points: np.ndarray, most: int = 20, radius: float | None = None, towards: np.ndarray = UP) -> np.ndarray:
    near = neighbours_of(points, most, radius)
    return fpfh(points, normals_of(points, near[:, :12], towards), near)


# the published formulas, pair by pair


def loop_pair(p1, n1, p2, n2):
    line = p2 - p1
    length = np.linalg.norm(line)
    if length == 0:
        return 0.0, 0.0, 0.0
    a1, a2 = n1 @ line / length, n2 @ line / length
    if np.arccos(min(abs(a1), 1)) > np.arccos(min(abs(a2), 1)) + 1e-9:
        n1, n2, line, phi = n2, n1, -line, -a2
    else:
        phi = a1
    v = np.cross(line, n1)
    if np.linalg.norm(v) == 0:
        return 0.0, 0.0, 0.0
    v /= np.linalg.norm(v)
    w = np.cross(n1, v)
    return np.arctan2(w @ n2, n1 @ n2), v @ n2, phi


def loop_fpfh(points, normals, most, radius):
    def around(i):
        distance = np.linalg.norm(points - points[i], axis=1)
        order = np.argsort(distance, kind="stable")[:most]
        return [j for j in order[distance[order] <= radius] if j != i], distance

    simple = np.zeros((len(points), 33))
    for i in range(len(points)):
        others, _ = around(i)
        for j in others:
            theta, alpha, phi = loop_pair(points[i], normals[i], points[j], normals[j])
            for block, share in enumerate(((theta + np.pi) / (2 * np.pi), (alpha + 1) / 2, (phi + 1) / 2)):
                cell = min(max(int(np.floor(11 * share)), 0), 10)
                simple[i, 11 * block + cell] += 100 / len(others)
    out = simple.copy()
    for i in range(len(points)):
        others, distance = around(i)
        total = sum((simple[j] / distance[j] ** 2 for j in others), start=np.zeros(33))
        for block in range(3):
            part = total[11 * block : 11 * block + 11]
            if part.sum() > 0:
                out[i, 11 * block : 11 * block + 11] += 100 * part / part.sum()
    return out


@pytest.mark.parametrize(("most", "radius"), [(12, np.inf), (30, 0.35)])
def test_against_the_loop(rng: np.random.Generator, most: int, radius: float) -> None:
    points = surface(rng)
    near = neighbours_of(points, most, None if np.isinf(radius) else radius)
    normals = normals_of(points, near, UP)
    np.testing.assert_allclose(fpfh(points, normals, near), loop_fpfh(points, normals, most, radius), atol=1e-4)


def test_pair_angles_against_the_loop(rng: np.random.Generator) -> None:
    p, q = rng.normal(size=(2, 200, 3))
    n, m = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 200, 3)))
    p[0], n[0], m[0] = q[0], UP, UP  # the same place
    p[1], q[1], n[1], m[1] = [0, 0, 0], [0, 0, 2], UP, UP  # the line runs along the normal
    squared, angles = pair_angles(p.T, n.T, q.T, m.T)
    np.testing.assert_allclose(squared, ((p - q) ** 2).sum(axis=1))
    np.testing.assert_allclose(angles.T, [loop_pair(*one) for one in zip(p, n, q, m)], atol=1e-12)


@pytest.mark.parametrize(("most", "radius"), [(20, 0.025), (15, 0.25)])
def test_against_open3d(most: int, radius: float) -> None:
    known = np.load(Path(__file__).with_name("open3d_fpfh.npz"))
    near = neighbours_of(known["points"], most, radius)
    # copies of a point share its place: which of them is "itself" makes no difference
    np.testing.assert_allclose(fpfh(known["points"], known["normals"], near), known[f"fpfh_{most}"], atol=1e-4)


def test_normals_against_open3d() -> None:
    known = np.load(Path(__file__).with_name("open3d_fpfh.npz"))
    normals = normals_of(known["points"], neighbours_of(known["points"], 12, 0.02), UP)
    assert (normals[:, 2] >= 0).all()  # Open3D leaves the side to chance
    cosines = np.abs((normals * known["normals"]).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_moving_turning_and_scaling_the_part_changes_nothing(rng: np.random.Generator, seed: int) -> None:
    points = surface(rng)
    turn = Rotation.random(None, seed).as_matrix()
    moved = 7.5 * points @ turn.T + [3, -2, 40]
    before, after = described(points), described(moved, towards=turn @ UP)
    # a pair on the very edge of a cell may fall to either side: it moves 100 / 19 from one cell to the next
    assert np.median(np.abs(before - after).max(axis=1)) < 1e-3
    assert np.abs(before - after).max(axis=1).mean() < 0.2


def test_each_block_sums_to_200(rng: np.random.Generator) -> None:
    blocks = described(surface(rng), most=10).reshape(-1, 3, 11).sum(axis=2)
    np.testing.assert_allclose(blocks, 200, rtol=1e-5)


def test_an_isolated_point_has_zeros_and_disturbs_nobody(rng: np.random.Generator) -> None:
    points = surface(rng)
    alone = np.vstack([points, [[50.0, 0, 0]]])
    found = described(alone, radius=0.5)
    assert not found[-1].any()
    np.testing.assert_array_equal(found[:-1], described(points, radius=0.5))


def test_a_plane_has_one_cell_in_each_block() -> None:
    rows, columns = np.mgrid[:8, :8]
    plane = np.column_stack([rows.ravel(), columns.ravel(), np.zeros(64)]).astype(float)
    found = described(plane, most=9)
    assert (np.count_nonzero(found, axis=1) == 3).all()  # theta = alpha = phi = 0
    np.testing.assert_allclose(found[:, [5, 16, 27]], 200, rtol=1e-5)


def test_normals_of_a_sphere_point_outwards_or_inwards(rng: np.random.Generator) -> None:
    cap = rng.normal(size=(2000, 3))
    cap /= np.linalg.norm(cap, axis=1, keepdims=True)
    cap = cap[cap[:, 2] > 0.5]
    near = neighbours_of(cap, 20)
    np.testing.assert_allclose((normals_of(cap, near, UP) * cap).sum(axis=1), 1, atol=0.02)
    np.testing.assert_allclose((normals_of(cap, near, -UP) * cap).sum(axis=1), -1, atol=0.02)


def test_too_few_neighbours_for_a_plane_give_the_axis() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    near = neighbours_of(points, 5)
    assert near.shape == (2, 2)
    np.testing.assert_array_equal(normals_of(points, near, -UP), [[0, 0, -1]] * 2)


def test_threads_change_nothing(rng: np.random.Generator) -> None:
    points = surface(rng, 1200)
    near = neighbours_of(points, 15, threads=1)
    np.testing.assert_array_equal(near, neighbours_of(points, 15, threads=2))
    normals = normals_of(points, near, UP)
    np.testing.assert_array_equal(fpfh(points, normals, near, 1), fpfh(points, normals, near, 2))


@pytest.mark.parametrize(("most", "radius"), [(1, None), (5, 0), (5, -1.0)])
def test_bad_parameters(rng: np.random.Generator, most: int, radius: float | None) -> None:
    with pytest.raises(ParameterError):
        neighbours_of(surface(rng), most, radius)


def test_without_scipy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, rng) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[3d\]"):
        neighbours_of(surface(rng), 5)
