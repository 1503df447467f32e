"""Every backbone has the published stages, and takes the published tensors and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onlygood.errors import ParameterError, WeightsError
from onlygood.features import find_backbone
from onlygood.features.weights import load_network, resolve

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from onlygood.features.architectures import build  # noqa: E402

RESNET_STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}

# step: (channels, stride)
STAGES = {
    "efficientnet_lite0": {"blocks.0": (16, 2), "blocks.4": (40, 8), "blocks.10": (112, 16), "blocks.15": (320, 32)},
    "efficientnet_lite1": {"blocks.6": (40, 8), "blocks.14": (112, 16), "blocks.20": (320, 32)},
    "efficientnet_lite2": {"blocks.6": (48, 8), "blocks.14": (120, 16), "blocks.20": (352, 32)},
    "mobilenet_v2": {"features.6": (32, 8), "features.13": (96, 16), "features.17": (320, 32)},
    "resnet18": dict(zip(RESNET_STRIDES, [(64, 4), (128, 8), (256, 16), (512, 32)])),
    **{
        name: dict(zip(RESNET_STRIDES, [(256, 4), (512, 8), (1024, 16), (2048, 32)]))
        for name in ("resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2")
    },
    "vgg11_bn": {"features.15": (512, 8), "features.22": (512, 16), "features.28": (512, 32)},
}

# parameters without the classifier; for the ResNets torchvision's published counts less the 1000-way layer
PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
    "wide_resnet50_2": 68_883_240 - 2_049_000,
    "wide_resnet101_2": 126_886_696 - 2_049_000,
    "vgg11_bn": 132_868_840 - 123_642_856,
    "mobilenet_v2": 3_504_872 - 1_281_000 - (320 * 1280 + 2 * 1280),
    "efficientnet_lite0": 4_652_008 - 1_281_000 - (320 * 1280 + 2 * 1280),
}

SMALL = ("efficientnet_lite0", "mobilenet_v2", "resnet18")


@pytest.mark.parametrize("architecture", STAGES)
def test_channels_and_strides_of_the_stages(architecture: str) -> None:
    with torch.device("meta"):  # shapes alone: no weights are made
        network = build(architecture).eval()
        maps = network.feature_maps(torch.zeros(1, 3, 64, 64), list(STAGES[architecture]))
    for m, (channels, stride) in zip(maps, STAGES[architecture].values(), strict=True):
        assert m.shape == (1, channels, 64 // stride, 64 // stride)
    assert network.last == list(STAGES[architecture])[-1]


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_parameter_counts_are_the_published_ones(architecture: str) -> None:
    with torch.device("meta"):
        network = build(architecture)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[architecture]


@pytest.mark.parametrize("architecture", SMALL)
def test_maps_come_in_the_order_asked_for(architecture: str) -> None:
    network = build(architecture).eval()
    names = list(STAGES[architecture])
    first, last = names[0], names[-1]
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        forward, backward = (network.feature_maps(image, layers) for layers in ([first, last], [last, first]))
        assert torch.equal(forward[0], backward[1]) and torch.equal(forward[1], backward[0])
        torch.testing.assert_close(network(image), forward[1].mean((2, 3)))


def test_unknown_layer_lists_the_known_ones() -> None:
    with pytest.raises(ParameterError, match="layer3"):
        build("resnet18").feature_maps(torch.zeros(1, 3, 64, 64), ["layer9"])


def published(architecture: str) -> dict[str, torch.Tensor]:
    """A state dict as the publisher's file has it, with its classifier, random."""
    torch.manual_seed(1)
    tensors = {
        name: value if value.dtype == torch.int64 else torch.rand_like(value) * 0.1 + 0.01
        for name, value in build(architecture).state_dict().items()
    }
    head = {
        "resnet18": {"fc.weight": (9, 512), "fc.bias": (9,)},
        "mobilenet_v2": {"features.18.0.weight": (1280, 320, 1, 1), "classifier.1.weight": (9, 1280)},
        "efficientnet_lite0": {"_conv_head.weight": (1280, 320, 1, 1), "_bn1.bias": (1280,), "_fc.weight": (9, 1280)},
    }[architecture]
    return tensors | {name: torch.zeros(shape) for name, shape in head.items()}


def save(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors} if path.suffix == ".pt" else tensors, path)
    return path


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_a_published_file_loads_to_the_last_tensor(tmp_path: Path, architecture: str, ending: str) -> None:
    tensors = published(architecture)
    path = save(tensors, tmp_path / f"w{ending}")
    spec = find_backbone(architecture)
    network = load_network(spec, resolve(spec, path))
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, tensors[name]), name


def test_a_file_without_batch_counters_loads(tmp_path: Path) -> None:
    tensors = {name: value for name, value in published("resnet18").items() if "num_batches" not in name}
    spec = find_backbone("resnet18")
    load_network(spec, resolve(spec, save(tensors, tmp_path / "w.pth")))


@pytest.mark.parametrize("damage", ["missing", "shape", "foreign", "empty"])
def test_tensors_of_another_network_are_refused(tmp_path: Path, damage: str) -> None:
    tensors = published("resnet18")
    name = "layer2.0.conv1.weight"
    if damage == "missing":
        del tensors[name]
    elif damage == "shape":
        tensors[name] = tensors[name][:5]
    elif damage == "foreign":  # as if a deeper network's file were given: it has all of ours, and more
        name = "layer2.2.conv1.weight"
        tensors[name] = torch.zeros(3)
    else:
        tensors, name = {}, "conv1.weight"
    path = save(tensors, tmp_path / "w.pth")
    spec = find_backbone("resnet18")
    with pytest.raises(WeightsError, match="not those of resnet18") as caught:
        load_network(spec, resolve(spec, path))
    assert name in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all" * 50])
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    spec = find_backbone("resnet18")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_network(spec, resolve(spec, tmp_path / name))


class Harmful:
    """Unpickling it would run a command."""

    def __reduce__(self) -> tuple:
        return (print, ("executed",))


@pytest.mark.parametrize("content", [Harmful(), [1, 2, 3]])
def test_a_pickle_that_is_no_state_dict_is_not_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object
) -> None:
    torch.save(content, tmp_path / "w.pth")
    spec = find_backbone("resnet18")
    with pytest.raises(WeightsError):
        load_network(spec, resolve(spec, tmp_path / "w.pth"))
    assert "executed" not in capsys.readouterr().out


def test_random_weights_are_the_same_every_time() -> None:
    spec = replace(find_backbone("resnet18"))
    first, second = (load_network(spec, resolve(spec, "random")).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
