"""Bulk inspection: the rows are what `inspect` says, one by one; what cannot be read costs its row, not the job."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.bulk import inspect_bulk
from onlygood.errors import DataError, MissingDependencyError, ParameterError

HERE = all(importlib.util.find_spec(name) is not None for name in ("ray", "pyarrow", "pandas"))
needs_ray = pytest.mark.skipif(not HERE, reason="Ray Data is not installed (extra ray)")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of drawn stripes: for behaviour only."""
    pytest.importorskip("torch", reason="fitting needs torch")
    path = tmp_path_factory.mktemp("model") / "part.og"
    onlygood.KNN(size=64, threads=1).fit([stripes(seed) for seed in range(4)]).save(path)
    return path


def stripes(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grey = 110 + 40 * np.sin(np.arange(80) / 4 + rng.uniform(0, 0.6)) + rng.normal(0, 6, (80, 80))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images, one of them damaged."""
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(10, 14):
        Image.fromarray(stripes(seed)).save(images / f"{seed}.png")
    (images / "broken.png").write_bytes(b"no image")
    return images


@pytest.mark.skipif(HERE, reason="Ray Data is installed")
def test_without_ray_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"onlygood\[ray\]"):
        inspect_bulk("part.og", tmp_path, tmp_path / "into")


@needs_ray
@pytest.mark.parametrize("stored", [False, True])
def test_rows_are_what_inspect_says(model: Path, folder: Path, tmp_path: Path, stored: bool) -> None:
    import pyarrow.parquet as parquet

    root = f"file://{folder}" if stored else str(folder)
    asked = [root, f"{root}/missing.png", f"{root}/10.png"]  # the last one for the second time
    done = inspect_bulk(model, asked, tmp_path / "into", workers=1)
    assert done.failed == 2 and sum(done.verdicts.values()) == 4
    rows = {Path(row["path"]).name: row for row in parquet.read_table(tmp_path / "into").to_pylist()}
    assert "missing.png" in rows.pop("missing.png")["error"]
    broken = rows.pop("broken.png")
    assert "broken.png" in broken["error"] and broken["verdict"] is None and broken["score"] is None
    detector = onlygood.load(model, threads=1)
    expected = detector.inspect(sorted(folder.glob("1*.png")))
    assert len(rows) == len(expected) == 4
    for one in expected:
        row = rows[Path(one.name).name]
        assert (row["score"], row["p_value"], row["verdict"]) == (one.score, one.p_value, str(one.verdict))
        assert json.loads(row["regions"]) == [region.as_dict() for region in one.regions]
        assert (row["width"], row["height"], row["error"]) == (80, 80, None)
    assert not done.before and (tmp_path / "into" / "_SUCCESS").exists()


@needs_ray
def test_a_stopped_run_goes_on_where_it_was(model: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    images, into = tmp_path / "images", tmp_path / "into"
    images.mkdir()
    for seed in range(40):
        Image.fromarray(stripes(seed % 5)).save(images / f"{seed:02}.png")
    whole = inspect_bulk(model, images, into, workers=1)
    first, lost, last = sorted(into.glob("*.parquet"))
    rows = {name.name: parquet.read_table(name).to_pylist() for name in (first, lost, last)}
    # as after a kill: a part is missing, another was being written, and the images of those that are there are not read
    lost.unlink()
    (into / "_SUCCESS").unlink()
    (into / f".{lost.name}.x.part").write_bytes(b"PAR1")
    for row in [*rows[first.name], *rows[last.name]]:
        Path(row["path"]).write_bytes(b"no longer an image")
    Image.fromarray(stripes(0)).save(images / "15b.png")  # the archive has grown, in the middle
    again = inspect_bulk(model, images, into, workers=1)
    found = {row["path"]: row for row in parquet.read_table(into).to_pylist()}
    new = found.pop(str(images / "15b.png"))
    assert found == {row["path"]: row for part in rows.values() for row in part}
    assert new["score"] == found[str(images / "00.png")]["score"]
    assert (sum(again.verdicts.values()), again.failed, again.before) == (41, 0, 40 - len(rows[lost.name]))
    assert sum(whole.verdicts.values()) == 40 and (into / "_SUCCESS").exists()
    assert parquet.read_table(first).to_pylist() == rows[first.name]


@needs_ray
def test_maps_are_those_of_inspect_and_rows_name_them(model: Path, folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    Image.fromarray(stripes(3)).save(folder / "10.bmp")  # the same name as another but for the ending
    into, maps = tmp_path / "into", tmp_path / "maps"
    inspect_bulk(model, folder, into, maps=maps, original_size=True, workers=1)
    rows = [row for row in parquet.read_table(into).to_pylist() if row["error"] is None]
    assert len({row["pictures"] for row in rows}) == len(rows) == len(list(maps.rglob("*.tiff"))) == 5
    for row in rows:
        expected = onlygood.load(model, threads=1).inspect(row["path"], original_size=True)[0].map
        assert np.array_equal(np.asarray(Image.open(maps / f"{row['pictures']}.tiff")), expected)
    with pytest.raises(DataError, match=r"other settings \(maps, original_size\)"):
        inspect_bulk(model, folder, into, workers=1)
    other = tmp_path / "other.og"
    onlygood.KNN(size=64, threads=1).fit([stripes(seed) for seed in range(5)]).save(other)
    with pytest.raises(DataError, match=r"other settings \(model\)"):
        inspect_bulk(other, folder, into, maps=maps, original_size=True, workers=1)


@needs_ray
def test_bad_input_is_said_before_a_cluster_is_started(model: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is there already"):
        inspect_bulk(model, folder, folder)
    with pytest.raises(DataError, match="There is no folder"):
        inspect_bulk(model, tmp_path / "nowhere", tmp_path / "into")
    with pytest.raises(DataError, match="some in an object store"):
        inspect_bulk(model, [folder, "s3://bucket/parts"], tmp_path / "into")
    with pytest.raises(ParameterError, match="not a store"):
        inspect_bulk(model, folder, tmp_path / "into", maps="s3://bucket/maps")
    with pytest.raises(DataError, match="There is nothing at"):
        inspect_bulk(model, f"file://{tmp_path}/nowhere", tmp_path / "into")
    assert not (tmp_path / "into").exists()
