"""The queue that every output shares: order, tries, the bound, the end."""

from __future__ import annotations

import threading

import pytest

from onlygood.errors import MissingDependencyError
from onlygood.inspection import Verdict
from onlygood.station.connections import Backoff
from onlygood.station.errors import StationError
from onlygood.station.outputs import open_outputs
from onlygood.station.outputs.base import Output, RefusedDecisionError, UndeliveredError
from onlygood.station.settings import Settings, Webhook


class Listed(Output):
    """Delivers into a list while `up`."""

    def __init__(self, **given) -> None:
        super().__init__("listed", backoff=Backoff(0.01, 0.02), **given)
        self.got: list[str] = []
        self.up = True
        self.tries = 0
        self.refuse: set[str] = set()
        self.break_once = False
        self.opened = 0

    def _open(self) -> None:
        self.opened += 1

    def _deliver(self, decision) -> None:
        self.tries += 1
        if self.break_once:
            self.break_once = False
            raise ZeroDivisionError("nobody expected this")
        if not self.up:
            raise UndeliveredError("it is down")
        if decision.id in self.refuse:
            raise RefusedDecisionError("it will not do")
        self.got.append(decision.id)


@pytest.fixture
def listed():
    outputs = []

    def make(**given) -> Listed:
        outputs.append(Listed(**given))
        return outputs[-1]

    yield make
    for output in outputs:
        output.stop(1.0)


def test_decisions_of_many_threads_arrive_once_and_in_the_order_in_which_they_were_sent(listed, decide, eventually):
    output = listed()
    output.start()
    sent: list[str] = []
    sending = threading.Lock()

    def send() -> None:
        for _ in range(50):
            with sending:
                decision = decide()
                sent.append(decision.id)
                output.send(decision)

    threads = [threading.Thread(target=send) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    eventually(lambda: len(output.got) == 200)
    assert output.got == sent
    assert (output.state.count, output.state.waiting, output.state.dropped) == (200, 0, 0)


def test_what_cannot_be_delivered_is_tried_again_and_arrives_in_order(listed, decide, eventually):
    output = listed()
    output.up = False
    output.start()
    sent = [decide() for _ in range(5)]
    for decision in sent:
        output.send(decision)
    eventually(lambda: output.tries > 3)
    assert output.state.problem == "it is down"
    assert output.state.waiting == 5
    output.up = True
    eventually(lambda: len(output.got) == 5)
    assert output.got == [decision.id for decision in sent]
    eventually(lambda: not output.state.problem)
    assert output.state.last_error == "it is down"


def test_over_the_bound_the_oldest_are_dropped_and_counted(listed, decide, eventually):
    output = listed(queue=3)
    output.up = False
    output.start()
    sent = [decide() for _ in range(10)]
    for decision in sent:
        output.send(decision)
    assert output.state.waiting == 3
    assert output.state.dropped == 7
    output.up = True
    eventually(lambda: output.state.waiting == 0)
    assert output.got == [decision.id for decision in sent[-3:]]
    state = output.state
    assert state.count + state.dropped == 10


def test_a_refused_decision_does_not_hold_up_the_others(listed, decide, eventually):
    output = listed()
    first, second = decide(), decide()
    output.refuse = {first.id}
    output.send(first)
    output.send(second)
    output.start()
    eventually(lambda: output.state.waiting == 0)
    assert output.got == [second.id]
    assert (output.state.failed, output.state.count) == (1, 1)


def test_only_the_verdicts_asked_for_are_sent(listed, decide, eventually):
    output = listed(verdicts=("NG", "REVIEW"))
    output.start()
    sent = [decide(verdict=verdict) for verdict in (Verdict.OK, Verdict.NG, Verdict.REVIEW, Verdict.OK)]
    for decision in sent:
        output.send(decision)
    eventually(lambda: len(output.got) == 2)
    assert output.got == [sent[1].id, sent[2].id]


def test_after_an_error_nobody_expected_it_goes_on_with_the_same_decision(listed, decide, eventually):
    output = listed()
    output.break_once = True
    output.start()
    decision = decide()
    output.send(decision)
    eventually(lambda: output.got == [decision.id])
    assert output.opened == 2
    assert "nobody expected this" in output.state.last_error


def test_stopping_delivers_what_waits(listed, decide):
    output = listed()
    sent = [decide() for _ in range(20)]
    for decision in sent:
        output.send(decision)
    output.start()
    assert output.stop()
    assert output.got == [decision.id for decision in sent]
    assert not output.state.running


def test_stopping_ends_also_if_nothing_can_be_delivered(listed, decide):
    output = listed()
    output.up = False
    output.start()
    output.send(decide())
    assert output.stop(0.3)
    assert output.state.waiting == 1


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        (Webhook("ftp://plant/x"), "http"),
        (Webhook("no address"), "http"),
        (Webhook("http://plant:notaport/"), "http"),
        (Webhook("http://plant/", verdicts=("BAD",)), "BAD"),
        (Webhook("http://plant/", queue=0), "queue"),
    ],
)
def test_settings_that_cannot_be_used_are_said_before_anything_starts(webhook, said, tmp_path):
    with pytest.raises(StationError, match=said):
        open_outputs(Settings(tmp_path, {}, webhooks=(webhook,)))


def test_a_missing_package_is_named_with_its_extra(monkeypatch, tmp_path):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onlygood\[station\]"):
        open_outputs(Settings(tmp_path, {}, webhooks=(Webhook("http://plant/"),)))
