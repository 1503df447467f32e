"""CIFAR-10 in both its published forms, from miniature files; a hostile pickle runs nothing."""

from __future__ import annotations

import io
import os
import pickle
import struct

import numpy as np
import pytest

from onlygood.errors import DataError
from onlygood.images.cifar10_batches import CLASSES, TEST, TRAIN
from onlygood.images.datasets import cifar10
from onlygood.images.datasets.cifar10 import load_cifar10


@pytest.fixture
def batches(monkeypatch, rng):
    """Two training images and one test image of each class: name of the file -> pixels and labels."""
    monkeypatch.setattr(cifar10, "PER_CLASS", (5, 1))
    labels = {name: rng.permutation(10) for name in (*TRAIN, *TEST)}
    return {name: (rng.integers(0, 256, (10, 3072), dtype=np.uint8), order) for name, order in labels.items()}


def write_binary(folder, batches):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        (folder / f"{name}.bin").write_bytes(np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes())


class OfPython2(pickle._Pickler):
    """Writes byte strings as Python 2 did, which the published files were made with."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_str(self, text):
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)

    dispatch[bytes] = save_str


def pickled(table, writer):
    buffer = io.BytesIO()
    writer(buffer, 2).dump(table)
    return buffer.getvalue()


def write_python(folder, batches, writer=pickle._Pickler):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        table = {b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"one of six", b"filenames": [b"x.png"]}
        (folder / name).write_bytes(pickled(table, writer))


def test_the_good_class_and_the_nine_others(tmp_path, batches):
    write_binary(tmp_path, batches)
    split = load_cifar10(tmp_path, "cat")
    assert split.train.shape == (5, 32, 32, 3) and split.train.dtype == np.uint8
    assert split.test.shape == (10, 32, 32, 3) and split.labels.sum() == 9
    assert [name for name, label in zip(split.classes, split.labels) if label == 0] == ["cat"]
    pixels, labels = batches["data_batch_1"]
    first = pixels[list(labels).index(3)]
    for row, column, channel in ((0, 0, 0), (31, 2, 1), (7, 30, 2)):
        assert split.train[0, row, column, channel] == first[1024 * channel + 32 * row + column]


@pytest.mark.parametrize("writer", [pickle._Pickler, OfPython2])
@pytest.mark.parametrize("inside", [True, False])
def test_both_forms_hold_the_same(tmp_path, batches, writer, inside):
    write_binary(tmp_path / "cifar-10-batches-bin", batches)
    python = tmp_path / "p"
    write_python(python / "cifar-10-batches-py" if inside else python, batches, writer)
    for good in CLASSES:
        one, other = load_cifar10(tmp_path, good), load_cifar10(python, good)
        assert np.array_equal(one.train, other.train) and np.array_equal(one.test, other.test)
        assert np.array_equal(one.labels, other.labels) and one.classes == other.classes


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_may_not_run_anything(tmp_path, batches):
    write_python(tmp_path, batches)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Hostile(tmp_path / "owned"), b"labels": []}))
    with pytest.raises(DataError, match=r"data_batch_3.*mkdir"):
        load_cifar10(tmp_path, "cat")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": np.zeros((10, 3072), np.uint8)}),
        pickle.dumps({b"data": np.zeros((9, 3072), np.uint8), b"labels": list(range(10))}),
        pickle.dumps({b"data": np.zeros((10, 3072), np.float32), b"labels": list(range(10))}),
        pickle.dumps({b"data": b"bytes", b"labels": list(range(10))}),
    ],
)
def test_a_damaged_python_file_is_named(tmp_path, batches, content):
    write_python(tmp_path, batches)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match="test_batch"):
        load_cifar10(tmp_path, "cat")


def test_damaged_binary_files_are_named(tmp_path, batches):
    write_binary(tmp_path, batches)
    path = tmp_path / "data_batch_2.bin"
    whole = path.read_bytes()
    for content in (b"", whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"data_batch_2\.bin"):
            load_cifar10(tmp_path, "cat")
    path.write_bytes(whole[:-3073])
    with pytest.raises(DataError, match="published are 5"):
        load_cifar10(tmp_path, "cat")
    path.write_bytes(b"\x63" + whole[1:])
    with pytest.raises(DataError, match="label"):
        load_cifar10(tmp_path, "cat")
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        load_cifar10(tmp_path, "cat")


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match="holds no CIFAR-10"):
        load_cifar10(tmp_path, "cat")
    with pytest.raises(DataError, match="no class 'zebra'"):
        load_cifar10(tmp_path, "zebra")
