from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import onlygood.files
from onlygood.errors import ModelFileError
from onlygood.modelfile import FORMAT_VERSION, Parts, read_manifest, read_parts, write_parts


@pytest.fixture
def parts():
    return Parts(
        {"method": "knn", "version": "9"},
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3)},
        {"x.bin": np.frombuffer(b"abc", np.uint8)},
    )


@pytest.fixture
def file(parts, tmp_path):
    write_parts(tmp_path / "part.og", parts)
    return tmp_path / "part.og"


def test_round_trip(file, parts):
    again = read_parts(file)
    assert np.array_equal(again.tensors["a"], parts.tensors["a"])
    assert again.blobs.keys() == {"x.bin"} and again.blobs["x.bin"].tobytes() == b"abc"
    assert again.manifest["method"] == "knn" and read_manifest(file)["format_version"] == FORMAT_VERSION


def test_no_pickle_inside(file):
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {"manifest.json", "tensors.safetensors", "x.bin"}


def test_every_cut_and_every_flipped_byte_is_noticed(file, tmp_path):
    data = file.read_bytes()
    bad = tmp_path / "bad.og"
    for cut in range(0, len(data), 97):
        bad.write_bytes(data[:cut])
        with pytest.raises(ModelFileError, match=r"bad\.og"):
            read_parts(bad)
    with zipfile.ZipFile(file) as archive:
        starts = [(i.filename, i.header_offset + 30 + len(i.filename)) for i in archive.infolist()]
    for name, start in starts:
        flipped = bytearray(data)
        flipped[start] ^= 0xFF
        bad.write_bytes(flipped)
        with pytest.raises(ModelFileError, match=r"bad\.og"):
            read_parts(bad)
        assert name


def rewritten(file, manifest: dict) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))


def test_a_newer_file_says_upgrade(file):
    rewritten(file, {**read_manifest(file), "format_version": FORMAT_VERSION + 1, "version": "99.0"})
    with pytest.raises(ModelFileError, match=r"99\.0.*[Uu]pgrade"):
        read_parts(file)


def test_an_earlier_file_says_fit_anew(file):
    rewritten(file, {**read_manifest(file), "format_version": FORMAT_VERSION - 1})
    with pytest.raises(ModelFileError, match=r"earlier onlygood.*Fit anew"):
        read_parts(file)


def test_what_was_read_outlives_a_newer_file(file, parts):
    again = read_parts(file)
    write_parts(file, Parts(parts.manifest, {}, {"x.bin": np.frombuffer(b"xyz" * 100, np.uint8)}))
    assert again.blobs["x.bin"].tobytes() == b"abc"


def test_a_compressed_archive_is_refused(file, tmp_path):
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "zip.og", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ModelFileError, match=r"zip\.og.*cannot be read"):
        read_parts(tmp_path / "zip.og")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really"])
def test_a_foreign_file(tmp_path, content):
    (tmp_path / "foreign.og").write_bytes(content)
    with pytest.raises(ModelFileError, match="not an onlygood model"):
        read_parts(tmp_path / "foreign.og")


def test_a_foreign_zip_and_a_missing_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(ModelFileError, match="not an onlygood model"):
        read_parts(tmp_path / "other.zip")
    with pytest.raises(ModelFileError, match="no model file"):
        read_parts(tmp_path / "none.og")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_keeps_the_old_file(file, parts, monkeypatch, failure):
    before = file.read_bytes()

    def fail(handle: int) -> None:
        raise failure

    monkeypatch.setattr(onlygood.files.os, "fsync", fail)
    with pytest.raises(ModelFileError if isinstance(failure, OSError) else KeyboardInterrupt):
        write_parts(file, parts)
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == ["part.og"]
