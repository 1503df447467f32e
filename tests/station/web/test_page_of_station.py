"""The page of a station that truly runs: what is done on it is in the record, and what the record tells is on it."""

from __future__ import annotations

import dataclasses
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the station needs onlygood[station]")
from page_fake import port_of, serving
from page_words import CHROMIUM, answer, in_browser, playwright_api, toasted, told

from onlygood.station.decisions import Thresholds, new_id
from onlygood.station.web.app import create_app

pytestmark = in_browser


@pytest.fixture
def page(station: Any) -> Iterator[Any]:
    """A browser at the station; no error may be told and no other host be asked."""
    wrong: list[str] = []
    with serving(create_app(station)) as server, playwright_api.sync_playwright() as driver:
        root = f"http://127.0.0.1:{port_of(server)}/"
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        page = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en").new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda one: wrong.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith(root) else wrong.append(one.url))
        page.goto(root)
        told(page, ".connection", "Connected")
        yield page
        browser.close()
    assert wrong == []


def inspect(station: Any, data: bytes, name: str) -> Any:
    return station.inspecting.submit(data, name).result(30).decision


def test_parts_are_seen_reviewed_and_found_again(station: Any, page: Any, good: bytes, dented: bytes) -> None:
    bad = inspect(station, dented, "dented.png")
    told(page, ".verdict", "NG")
    told(page, ".live .part-name", "dented.png")
    page.locator(".live .overlay").wait_for()
    assert page.locator(".live .region").count() == len(bad.regions) >= 1
    told(page, ".count.ng", "1")

    station.recipes.set_thresholds("plate", Thresholds(bad.score / 2, 0.0), "test")
    first, second = inspect(station, good, "first.png"), inspect(station, good, "second.png")
    told(page, ".verdict", "REVIEW")
    told(page, ".badge", "2")
    page.keyboard.press("2")
    told(page, ".reviewing .part-name", "first.png")
    answer(page, "n")
    told(page, ".reviewing .part-name", "second.png")
    page.keyboard.press("u")
    answer(page, "o")
    told(page, ".reviewing .part-name", "second.png")
    page.keyboard.press("c")
    page.keyboard.type("looks fine")
    page.keyboard.press("Enter")
    answer(page, "o")
    told(page, ".reviewing .note", "Nothing to review")
    answers = [(one["answer"], one["comment"]) for one in station.record.decision(first.id)["answers"]]
    assert answers == [("NG", ""), ("OK", "")]
    assert station.record.decision(second.id)["answer"]["comment"] == "looks fine"

    page.keyboard.press("3")
    told(page, ".found", "3 parts")
    page.locator("[name=answered]").select_option("ok")
    told(page, ".found", "2 parts")
    page.locator("[name=answered]").select_option("")
    page.locator("[name=order]").select_option("score")
    told(page, ".results li", "dented.png")
    page.locator("[name=min_score]").fill(f"{bad.score - 1e-6:.9f}")
    told(page, ".found", "1 part")
    with page.expect_download() as saved:
        page.get_by_text("Save as CSV").click()
    csv = Path(saved.value.path()).read_text("utf-8")
    assert bad.id in csv and first.id not in csv
    page.locator(".results .thumbnail").click()
    told(page, ".detail .part-name", "dented.png")
    page.get_by_role("button", name="Add as defect").click()
    toasted(page, "good", "golden set as defect")
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    told(page, ".golden", "dented.png")


def test_thresholds_are_moved_and_taken_back(station: Any, page: Any, good: bytes, dented: bytes) -> None:
    before = station.recipes.get("plate")
    bad = inspect(station, dented, "dented.png")
    inspect(station, good, "good.png")
    page.keyboard.press("4")
    told(page, ".thresholds .legend", "Recent parts (2)")
    page.locator("#threshold-ng").fill(f"{bad.score * 2:.5f}")
    page.locator("#why").fill("to see")
    page.get_by_role("button", name="Preview").click()
    told(page, ".result", "Last 2 parts")
    row = page.locator(".result tbody tr").first.inner_text()
    assert re.search(r"1 → 0\s*−1", row), row  # one part less would have been NG
    page.get_by_role("button", name="Apply").click()
    told(page, ".activations li.on", "to see")
    moved = page.locator(".activations li.on").inner_text()
    assert "–" not in moved and re.search(r"NG > [\d.,]+, REVIEW > [\d.,]+", moved), moved
    assert station.recipes.get("plate").thresholds.ng == pytest.approx(2 * bad.score, rel=1e-4)
    trail = str(station.record.audit_trail(10))
    assert "to see" in trail and "local" in trail
    page.get_by_role("button", name="Roll back").click()
    page.locator(".sure .primary").click()
    toasted(page, "good", "Rolled back")
    assert station.recipes.get("plate").thresholds == before.thresholds
    page.keyboard.press("5")
    told(page, ".state.good", "No")
    told(page, ".drift", "with a probability of at most 1%")


def test_a_drift_alarm_is_seen_to_and_stands_in_the_trail(station: Any, page: Any, good: bytes) -> None:
    part = inspect(station, good, "good.png")
    low = float(station.recipes.get("plate").detector.calibration_.scores.min())
    for step in range(150):  # scores that fall and fall
        station.record.add(dataclasses.replace(part, id=new_id(), score=low * (0.9 - 0.8 * step / 149), picture=""))
    page.keyboard.press("5")
    told(page, ".state.bad", "parts score lower")
    page.get_by_role("button", name="Seen to").click()
    page.keyboard.type("lens cleaned")
    page.keyboard.press("Enter")
    toasted(page, "good", "A new run has begun")
    told(page, ".state.good", "No part to judge by yet")

    trail = station.record.audit_trail(500)
    assert [one["action"] for one in trail[:2]] == ["restart drift", "drift alarm"]
    page.keyboard.press("6")
    row = page.locator(".audit tbody tr")
    told(page, ".audit tbody tr", "lens cleaned")
    first = row.first.inner_text()
    assert "Drift watch begun anew" in first and "The alarm was taken off." in first and "local" in first
    assert "scores falling" in row.nth(1).inner_text() and row.count() == len(trail)
    page.get_by_role("button", name="Check that nothing was changed").click()
    told(page, ".checked .good", f"{len(trail)} entries")
    told(page, ".checked code", trail[0]["digest"])
    with sqlite3.connect(station.settings.data / "record.sqlite") as forger:
        forger.execute("DROP TRIGGER audit_no_update")
        forger.execute("UPDATE audit SET who = 'mallory' WHERE seq = 2")
    forger.close()
    page.get_by_role("button", name="Check that nothing was changed").click()
    told(page, ".checked .broken", "broken at entry 2")
