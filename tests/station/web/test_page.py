"""The page in a real browser, used as an operator uses it."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the station needs onlygood[station]")

from page_fake import FakeStation, create_fake, port_of, serving
from page_words import CHROMIUM, answer, in_browser, playwright_api, toasted, told
from starlette.testclient import TestClient

from onlygood.reports.colours import VERDICT_COLOURS, VERDICT_INK
from onlygood.station.record import Action
from onlygood.station.web import audit, decisions, drift, events, golden, models, session, shapes, statistics
from onlygood.station.web.app import ROUTERS
from onlygood.station.web.codes import Code
from onlygood.station.web.page import colours_css, static_files

PAGE = files("onlygood.station.web").joinpath("page")
SIZES = {"desktop": (1920, 1080), "landscape": (1280, 800), "portrait": (800, 1280)}
VIEWS = ("live", "review", "history", "model", "drift", "audit")


def scripts() -> dict[str, str]:
    return {item.name: item.read_text("utf-8") for item in PAGE.iterdir() if item.name.endswith(".js")}


def texts(language: str) -> dict[str, str]:
    return json.loads(PAGE.joinpath(f"{language}.json").read_text("utf-8"))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2.2, contrast ratio."""

    def luminance(rgb: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# What can be said without a browser.


def test_languages_have_the_same_texts_with_the_same_places() -> None:
    english, german = texts("en"), texts("de")
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key])), key
        assert text.strip() and german[key].strip(), key


def named_by_the_station() -> set[str]:
    """Keys of the texts for what the station names by a word: its errors' codes, what the audit trail tells of."""
    return {f"problem.{code}" for code in Code} | {f"did.{re.sub('[ _]', '-', action)}" for action in Action}


def test_every_code_and_every_action_has_a_text_in_both_languages() -> None:
    for language in ("en", "de"):
        kept = {key for key in texts(language) if key.startswith(("problem.", "did."))}
        assert kept == named_by_the_station(), language


def test_the_documentation_names_every_code() -> None:
    told = Path(__file__).parents[3].joinpath("docs", "station.md").read_text("utf-8")
    table = told.partition("| status | code |")[2].partition("\n\n")[0]
    assert set(re.findall("`([a-z_]+)`", table)) >= set(Code)


def neighbours(node: ast.AST) -> Iterator[tuple[Any, Any]]:
    """What stands side by side in the code: arguments, members of a tuple, a key and its value."""
    if isinstance(node, ast.Dict):
        yield from zip(node.keys, node.values)
    elif isinstance(node, ast.Tuple | ast.Call):
        yield from itertools.pairwise(node.elts if isinstance(node, ast.Tuple) else node.args)


def test_codes_and_actions_are_enumerated_and_all_of_them_are_in_use() -> None:
    """Else the test above would not know of one that somebody writes beside its status as a word of his own."""
    used: dict[str, set[str]] = {"Code": set(), "Action": set()}
    for path in Path(str(files("onlygood.station"))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in used:
                used[node.value.id].add(node.attr)
            for status, code in neighbours(node):
                if isinstance(status, ast.Constant) and status.value in range(400, 600):
                    word = code.value if isinstance(code, ast.Constant) else ""
                    assert not re.fullmatch("[a-z_]+", str(word)), (path.name, word)
    assert used == {"Code": set(Code.__members__), "Action": set(Action.__members__)}


def test_every_text_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    used = named_by_the_station()
    for source in scripts().values():
        used |= set(re.findall(r'(?<![\w.])t\("([^"]+)"', source))
        used |= set(re.findall(r'"([a-z.-]+-(?:one|many))"', source))
        # A key that is put together could not be found by this test.
        for known in ("t(key, values", "t(form ===", "t(`${group}.${name}`"):
            source = source.replace(known, "")
        assert not re.search(r"(?<![\w.])t\([^\")]", source)
    assert used == texts("en").keys()


def test_nothing_of_the_page_becomes_markup_or_comes_from_elsewhere() -> None:
    for name, source in scripts().items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", source), (
            name
        )
    for item in PAGE.iterdir():
        text = item.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]", text), item.name
    index = PAGE.joinpath("index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", index)


