"""MQTT, against a real Mosquitto on a free port."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from onlygood.station.errors import StationError
from onlygood.station.outputs import open_outputs
from onlygood.station.outputs.mqtt import topic_part
from onlygood.station.settings import Mqtt, Settings

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="the broker mosquitto is not installed")


class Broker:
    """A Mosquitto, which can be stopped and started again on the same port."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        user = "user root\n" if os.name == "posix" and os.getuid() == 0 else ""
        self.config.write_text(f"{user}listener {self.port} 127.0.0.1\n{settings}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, "mosquitto does not start"
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Listener:
    """Another client that writes down what it hears."""

    def __init__(self, port: int, *, username: str = "", password: str = "") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.subscribed = False
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.reconnect_delay_set(1, 1)
        if username:
            self.client.username_pw_set(username, password)
        self.client.on_connect = lambda client, *_: client.subscribe("plant/#", 1)
        self.client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self.client.on_disconnect = lambda *_: setattr(self, "subscribed", False)
        self.client.on_message = lambda _c, _d, one: self.heard.append((one.topic, one.payload, one.retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def of(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in self.heard if heard == topic]

    @property
    def ids(self) -> list[str]:
        return [json.loads(payload)["id"] for topic, payload, _ in self.heard if not topic.endswith("$status")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def listen(eventually):
    listeners = []

    def start(port: int, **given) -> Listener:
        listener = Listener(port, **given)
        listeners.append(listener)
        eventually(lambda: listener.subscribed)
        return listener

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def publish(tmp_path):
    outputs = []

    def start(port: int, **given):
        mqtt = Mqtt("127.0.0.1", port, **{"topic": "plant/line 1", **given})
        (output,) = open_outputs(Settings(tmp_path, {}, mqtt=mqtt))
        outputs.append(output)
        output.start()
        return output

    yield start
    for output in outputs:
        output.stop(0.5)


@needs_mosquitto
def test_every_decision_is_published_under_its_recipe_in_order(broker, listen, publish, decide, eventually):
    listener = listen(broker.port)
    output = publish(broker.port)
    sent = [decide(recipe=recipe) for recipe in ("cap", "lid", "a/b+#", "cap")]
    for decision in sent:
        output.send(decision)
    eventually(lambda: output.state.count == 4)
    eventually(lambda: len(listener.ids) == 4)
    assert listener.ids == [decision.id for decision in sent]
    assert [json.loads(one)["id"] for one in listener.of("plant/line 1/cap")] == [sent[0].id, sent[3].id]
    assert len(listener.of("plant/line 1/a%2Fb%2B%23")) == 1
    first = json.loads(listener.of("plant/line 1/cap")[0])
    assert first["verdict"] == "NG"
    assert "picture" not in first
    assert not output.state.problem


@needs_mosquitto
def test_the_status_is_online_and_after_a_stop_offline_and_retained(broker, listen, publish, eventually):
    output = publish(broker.port)
    listener = listen(broker.port)
    eventually(lambda: listener.of("plant/line 1/$status") == [b"online"])
    late = listen(broker.port)
    eventually(lambda: late.heard == [("plant/line 1/$status", b"online", True)])
    assert output.stop()
    eventually(lambda: listener.of("plant/line 1/$status") == [b"online", b"offline"])
    later = listen(broker.port)
    eventually(lambda: later.heard == [("plant/line 1/$status", b"offline", True)])


VANISHING = """
    import sys, time
    from pathlib import Path
    from onlygood.station.outputs import open_outputs
    from onlygood.station.settings import Mqtt, Settings
    mqtt = Mqtt("127.0.0.1", int(sys.argv[1]), topic="plant")
    (output,) = open_outputs(Settings(Path("."), {}, mqtt=mqtt))
    output.start()
    time.sleep(60)
"""


@needs_mosquitto
def test_when_the_station_vanishes_the_broker_says_so(broker, listen, eventually, tmp_path):
    (tmp_path / "run.py").write_text(textwrap.dedent(VANISHING))
    listener = listen(broker.port)
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(broker.port)])
    try:
        eventually(lambda: listener.of("plant/$status") == [b"online"], 30.0)
    finally:
        process.kill()
        process.wait()
    eventually(lambda: listener.of("plant/$status") == [b"online", b"offline"])


@needs_mosquitto
def test_a_broker_that_is_stopped_and_started_again_gets_every_decision(broker, listen, publish, decide, eventually):
    listener = listen(broker.port)
    output = publish(broker.port)
    sent = [decide() for _ in range(30)]
    for decision in sent[:10]:
        output.send(decision)
    eventually(lambda: output.state.count == 10)
    eventually(lambda: len(set(listener.ids)) == 10)  # taken by the broker is not yet heard
    broker.stop()
    for decision in sent[10:]:
        output.send(decision)
    eventually(lambda: "cannot be reached" in output.state.problem)
    assert output.state.waiting == 20
    broker.start()
    eventually(lambda: listener.subscribed, 30.0)
    eventually(lambda: output.state.waiting == 0, 30.0)
    assert not output.state.problem
    assert output.state.dropped == 0
    assert output.state.count == 30
    # what came before the listener was back is not heard by it, and at least once may be twice
    heard = list(dict.fromkeys(listener.ids))
    order = [decision.id for decision in sent]
    assert heard[:10] == order[:10]
    assert heard == [one for one in order if one in set(heard)]
    assert listener.of("plant/line 1/$status")[-1] == b"online"


@needs_mosquitto
def test_a_broker_that_was_never_there_gets_every_decision_once_it_is(tmp_path, listen, publish, decide, eventually):
    broker = Broker(tmp_path)
    output = publish(broker.port)
    sent = [decide() for _ in range(5)]
    for decision in sent:
        output.send(decision)
    eventually(lambda: "cannot be reached" in output.state.problem)
    broker.start()
    try:
        listener = listen(broker.port)
        eventually(lambda: output.state.count == 5, 30.0)
        assert output.state.dropped == 0
        assert set(listener.ids) <= {decision.id for decision in sent}
    finally:
        broker.stop()


@needs_mosquitto
def test_with_a_password_and_without(tmp_path, listen, publish, decide, eventually):
    making = shutil.which("mosquitto_passwd")
    if making is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([making, "-b", "-c", str(tmp_path / "users"), "station", "hush"], check=True)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {tmp_path / 'users'}")
    broker.start()
    try:
        (tmp_path / "right").write_text("hush\n")
        (tmp_path / "wrong").write_text("not it\n")
        wrong = publish(broker.port, username="station", password_file=tmp_path / "wrong")
        wrong.send(decide())
        eventually(lambda: "refuses" in wrong.state.problem)
        right = publish(broker.port, username="station", password_file=tmp_path / "right")
        listener = listen(broker.port, username="station", password="hush")
        right.send(decide())
        eventually(lambda: len(listener.ids) == 1)
        assert wrong.state.count == 0
        assert "hush" not in str(right.state) + str(wrong.state)
    finally:
        broker.stop()


@pytest.mark.parametrize("topic", ["", "plant/", "plant/#", "+/line"])
def test_topics_that_cannot_be_are_refused(tmp_path, topic):
    with pytest.raises(StationError, match="topic"):
        open_outputs(Settings(tmp_path, {}, mqtt=Mqtt("127.0.0.1", topic=topic)))


def test_a_password_that_cannot_be_read_is_said_at_once(tmp_path):
    with pytest.raises(StationError, match="nothing-here"):
        open_outputs(Settings(tmp_path, {}, mqtt=Mqtt("127.0.0.1", password_file=tmp_path / "nothing-here")))


def test_no_two_recipes_share_a_topic():
    names = ["a/b", "a%2Fb", "a", "$status", "%24status", "ä", "a+", "a#", "a b"]
    topics = [topic_part(name) for name in names]
    assert len(set(topics)) == len(names)
    assert not any(sign in topic for topic in topics for sign in "/+#")
    assert "$status" not in topics
