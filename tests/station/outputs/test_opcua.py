"""The OPC UA server, read by a real client."""

from __future__ import annotations

import contextlib
import math
import socket
from pathlib import Path

import pytest

from onlygood.inspection import Verdict
from onlygood.station.outputs import open_outputs
from onlygood.station.settings import OpcUa, Settings

sync = pytest.importorskip("asyncua.sync", reason="asyncua is not installed")
from asyncua import ua  # noqa: E402


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def opened(port: int, folder: Path):
    models = {name: folder / f"{name}.og" for name in ("cap", "lid", "told")}
    (output,) = open_outputs(Settings(folder, models, opcua=OpcUa(f"opc.tcp://127.0.0.1:{port}/onlygood/")))
    output.start()
    return output


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server and its port; it takes a while to start, so there is one for all tests."""
    port = free_port()
    output = opened(port, tmp_path_factory.mktemp("opcua"))
    yield output, port
    output.stop(5.0)


@pytest.fixture
def connect(eventually):
    clients = []

    def start(port: int, username: str = ""):
        client = sync.Client(f"opc.tcp://127.0.0.1:{port}/onlygood/")
        if username:
            client.set_user(username)

        def connected() -> bool:
            try:
                client.connect()
            except (OSError, TimeoutError):
                return False
            return True

        clients.append(client)
        eventually(connected, 90.0)
        return client

    yield start
    for client in clients:
        with contextlib.suppress(Exception):
            client.disconnect()
        with contextlib.suppress(Exception):
            client.tloop.stop()


def values(client, recipe: str) -> dict:
    index = client.get_namespace_index("urn:onlygood:station")
    parent = client.nodes.objects.get_child([f"{index}:Onlygood", f"{index}:{recipe}"])
    return {node.read_browse_name().Name: node.read_value() for node in parent.get_variables()}


def test_a_client_finds_the_last_decision_and_the_counters_of_each_recipe(served, connect, decide, eventually):
    output, port = served
    client = connect(port)
    before = values(client, "lid")
    assert before["Verdict"] == before["Id"] == ""
    assert math.isnan(before["Score"])
    assert before["CountNg"] == 0
    for verdict in (Verdict.OK, Verdict.OK, Verdict.REVIEW):
        output.send(decide(recipe="cap", verdict=verdict))
    last = decide(recipe="cap", verdict=Verdict.NG, score=3.25, p_value=0.125)
    output.send(last)
    eventually(lambda: output.state.waiting == 0)
    after = values(client, "cap")
    assert after["Time"].timestamp() == pytest.approx(last.time.timestamp(), abs=1e-5) or (
        after["Time"] == last.time.replace(tzinfo=None)
    )
    del after["Time"]
    assert after == {
        "Id": last.id,
        "Verdict": "NG",
        "Score": 3.25,
        "PValue": 0.125,
        "NgThreshold": 2.0,
        "ReviewThreshold": 1.5,
        "Reason": "structural",
        "Regions": 1,
        "Name": "part-1.png",
        "Source": "rest",
        "Model": "ab" * 32,
        "CountOk": 2,
        "CountReview": 1,
        "CountNg": 1,
    }
    assert values(client, "lid")["CountOk"] == 0


def test_a_recipe_that_comes_later_gets_its_nodes(served, connect, decide, eventually):
    output, port = served
    client = connect(port)
    output.send(decide(recipe="new one", verdict=Verdict.OK))
    eventually(lambda: output.state.waiting == 0)
    assert values(client, "new one")["CountOk"] == 1


def test_who_is_told_of_a_new_id_finds_all_of_its_decision(served, connect, decide, eventually):
    output, port = served
    client = connect(port)
    index = client.get_namespace_index("urn:onlygood:station")
    seen: list[str] = []

    class Told:
        def datachange_notification(self, node, value, data) -> None:
            seen.append(value)

    subscription = client.create_subscription(20, Told())
    subscription.subscribe_data_change(client.get_node(f"ns={index};s=told/Id"))
    sent = decide(recipe="told", verdict=Verdict.OK, score=0.5)
    output.send(sent)
    eventually(lambda: seen and seen[-1] == sent.id)
    assert values(client, "told")["Score"] == 0.5


@pytest.mark.parametrize("username", ["", "admin"])
def test_no_client_may_change_anything(served, connect, username):
    _, port = served
    try:
        client = connect(port, username)
    except ua.UaError:
        assert username  # who gives a name is not even let in
        return
    index = client.get_namespace_index("urn:onlygood:station")
    node = client.get_node(f"ns={index};s=lid/Verdict")
    with pytest.raises(ua.UaError):
        node.write_value("OK")
    with pytest.raises(ua.UaError):
        client.nodes.objects.add_variable(index, "mine", 1)
    assert node.read_value() == ""


def test_a_port_that_is_taken_is_told_and_tried_again(connect, decide, eventually, tmp_path):
    port = free_port()
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    output = opened(port, tmp_path)
    try:
        output.send(decide(verdict=Verdict.OK))
        eventually(lambda: output.state.problem, 90.0)
        taken.close()
        eventually(lambda: output.state.count == 1, 90.0)
        assert not output.state.problem
        assert values(connect(port), "cap")["CountOk"] == 1
    finally:
        output.stop(5.0)