def test_the_verdicts_colours_are_the_reports_and_can_be_read() -> None:
    css = colours_css().decode()
    for verdict, colour in VERDICT_COLOURS.items():
        assert f"--{str(verdict).lower()}: #{bytes(colour).hex()};" in css
        assert contrast(colour, VERDICT_INK[verdict]) >= 4.5


def test_letters_stand_out_from_what_is_behind_them() -> None:
    css = PAGE.joinpath("base.css").read_text("utf-8")
    colours = {name: tuple(bytes.fromhex(value)) for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6})", css)}
    for behind in ("page", "card", "raised"):
        for letters in ("ink", "soft", "accent", "ok-word", "review-word", "ng-word"):
            assert contrast(colours[letters], colours[behind]) >= 4.5, (letters, behind)
        for shape in ("focus", "edge", "calibration", "recent"):
            assert contrast(colours[shape], colours[behind]) >= 3, (shape, behind)
    assert contrast(colours["accent-ink"], colours["accent"]) >= 4.5


def test_files_are_sent_with_their_type_and_only_once() -> None:
    client = TestClient(create_fake(FakeStation()))
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
    for name, file in static_files().items():
        answer = client.get(f"/static/{name}")
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, file.data, file.type)
        again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for name in ("nothing.js", "..%2fpage.py", "%2e%2e/app.py", "page.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_made_up_station_speaks_as_the_true_one_does() -> None:
    """Else the tests below would say nothing of the page at a true station."""
    station = FakeStation()
    station.fill(20)
    station.drifting = True
    station.candidates = [station.candidate_of(True), station.candidate_of(False)]
    station.busy_weeks()
    client = TestClient(create_fake(station))
    one = station.decisions[5]["id"]
    tried = {"ng": 3.0, "review": 2.0, "last": 100}
    for shape, response in (
        (session.Who, client.get("/whoami")),
        (shapes.RecipesShape, client.get("/recipes")),
        (shapes.ActivationsShape, client.get("/recipes/flange/activations")),
        (decisions.PageShape, client.get("/decisions", params={"verdict": ["OK", "NG"], "limit": 5})),
        (decisions.WithAnswersShape, client.get(f"/decisions/{one}")),
        (decisions.WithAnswersShape, client.post(f"/decisions/{one}/answer", json={"answer": "OK", "comment": ""})),
        (statistics.StatisticsShape, client.get("/statistics", params={"last": 10})),
        (models.HistogramShape, client.get("/recipes/flange/histogram")),
        (models.PreviewShape, client.post("/recipes/flange/thresholds/preview", json=tried)),
        (models.CandidatesShape, client.get("/recipes/flange/candidates")),
        (drift.DriftShape, client.get("/recipes/flange/drift")),
        (drift.DriftShape, client.post("/recipes/flange/drift/restart", json={"why": "lamp replaced"})),
        (audit.TrailShape, client.get("/audit")),
        (audit.CheckShape, client.get("/audit/verify")),
        (golden.GoldenSetShape, client.get("/recipes/flange/golden")),
    ):
        shape.model_validate(response.json())
    assert {one["action"] for one in station.entries} == set(Action)
    asked = {re.sub("{identity}|{model}", "{one}", path) for path in create_fake(station).openapi()["paths"]}
    assert asked <= documented()


def documented() -> set[str]:
    """Paths of the true application, with the names of their places made alike."""
    from fastapi import FastAPI

    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return {re.sub("{decision_id}|{sha256}", "{one}", path) for path in app.openapi()["paths"]}


# In a browser.


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


@pytest.fixture
def fake() -> FakeStation:
    station = FakeStation()
    station.fill()
    return station


class Visit:
    """One browser at the station; notes everything that it should not have seen."""

    def __init__(self, page: Any, root: str) -> None:
        self.page, self.root = page, root
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(root) else self.foreign.append(request.url))

    def go(self, view: str = "") -> Any:
        self.page.goto(f"{self.root}/#{view}")
        return self.page


