"""Server-sent events: what every browser gets, and what becomes of those that do not listen."""

import asyncio
import dataclasses
import json
import threading
from typing import Any

import pytest

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now
from onlygood.station.errors import BusyError
from onlygood.station.web.events import Events, EventStream

DECISION = Decision(
    id=new_id(),
    time=now(),
    recipe="cap",
    model="0" * 64,
    source="rest",
    name="line one\nevent: status\nöäü",
    verdict=Verdict.NG,
    score=2.5,
    p_value=0.01,
    thresholds=Thresholds(float("inf"), float("-inf")),
    pixel_threshold=float("inf"),
    reason="",
    regions=({"box": [1, 2, 3, 4], "area": 4, "peak": 3.0},),
    width=8,
    height=8,
    digest="1" * 64,
    wait_ms=0.5,
    inspect_ms=9.0,
)


class Browser:
    """The other end of a stream: an ASGI client that takes what is sent, or does not."""

    def __init__(self, events: Events) -> None:
        self.taken = b""
        self.ended = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()
        self.answer = asyncio.ensure_future(EventStream(events)({"type": "http"}, self.receive, self.send))

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.taken += message.get("body", b"")
        self.ended |= message["type"] == "http.response.body" and not message["more_body"]

    def messages(self, name: str) -> list[Any]:
        blocks = [block.split("\n") for block in self.taken.decode().split("\n\n") if block]
        return [json.loads(lines[1].removeprefix("data: ")) for lines in blocks if lines[0] == f"event: {name}"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_every_browser_gets_the_state_and_each_decision_in_order() -> None:
    async def main() -> None:
        events = Events(lambda: {"ready": True})
        browsers = [Browser(events) for _ in range(3)]
        await until(lambda: all(browser.messages("status") for browser in browsers))
        made = [dataclasses.replace(DECISION, id=new_id()) for _ in range(40)]
        tell = threading.Thread(target=lambda: [events.decision(decision) for decision in made])
        tell.start()
        await until(lambda: all(len(browser.messages("decision")) == 40 for browser in browsers))
        tell.join()
        for browser in browsers:
            assert browser.messages("decision") == [decision.as_dict() for decision in made]
            assert browser.messages("status") == [{"ready": True}]
            browser.gone.set()
            await browser.answer
        assert events.listening == 0

    asyncio.run(main())


def test_a_browser_that_does_not_read_is_cut_off_and_the_others_are_not() -> None:
    async def main() -> None:
        events = Events(dict, limit=10)
        slow, quick = Browser(events), Browser(events)
        await until(lambda: slow.messages("status") and quick.messages("status"))
        slow.reads.clear()
        for count in range(30):
            events.decision(DECISION)
            await until(lambda count=count: len(quick.messages("decision")) == count + 1)  # type: ignore[misc]
        assert events.listening == 1
        slow.reads.set()
        await slow.answer
        assert len(slow.messages("decision")) < 30
        assert len(quick.messages("decision")) == 30
        quick.gone.set()
        await quick.answer

    asyncio.run(main())


def test_closing_ends_every_stream_at_once_and_takes_no_new_one() -> None:
    async def main() -> None:
        events = Events(dict)
        browsers = [Browser(events) for _ in range(3)]
        await until(lambda: all(browser.messages("status") for browser in browsers))
        await asyncio.to_thread(events.close)
        async with asyncio.timeout(5):
            await asyncio.gather(*(browser.answer for browser in browsers))
        assert all(browser.ended for browser in browsers)
        with pytest.raises(BusyError, match="stopping"):
            EventStream(events)
        events.decision(DECISION)

    asyncio.run(main())


def test_no_more_browsers_than_allowed() -> None:
    async def main() -> None:
        events = Events(dict, listeners=2)
        first = events.listen()
        events.listen()
        with pytest.raises(BusyError, match="2 browsers"):
            events.listen()
        events.forget(first)
        events.listen()

    asyncio.run(main())


def test_a_loop_that_is_gone_does_not_stop_the_one_who_tells() -> None:
    events = Events(dict)

    async def main() -> None:
        events.listen()

    asyncio.run(main())
    events.decision(DECISION)
    assert events.listening == 0


def test_the_state_is_asked_for_once_for_all_browsers() -> None:
    asked = []

    def status() -> dict[str, Any]:
        asked.append(1)
        return {}

    events = Events(status)
    assert events.status() == events.status() == b"event: status\ndata: {}\n\n"
    assert len(asked) == 1


def test_a_name_cannot_forge_an_event() -> None:
    async def main() -> None:
        events = Events(dict)
        browser = Browser(events)
        await until(lambda: browser.messages("status"))
        events.decision(DECISION)
        await until(lambda: browser.messages("decision"))
        assert browser.messages("decision")[0]["name"] == DECISION.name
        assert len(browser.messages("status")) == 1
        browser.gone.set()
        await browser.answer

    asyncio.run(main())
