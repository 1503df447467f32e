from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import ImageError, ParameterError
from onlygood.evaluation import evaluate
from onlygood.inspection import Inspection, Verdict

pytest.importorskip("jinja2")

from onlygood.reports import ReportData, ReportItem, render_report, write_report

REVIEW_AT, NG_AT = 1.0, 1.5


class Page(HTMLParser):
    """Tags, addresses and text of a page; fails if tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []
        self.sources += [values[k] or "" for k in ("src", "href", "srcset", "data") if k in values]
        assert not [name for name in values if name.startswith("on")]
        if tag not in {"meta", "img", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def picture(seed: int, side: int = 24) -> Callable[[], np.ndarray]:
    return lambda: np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def item(score: float, label: int | None, name: str = "", kind: str = "") -> ReportItem:
    """Made-up example: a map with a spot as high as the score."""
    scores = np.zeros((12, 12), dtype=np.float32)
    scores[3:6, 3:6] = score
    verdict = Verdict.NG if score >= NG_AT else Verdict.REVIEW if score >= REVIEW_AT else Verdict.OK
    inspection = Inspection(name or f"set/{score}.png", score, 0.25, verdict, scores, (), (24, 24))
    mask = scores > 0 if label else None
    return ReportItem(inspection, picture(int(score * 100)), label, kind, mask)


def report(items: list[ReportItem], **changes: object) -> ReportData:
    labelled = items and all(i.label is not None for i in items)
    evaluation = None
    if labelled:
        evaluation = evaluate(
            [i.inspection for i in items],
            [int(i.label or 0) for i in items],
            [i.mask for i in items],
            types=[i.type for i in items],
        )
    data = ReportData(
        title="Example part (made-up data)",
        items=items,
        evaluation=evaluation,
        review_threshold=REVIEW_AT,
        ng_threshold=NG_AT,
        pixel_threshold=0.8,
        calibration_scores=np.linspace(0.2, 1.4, 99),
        target_false_reject=0.01,
        fit_seconds=12.3,
        ms_per_image=34.5,
        detector={"method": "REB", "K": 9},
        backbone={"id": "example/net", "weights SHA-256": "0123abcd"},
        versions={"onlygood": "0.1.0"},
    )
    return replace(data, **changes)  # type: ignore[arg-type]


def usual() -> list[ReportItem]:
    good = [item(s, 0) for s in (0.3, 0.4, 0.5, 0.6, 1.1, 1.7)]
    return good + [item(s, 1, kind=k) for s, k in ((0.35, "dent"), (1.2, "dent"), (2.0, "scratch"), (9.0, "scratch"))]


def section(page: str, key: str) -> str:
    return page.split(f'<section id="{key}"')[1].split("</section>")[0]


def test_the_report_asks_nothing_of_the_network() -> None:
    text = render_report(report(usual()))
    page = Page(text)
    assert page.sources and all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "http:" not in text and "https:" not in text and "@import" not in text and "url(" not in text
    assert "default-src 'none'" in text


def test_the_pictures_are_pictures() -> None:
    source = Page(render_report(report(usual()))).sources[0]
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as image:
        image.load()
        assert image.format == "JPEG"


def test_everything_promised_is_on_the_page() -> None:
    page = Page(render_report(report(usual())))
    for key in (
        "promise",
        "verdicts",
        "scores",
        "types",
        "worst-good",
        "borderline",
        "missed",
        "clearest",
        "details",
    ):
        assert key in page.ids
    for words in (
        "Example part (made-up data)",
        "Image AUROC",
        "False-reject rate",
        "Escape rate",
        "12 s",
        "34.5 ms",
        "promised: at most 1%",
        "1 of 6 good called NG",
        "1 of 4 defects called OK",
        "REVIEW above 1",
        "NG above 1.5",
        "Training images, each left out in turn (99)",
        "ROC curve",
        "scratch",
        "weights SHA-256",
        "0123abcd",
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 2


def test_galleries_hold_what_their_names_say() -> None:
    text = render_report(report(usual()))
    worst = re.findall(r'title="(set/[\d.]+png)"', section(text, "worst-good"))
    assert worst[:3] == ["set/1.7.png", "set/1.1.png", "set/0.6.png"] and len(worst) == 6
    assert re.findall(r'title="(set/[\d.]+png)"', section(text, "missed")) == ["set/0.35.png"]
    assert re.findall(r'title="(set/[\d.]+png)"', section(text, "clearest"))[:2] == [
        "set/9.0.png",
        "set/1.2.png",
    ]
    assert re.findall(r'title="(set/[\d.]+png)"', section(text, "borderline"))[:2] == [
        "set/1.2.png",
        "set/1.1.png",
    ]


def test_names_and_texts_cannot_inject_html() -> None:
    evil = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>.png"
    items = [item(2.0, 1, name=evil, kind=evil), item(0.2, 0, name=evil)]
    data = report(items, title=evil, note=evil, promise=evil, detector={evil: evil}, versions={evil: [evil]})
    text = render_report(data)
    page = Page(text)  # also checks that no attribute is an event handler
    assert "script" not in page.tags and "<script" not in text
    assert all(source.startswith("data:") for source in page.sources)
    assert "<script>alert(2)</script>" in page.text


def test_names_no_encoding_can_hold_do_not_stop_the_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, report([item(0.2, 0, name="set/b\udcffd.png"), item(2.0, 1)]))
    assert "set/b" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [item(0.3, 0)],
        [item(0.3, 0), item(2.0, 0)],
        [item(2.0, 1, kind="dent")],
        [item(0.3, 1), item(0.3, 0)],
        [item(0.3, None), item(2.0, None)],
        [item(0.3, None), item(2.0, 1), item(0.2, 0)],
    ],
    ids=["none", "one good", "only good", "only defect", "all equal", "unlabelled", "mixed"],
)
@pytest.mark.parametrize("bare", [False, True])
def test_what_is_missing_is_left_out(items: list[ReportItem], bare: bool) -> None:
    data = report(items)
    if bare:
        data = ReportData(title="Bare", items=items, evaluation=data.evaluation)
    text = render_report(data)
    page = Page(text)
    assert "nan" not in page.text.lower().split() and "None" not in page.text.split()
    if not any(i.label == 1 for i in items) and any(i.label == 0 for i in items):
        assert "No labelled defects were inspected." in page.text
    if any(i.label is None for i in items):
        assert "most-anomalous" in page.ids


@pytest.mark.parametrize(
    ("scores", "target", "words"),
    [
        ([0.1] * 500, 0.01, "Kept on these images"),
        ([0.1] * 19 + [2.0], 0.01, "Too few images to tell"),
        ([0.1] * 10 + [2.0] * 10, 0.01, "Not kept on these images"),
    ],
)
def test_the_promise_is_judged_by_what_the_counts_can_show(scores: list[float], target: float, words: str) -> None:
    items = [item(score, 0) for score in scores]
    page = Page(render_report(report(items, target_false_reject=target)))
    assert words in page.text


def test_an_image_that_cannot_be_read_is_said_to_be_missing() -> None:
    def broken() -> np.ndarray:
        raise ImageError("part.png is gone")

    page = Page(render_report(report([replace(item(2.0, 1), load=broken), item(0.2, 0)])))
    assert "The image could not be read." in page.text


def test_images_are_read_only_if_shown() -> None:
    def never() -> np.ndarray:
        raise AssertionError("read without need")

    items = [item(0.9 - i / 100, 0) for i in range(20)]
    items[-1] = replace(items[-1], load=never)
    render_report(report(items, per_section=3, review_threshold=None, ng_threshold=None))


def test_busy_images_do_not_make_the_page_heavy() -> None:
    items = []
    for i in range(36):
        noisy = item(0.05 * i, i % 2, name=f"{i}.png")
        items.append(replace(noisy, load=picture(i, 600)))
    assert len(render_report(report(items))) < 6_000_000


def test_scores_of_any_scale_can_be_drawn() -> None:
    for scale, shift in ((1e-9, 0.0), (1e9, 0.0), (1.0, -50.0), (0.0, 3.0)):
        items = []
        for one in usual():
            moved = replace(one.inspection, score=one.inspection.score * scale + shift)
            items.append(replace(one, inspection=moved))
        limits = {"review_threshold": scale + shift, "ng_threshold": 1.5 * scale + shift}
        data = report(items, calibration_scores=np.linspace(0.2, 1.4, 9) * scale + shift, **limits)
        text = render_report(data)
        numbers = re.findall(r' (?:x|y|x1|x2|width|height|cx|cy)="([^"%]+)"', text)
        assert all(-1 <= float(n) <= 1000 for n in numbers)


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_report(path, report(usual()))
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_report(path, report(usual()))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    "changes",
    [{"per_section": 0}, {"ng_threshold": float("nan")}, {"calibration_scores": [float("inf")]}],
)
def test_bad_data_is_refused(changes: dict) -> None:
    with pytest.raises(ParameterError):
        report(usual(), **changes)
    with pytest.raises(ParameterError, match="label"):
        ReportData(title="", items=[replace(item(1.0, 0), label=2)])