@pytest.fixture
def visit(browser: Any, fake: FakeStation) -> Iterator[Callable[..., Any]]:
    """Opens a view; when the test is over, no error may have been told and no other host been asked."""

    @contextmanager
    def opened(view: str = "live", size: str = "landscape", language: str = "en", excused: str = "^$") -> Iterator[Any]:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, locale=language)
        context.set_default_timeout(20_000)
        with serving(create_fake(fake)) as server:
            visitor = Visit(context.new_page(), f"http://127.0.0.1:{port_of(server)}")
            visitor.page.server = server
            yield visitor.go(view)
            assert [error for error in visitor.errors if not re.search(excused, error)] == []
            assert visitor.foreign == []
            context.close()

    return opened


#: What can be touched and is less than 44 pixels wide or high.
TOO_SMALL = """() => [...document.querySelectorAll("button, a, select, input:not([type=checkbox], [type=file])")]
    .filter((one) => one.checkVisibility() && !one.classList.contains("skip"))
    .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([text]) => text)"""


@in_browser
def test_live_shows_each_part_as_it_is_decided(fake: FakeStation, visit: Any) -> None:
    with visit("live") as page:
        told(page, ".verdict", "OK")
        told(page, ".connection", "Connected")
        for score, word in ((4.2, "NG"), (2.9, "REVIEW"), (1.5, "OK")):
            fake.add(score, name=f"part-{word}.png")
            told(page, ".verdict", word)
            told(page, ".live .part-name", f"part-{word}.png")
        assert page.locator(".strip .thumbnail").first.get_attribute("title") == "part-OK.png"
        assert page.locator(".verdict .symbol").count() == 1  # never the colour alone
        told(page, ".count.ok", "41")


def box(page: Any, selector: str) -> dict[str, float]:
    """Where an element is, also if it is drawn anew just now."""
    for _ in range(100):
        found = page.locator(selector).bounding_box()
        if found:
            return found
        page.wait_for_timeout(20)
    raise AssertionError(f"{selector} is not to be seen")


@in_browser
def test_the_word_is_large_and_fits(fake: FakeStation, visit: Any) -> None:
    with visit("live") as page:
        for language, review in (("en", "REVIEW"), ("de", "PRÜFEN")):
            page.locator(".language").select_option(language)
            for score, expected in ((2.9, review), (9.0, "NG"), (1.2, "OK")):
                fake.add(score)
                told(page, ".verdict", expected)
                for width, height in SIZES.values():
                    page.set_viewport_size({"width": width, "height": height})
                    word, sign = box(page, ".verdict .word"), box(page, ".verdict")
                    # Capitals are 0.7 of a line high: 60 pixels, 15 mm on a tablet, 5 mrad from three metres.
                    assert word["height"] >= 86, (expected, width)
                    assert sign["x"] <= word["x"] and word["x"] + word["width"] <= sign["x"] + sign["width"]


@in_browser
def test_the_slider_and_the_keys_change_how_strongly_the_map_is_drawn(fake: FakeStation, visit: Any) -> None:
    fake.add(4.2)
    with visit("live") as page:
        overlay = page.locator(".live .overlay")
        playwright_api.expect(overlay).to_have_attribute("opacity", "0.6")
        page.locator(".live .opacity").fill("0.25")
        assert overlay.get_attribute("opacity") == "0.25"
        told(page, ".live .share", "25%")
        page.keyboard.press("+")
        assert overlay.get_attribute("opacity") == "0.35"
        page.keyboard.press("b")
        assert not page.locator(".live .region").first.is_visible()
        page.reload()  # it is remembered
        playwright_api.expect(overlay).to_have_attribute("opacity", "0.35")


@in_browser
def test_held_the_picture_stays_while_the_line_goes_on(fake: FakeStation, visit: Any) -> None:
    with visit("live") as page:
        told(page, ".live .part-name", "flange-10047.jpg")
        page.keyboard.press("h")
        fake.add(4.2, name="next.png")
        told(page, ".holding", "1")
        assert page.locator(".live .part-name").inner_text() == "flange-10047.jpg"
        page.keyboard.press("h")
        told(page, ".live .part-name", "next.png")


@in_browser
def test_a_lost_connection_cannot_be_missed_and_mends_itself(fake: FakeStation, visit: Any) -> None:
    with visit("live", excused="ERR_|Failed to load|EventSource") as page:
        told(page, ".connection", "Connected")
        told(page, ".verdict", "OK")
        page.context.set_offline(True)
        fake.events.close()
        told(page, ".banner.bad", "Connection to the station lost")
        told(page, ".verdict", "?")
        assert "OK" not in page.locator(".verdict").inner_text()
        fake.events._closed = False
        page.context.set_offline(False)
        told(page, ".connection", "Connected")
        told(page, ".verdict", "OK")
        assert page.locator(".banner").count() == 0


