"""The settings that the page about the station shows can be read and used."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from onlygood.station.inputs import open_inputs
from onlygood.station.outputs import open_outputs
from onlygood.station.settings_file import read_settings

PAGE = Path(__file__).parents[3] / "docs" / "station.md"


def examples() -> str:
    """The indented blocks of TOML tables of inputs and outputs, as one file."""
    blocks, block = [], []
    for line in [*PAGE.read_text(encoding="utf-8").splitlines(), "end"]:
        if line.startswith("    ") or not line:
            block.append(line)
        else:
            blocks.append(textwrap.dedent("\n".join(block)).strip())
            block = []
    heads = ("[[folders]]", "[[cameras]]", "[[webhooks]]", "[mqtt]", "[sort_out]", "[opcua]")
    return "\n\n".join(block for block in blocks if block.startswith(heads))


def test_the_examples_of_inputs_and_outputs_open(tmp_path):
    for package in ("cv2", "asyncua", "httpx", "paho"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    for name in ("camera-password", "webhook-token", "webhook-secret", "mqtt-password"):
        (tmp_path / name).write_text("hush\n")
    certificates = pytest.importorskip("certifi", reason="certifi is not installed").where()
    (tmp_path / "plant-ca.pem").write_bytes(Path(certificates).read_bytes())
    (tmp_path / "station.toml").write_text(examples(), encoding="utf-8")
    settings = read_settings(tmp_path / "station.toml", {"data": tmp_path / "data", "models": {"cap": Path("cap.og")}})
    inputs = open_inputs(settings, lambda *_: pytest.fail("nothing is started"))
    assert [part.name for part in inputs] == ["folder:line 1", "camera:top"]
    outputs = open_outputs(settings)
    assert [part.name for part in outputs] == [
        "webhook:mes.plant.example",
        "mqtt:broker.plant.example:8883",
        "sorted",
        "opcua",
    ]
    assert "hush" not in str([part.state for part in (*inputs, *outputs)])
