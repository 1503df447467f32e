"""Settings from a file and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from onlygood.errors import ParameterError
from onlygood.station.settings import CameraIn, FolderIn, Limits, Settings
from onlygood.station.settings_file import parse_models, read_settings

WHOLE = """
data = "/var/lib/onlygood"
host = "192.168.1.7"
port = 8443
workers = 2
keep = "review"
hosts = ["line-pc"]

[models]
cover = "models/cover.og"
flange = "/srv/flange.og"

[limits]
queue = 100
rate = 20

[[folders]]
name = "line"
path = "in"
recipe = "cover"
sort_into = "/srv/sorted"

[[cameras]]
name = "top"
source = "0"
every_seconds = 2

[[webhooks]]
url = "https://mes.example/decisions"
verdicts = ["NG"]

[mqtt]
host = "broker"

[opcua]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    found = read_settings(written(tmp_path, WHOLE), {})
    assert found.data == Path("/var/lib/onlygood") and found.port == 8443 and found.hosts == ("line-pc",)
    assert found.models == {"cover": tmp_path / "models/cover.og", "flange": Path("/srv/flange.og")}
    assert found.limits == Limits(queue=100, rate=20.0)
    assert found.folders == (FolderIn("line", tmp_path / "in", "cover", Path("/srv/sorted")),)
    assert found.cameras == (CameraIn("top", "0", every_seconds=2.0),)
    assert found.webhooks[0].verdicts == ("NG",) and found.mqtt and found.mqtt.host == "broker" and found.opcua


def test_the_command_line_wins(tmp_path: Path) -> None:
    given = {"port": 0, "models": {"a": Path("a.og")}, "data": None, "keep": "none"}
    found = read_settings(written(tmp_path, WHOLE), given)
    assert (found.port, found.keep, found.models) == (0, "none", {"a": Path("a.og")})
    assert found.data == Path("/var/lib/onlygood")


def test_without_a_file() -> None:
    assert read_settings(None, {}) == Settings(data=Path("station-data"), models={})


def test_models_of_the_command_line() -> None:
    assert parse_models(["parts/a.og", "b=c.og"]) == {"a": Path("parts/a.og"), "b": Path("c.og")}
    with pytest.raises(ParameterError, match="Two models are named 'a'"):
        parse_models(["a.og", "x/a.og"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not valid TOML"),
        ("porto = 1", "unknown entry 'porto'"),
        ("[limits]\nqueues = 1", "unknown entry 'limits.queues'"),
        ('port = "80"', "port = '80' must be a whole number"),
        ("port = true", "must be a whole number"),
        ("port = 70000", "0 to 65535"),
        ("workers = 0", "at least 1"),
        ("threads = 0", "at least 1"),
        ('keep = "some"', "all, review or none"),
        ('log_level = "loud"', "debug, info"),
        ("[limits]\nqueue = 0", "limits.queue must be above 0"),
        ("[limits]\nrate = -1", "limits.rate"),
        ("[limits]\nrate = nan", "must be a number"),
        ("limits = 1", "limits must be a table"),
        ("models = []", "models = [] must be a table"),
        ("[models]\na = 1", "models.a = 1 must be the path"),
        ("hosts = 'a'", "must be a list"),
        ("[[folders]]\nname = 'a'", "[folders] needs 'path'"),
        ("[folders]\nname = 'a'", "must be a list"),
        ("[[folders]]\nname = 'a'\npath = 'in'\nrecipes = 'x'", "unknown entry 'folders.recipes'"),
        ("[mqtt]", "[mqtt] needs 'host'"),
        ("certificate = 'a.pem'", "both or neither"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ParameterError) as error:
        read_settings(path, {})
    assert words in str(error.value) and str(path) in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no settings file"):
        read_settings(tmp_path / "none.toml", {})