@in_browser
def test_trouble_is_told_above_every_view(fake: FakeStation, visit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STATUS_SECONDS", 0.5)
    fake.state["record"] = {"database": "gone", "journal": 12, "message": "no route to the database"}
    alarm = {"direction": "rising", "time": "2026-11-25T17:16:04.000+00:00", "parts": 271}
    fake.state["recipes"][0] |= {"problem": "given.og is no model file", "drift": {"alarm": alarm}}
    with visit("live") as page:
        for number, view in enumerate(VIEWS, 1):
            page.keyboard.press(str(number))
            page.wait_for_selector(f"nav a[href='#{view}'][aria-current]")
            told(page, ".banners", "The database is gone: decisions go to the journal. 12 are waiting")
            told(page, ".banners", "given.og is no model file")
            told(page, ".banners", "Drift: parts score higher than they did. Since")
        fake.state = {**fake.state, "ready": False, "reasons": ["256 images wait already."]}
        told(page, ".banner.bad", "256 images wait already.")


@in_browser
def test_review_is_answered_with_one_key_each(fake: FakeStation, visit: Any) -> None:
    waiting = [one for one in fake.decisions if one["verdict"] == "REVIEW" and one["id"] not in fake.answers]
    assert len(waiting) == 4
    with visit("review") as page:
        told(page, ".waiting", "4 parts wait")
        told(page, ".reviewing .part-name", waiting[0]["name"])  # the oldest first
        answer(page, "o")
        told(page, ".told", f"{waiting[0]['name']}: OK recorded")
        told(page, ".reviewing .part-name", waiting[1]["name"])
        page.keyboard.press("c")
        page.keyboard.type("nick at the edge")
        page.keyboard.press("Escape")
        answer(page, "n")
        told(page, ".reviewing .part-name", waiting[2]["name"])
        page.keyboard.press("ArrowRight")
        told(page, ".reviewing .part-name", waiting[3]["name"])
        page.keyboard.press("ArrowLeft")
        told(page, ".reviewing .part-name", waiting[2]["name"])
        page.keyboard.press("u")
        told(page, ".again-note", "You answered NG")
        told(page, ".reviewing .part-name", waiting[1]["name"])
        answer(page, "o")
        told(page, ".reviewing .part-name", waiting[2]["name"])
        told(page, ".waiting", "2 parts wait")
        page.locator(".reviewing [data-seen]").wait_for()
        page.locator(".answer.ng").click()
        told(page, ".waiting", "1 part waits")
        answer(page, "o")
        told(page, ".reviewing .note", "Nothing to review")
        fake.add(2.8, name="late.png")  # comes by itself
        told(page, ".reviewing .part-name", "late.png")
    given = {
        one["id"]: [(answer["answer"], answer["comment"]) for answer in fake.answers[one["id"]]] for one in waiting
    }
    assert list(given.values()) == [[("OK", "")], [("NG", "nick at the edge"), ("OK", "")], [("NG", "")], [("OK", "")]]


@in_browser
def test_an_answer_that_was_not_taken_is_not_counted(fake: FakeStation, visit: Any) -> None:
    with visit("review", excused="503") as page:
        told(page, ".waiting", "4 parts wait")
        name = page.locator(".reviewing .part-name").inner_text()
        refusal = json.dumps({"error": {"code": "not_recorded", "message": "the disk is full"}})
        page.route("**/answer", lambda route: route.fulfill(status=503, body=refusal, content_type="application/json"))
        answer(page, "o")
        toasted(page, "bad", "the disk is full")
        assert page.locator(".reviewing .part-name").inner_text() == name
        told(page, ".waiting", "4 parts wait")


@in_browser
def test_a_key_pressed_twice_answers_one_part(fake: FakeStation, visit: Any) -> None:
    before = len(fake.answers)
    with visit("review") as page:
        told(page, ".waiting", "4 parts wait")
        page.locator(".reviewing [data-seen]").wait_for()
        page.evaluate(
            """() => new Promise((done) => {
                const key = () => new KeyboardEvent("keydown", {key: "n", bubbles: true});
                const press = () => document.body.dispatchEvent(key());
                const before = document.querySelector(".waiting").textContent;
                press();
                const again = setInterval(() => {
                    if (document.querySelector(".waiting").textContent === before) return;
                    clearInterval(again);
                    press();
                    done();
                }, 1);
            })"""
        )
        answer(page, "o")
        told(page, ".waiting", "2 parts wait")
        assert len(fake.answers) == before + 2


@in_browser
def test_history_is_filtered_and_sorted(fake: FakeStation, visit: Any) -> None:
    with visit("history") as page:
        told(page, ".found", "48 parts")
        page.get_by_label("NG", exact=True).check()
        told(page, ".found", "3 parts")
        assert set(page.locator(".results .sign").all_inner_texts()) == {"NG"}
        page.locator("[name=order]").select_option("score")
        told(page, ".results .score", "5.200")
        page.locator("[name=max_score]").fill("4.5")
        told(page, ".found", "2 parts")
        assert "verdict=NG" in page.get_by_text("Save as CSV").get_attribute("href")
        assert "max_score=4.5" in page.get_by_text("Save as CSV").get_attribute("href")
        page.get_by_text("Clear filters").click()
        told(page, ".found", "48 parts")
        page.keyboard.press("Escape")
        page.locator("h1, .found").first.click()
        page.keyboard.press("/")
        page.keyboard.type("10017")
        told(page, ".found", "1 part")
        page.locator("[name=name]").fill("")
        page.locator("[name=answered]").select_option("ok")
        told(page, ".found", "1 part")


@in_browser
def test_a_part_in_full_by_keyboard(fake: FakeStation, visit: Any) -> None:
    with visit("history") as page:
        page.locator("[name=order]").select_option("score")
        told(page, ".results .score", "5.200")
        page.locator(".results .thumbnail").first.focus()
        page.keyboard.press("Enter")
        told(page, ".detail .part-name", "flange-10041.jpg")
        told(page, ".detail .facts", "folder:camera-1")
        page.keyboard.press("ArrowRight")
        told(page, ".detail .part-name", "flange-10017.jpg")
        told(page, ".detail-body", "scratch at the rim")
        page.get_by_role("button", name="Answer OK").click()
        told(page, ".detail-body", "OK by local")
        page.get_by_role("button", name="Add as defect").click()
        toasted(page, "good", "golden set as defect")
        page.keyboard.press("Escape")
        told(page, ".results li:nth-child(2)", "OK by local")
    assert fake.golden[-1]["name"] == "flange-10017.jpg"


@in_browser
def test_thresholds_can_only_be_applied_after_their_preview(fake: FakeStation, visit: Any) -> None:
    with visit("model") as page:
        told(page, ".thresholds .legend", "Good parts of the calibration (240)")
        apply = page.get_by_role("button", name="Apply")
        assert apply.is_disabled()
        page.locator("#why").fill("fewer false rejects")
        page.locator("#threshold-ng").fill("3.5")
        assert apply.is_disabled()
        page.get_by_role("button", name="Preview").click()
        told(page, ".result", "Last 48 parts")
        assert apply.is_enabled()
        page.locator("#threshold-review").fill("2.6")  # something else than was looked at
        assert apply.is_disabled() and page.locator(".result").inner_text() == ""
        page.locator("#threshold-review").fill("9")
        told(page, "#apply-hint", "must not lie above")
        page.locator("#threshold-review").fill("2.55")
        page.locator(".handle.ng").focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        moved = float(page.locator("#threshold-ng").input_value())
        assert moved < 3.5
        page.get_by_role("button", name="Preview").click()
        told(page, ".result", "Golden set, defect")
        apply.click()
        toasted(page, "good", "on duty")
        told(page, ".activations", "fewer false rejects")
    assert fake.asked[-1] == ("thresholds", "flange", {"ng": moved, "review": 2.55, "why": "fewer false rejects"})
    assert fake.asked[-2][0] == "preview" and fake.asked[-2][2]["ng"] == moved


@in_browser
def test_a_threshold_is_dragged(fake: FakeStation, visit: Any) -> None:
    with visit("model", "desktop") as page:
        told(page, ".thresholds .legend", "240")
        page.locator(".handle.ng .knob").scroll_into_view_if_needed()
        knob = box(page, ".handle.ng .knob")
        x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y, steps=4)
        page.mouse.move(x + 120, y, steps=4)
        page.mouse.up()
        assert float(page.locator("#threshold-ng").input_value()) > 3.2
        after = box(page, ".handle.ng .knob")
        assert after["x"] - knob["x"] == pytest.approx(120, abs=2)


@in_browser
def test_models_are_rolled_back_uploaded_and_built(fake: FakeStation, visit: Any, tmp_path: Path) -> None:
    fake.candidates = [fake.candidate_of(False)]
    with visit("model", excused="400") as page:
        page.get_by_role("button", name="Roll back").click()
        told(page, ".sure", "Go back to model")
        page.keyboard.press("Escape")
        assert fake.thresholds.ng == 3.1
        page.get_by_role("button", name="Roll back").click()
        page.locator(".sure .primary").click()
        toasted(page, "good", "Rolled back")
        assert fake.thresholds.ng == 3.4
        for name, content in (("bad.og", b"garbage"), ("new.og", b"PK new")):
            (tmp_path / name).write_bytes(content)
            page.locator("#upload").set_input_files(tmp_path / name)
            told(page, ".sure", f"Put {name} on duty")
            page.keyboard.type("new lamp")
            page.locator(".sure .primary").click()
            if content == b"garbage":
                toasted(page, "bad", "the file is no model")
        told(page, ".activations li.on", "new lamp")
        told(page, ".candidate.bad", "Defects called OK: 1")
        assert page.locator(".candidate.bad").get_by_role("button", name="Put on duty").count() == 0
        page.get_by_role("button", name="Build a candidate").click()
        told(page, ".candidate.good", "Passed the golden set")
        page.locator(".candidate.good").get_by_role("button", name="Put on duty").click()
        page.locator(".sure .primary").click()
        told(page, ".activations li.on", fake.candidates[0]["model"][:8])


@in_browser
def test_drift_states_its_false_alarm_rate(fake: FakeStation, visit: Any) -> None:
    with visit("drift") as page:
        told(page, ".state.good", "No sign of drift")
        told(page, ".drift", "with a probability of at most 1%")
        assert page.locator(".chart .alarm").count() == 1


@in_browser
def test_a_drift_run_is_begun_anew_with_a_reason(fake: FakeStation, visit: Any) -> None:
    fake.drifting = True
    with visit("drift") as page:
        told(page, ".state.bad", "parts score higher")
        page.get_by_role("button", name="Seen to").click()
        told(page, ".sure", "the evidence so far no longer counts")
        assert page.locator(".sure .primary").is_disabled()
        page.keyboard.press("Escape")
        assert fake.asked == []
        page.get_by_role("button", name="Seen to").click()
        page.keyboard.type("lamp replaced")
        page.keyboard.press("Enter")
        told(page, ".state.good", "No sign of drift")
        assert page.get_by_role("button", name="Seen to").count() == 0
    assert fake.asked == [("restart", "flange", {"why": "lamp replaced"})]
    fake.seen_to, fake.token, fake.role = False, "s3cret", "view"
    with visit("drift", excused="401") as page:
        page.locator("#token").fill("s3cret")
        page.keyboard.press("Enter")
        told(page, ".state.bad", "parts score higher")
        assert page.get_by_role("button", name="Seen to").count() == 0


@in_browser
def test_the_audit_trail_is_read_and_checked(fake: FakeStation, visit: Any) -> None:
    fake.busy_weeks()
    with visit("live") as page:
        told(page, "nav [aria-current]", "Live")
        page.keyboard.press("6")
        told(page, ".audit tbody tr", "Thresholds moved")
        newest = page.locator(".audit tbody tr").first.inner_text()
        assert re.search(r"NG\s>\s3.400 →\s3.100, REVIEW\s>\s2.550\D", newest), newest
        assert "anna" in newest and "flange" in newest and "complaint of lot 4711" in newest
        rows = page.locator(".audit tbody tr").all_inner_texts()
        assert "lamp replaced" in rows[4] and "The alarm was taken off." in rows[4]
        assert len(rows) == 50
        told(page, ".found", "The newest 50 entries")
        page.get_by_role("button", name="Older entries").focus()
        page.keyboard.press("Enter")
        told(page, ".found", "63 entries; there are no older ones.")
        assert "Images kept from now on: REVIEW and NG" in page.locator(".audit tbody tr").last.inner_text()
        numbers = [int(text.split()[1]) for text in page.locator(".audit td small").all_inner_texts()]
        assert numbers == list(range(63, 0, -1))
        assert not page.get_by_role("button", name="Older entries").is_visible()
        page.get_by_role("button", name="Check that nothing was changed").click()
        told(page, ".checked .good", "The chain is whole: 63 entries")
        told(page, ".checked", f"entry 63: {fake.entries[-1]['digest']}")
        fake.broken_at = 7
        page.get_by_role("button", name="Check that nothing was changed").click()
        told(page, ".checked .broken", "broken at entry 7")
        told(page, ".checked code", fake.entries[5]["digest"])
        assert page.locator(".checked .broken .symbol").count() == 1  # never the colour alone
        page.locator(".recipe").select_option("cover")
        told(page, ".found", "25 entries")
        page.locator(".language").select_option("de")
        told(page, ".audit tbody tr", "Referenzsatz: known-48.jpg hinzugefügt (gut)")
        fake.note("calibrate lens", "cover", {"problem": "<b>x</b>"}, "<i>eve</i>")  # of a later version
        page.keyboard.press("1")
        page.keyboard.press("6")
        told(page, ".audit tbody tr", "calibrate lens")
        told(page, ".audit tbody tr", "<b>x</b>")
        told(page, ".audit tbody .who", "<i>eve</i>")


@in_browser
def test_errors_are_told_in_the_readers_language(fake: FakeStation, visit: Any) -> None:
    said = {"code": "busy", "message": "A candidate of flange is being built; one at a time."}
    with visit("audit", language="de", excused="503|418") as page:
        told(page, "nav", "Protokoll")

        def refuse(status: int, **headers: str) -> None:
            page.unroute("**/audit/verify")
            body = json.dumps({"error": said})
            headers["Content-Type"] = "application/json"
            page.route("**/audit/verify", lambda route: route.fulfill(status=status, body=body, headers=headers))
            page.get_by_role("button", name="Auf Unversehrtheit prüfen").click()

        refuse(503, **{"Retry-After": "10"})
        toasted(
            page, "bad", "Die Station kann das gerade nicht; versuchen Sie es in 10 s erneut. A candidate of flange"
        )
        assert page.locator(".toast [lang=en]").first.inner_text() == said["message"]
        said = {"code": "brewing", "message": "It is a teapot."}  # of a later version
        refuse(418)
        toasted(page, "bad", "Die Station lehnt ab: It is a teapot.")


@in_browser
def test_the_language_is_switched_and_remembered(fake: FakeStation, visit: Any) -> None:
    with visit("history") as page:
        told(page, "nav", "History")
        assert page.locator("html").get_attribute("lang") == "en"
        page.locator(".language").select_option("de")
        told(page, "nav", "Verlauf")
        told(page, ".found", "48 Teile")
        page.reload()
        told(page, "nav", "Verlauf")
        assert page.locator("html").get_attribute("lang") == "de"


@in_browser
def test_names_from_outside_are_shown_as_text(fake: FakeStation, visit: Any) -> None:
    name = "<script>window.bad=1</script><img src=x onerror=window.bad=1>.png"
    identity = fake.add(2.8, name=name).id
    fake.answer(identity, "OK", "<b>mallory</b>", "<svg onload=window.bad=1>")
    fake.add(2.8, name=name)
    fake.state["record"]["message"] = "<i>x</i>"
    for view, place in (("live", ".live .part-name"), ("history", ".results .name")):
        with visit(view) as page:
            told(page, place, name)
            page.locator(".thumbnail").nth(1).click()
            told(page, ".detail", "<svg onload=window.bad=1>")
            told(page, ".detail .part-name", name)
            told(page, ".banners", "<i>x</i>")
            assert page.evaluate("window.bad") is None


@in_browser
def test_a_token_is_asked_for_and_the_role_shows_what_it_may(fake: FakeStation, visit: Any) -> None:
    fake.token, fake.role = "s3cret", "view"
    with visit("model", excused="401") as page:
        told(page, ".login", "Token")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        told(page, ".login .error", "does not know this token")
        page.locator("#token").fill("s3cret")
        page.keyboard.press("Enter")
        told(page, ".thresholds .legend", "240")
        for name in ("Apply", "Preview", "Roll back", "Build a candidate", "Upload a model …", "Put on duty"):
            assert page.get_by_role("button", name=name).count() == 0, name
        assert page.locator("#threshold-ng").is_disabled() and page.locator("#upload").count() == 0
        assert page.locator("nav a").count() == 5  # the audit trail is an engineer's
        page.keyboard.press("6")
        page.evaluate("location.hash = 'audit'")
        told(page, "nav [aria-current]", "Live")
        page.keyboard.press("2")
        told(page, ".reviewing", "Your role may look, but not answer.")
        assert page.locator(".answer").count() == 0
        page.keyboard.press("o")
        fake.token = "changed"
        page.keyboard.press("3")
        told(page, ".login", "Token")
    assert len(fake.answers) == 3


@in_browser
def test_views_and_help_by_keyboard(fake: FakeStation, visit: Any) -> None:
    with visit("") as page:
        told(page, "nav [aria-current]", "Live")
        for key, view in zip("23456", ("Review", "History", "Model", "Drift", "Audit")):
            page.keyboard.press(key)
            told(page, "nav [aria-current]", view)
        page.keyboard.press("?")
        told(page, ".help", "OK: the part is good")
        told(page, ".help", "Live, Review, History, Model, Drift, Audit")
        page.keyboard.press("1")  # belongs to the dialog now
        page.keyboard.press("Escape")
        told(page, "nav [aria-current]", "Audit")
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


@in_browser
def test_one_recipe_of_several(fake: FakeStation, visit: Any) -> None:
    fake.add(4.2, recipe="cover", name="cover-1.png")
    with visit("live") as page:
        told(page, ".live .part-name", "cover-1.png")
        page.locator(".recipe").select_option("flange")
        told(page, ".live .part-name", "flange-10047.jpg")
        fake.add(4.3, recipe="cover", name="cover-2.png")
        fake.add(1.3, name="mine.png")
        told(page, ".live .part-name", "mine.png")
        page.keyboard.press("4")
        told(page, "h1", "Model of flange")


@in_browser
def test_a_part_without_image(fake: FakeStation, visit: Any) -> None:
    fake.add(1.2, name="not-kept.png", keep=False)
    with visit("live") as page:
        told(page, ".live .note", "was not kept")


@in_browser
def test_every_view_fits_its_screen(fake: FakeStation, visit: Any, tmp_path: Path) -> None:
    """Nothing is cut off at the side, what is touched is large enough; the pictures are there to be looked at."""
    folder = Path(os.environ.get("ONLYGOOD_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    fake.candidates = [fake.candidate_of(True), fake.candidate_of(False)]
    fake.add(4.3)
    fake.busy_weeks()
    shown = {
        "live": ".live .region",
        "review": ".reviewing .region",
        "history": ".results li",
        "model": ".candidate",
        "drift": ".chart svg",
        "audit": ".audit tbody tr",
    }
    with visit("live") as page:
        for language, history in (("en", "History"), ("de", "Verlauf")):
            if language != "en":
                page.locator(".language").select_option(language)
            told(page, "nav", history)
            page.locator("main").focus()
            for number, view in enumerate(VIEWS, 1):
                page.keyboard.press(str(number))
                page.locator(shown[view]).first.wait_for()
                for size, (width, height) in SIZES.items():
                    page.set_viewport_size({"width": width, "height": height})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, size)
                    assert page.evaluate(TOO_SMALL) == [], (view, size)
                    page.wait_for_function(
                        "[...document.images].every((image) => image.complete || image.loading === 'lazy')"
                    )
                    page.wait_for_timeout(100)  # charts draw themselves anew
                    page.screenshot(path=folder / f"{view}-{size}-{language}.png")
