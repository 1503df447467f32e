"""The page of a paper's tables: self-contained, complete, and honest about what is not there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("jinja2", reason="the page needs Jinja2")

from onlygood.evaluation.tables import PAPERS, compare, load_paper, plan
from onlygood.reports.table_charts import Curve, Pair, curves_chart, pairs_chart
from onlygood.reports.tables_page import render_tables


class Tags(HTMLParser):
    VOID = ("meta", "br", "img", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return tags


def parsed_chart(svg: str) -> str:
    parsed(svg)
    return svg


def made_up_runs() -> list[dict]:
    runs = plan("reb", {"btad": ["01", "02", "03"], "<b>tiles": ["<b>tiles"]}, seeds=[0, 1]).runs
    return [{**r, "metrics": {"image_auroc": 0.91, "pixel_auroc": 0.9, "ms_per_image": 10}} for r in runs]


@pytest.mark.parametrize("name", PAPERS)
def test_the_page_is_whole_and_asks_nothing_of_the_network(name: str) -> None:
    paper = load_paper(name)
    page = render_tables(compare([], paper), paper, plan(name, {}).cannot)
    tags = parsed(page)
    assert all(address.startswith("#") for address in tags.addresses)
    assert {address[1:] for address in tags.addresses} <= set(tags.ids)
    assert len(set(tags.ids)) == len(tags.ids)
    assert not re.search(r"url\(|@import|<script", page)
    text = " ".join(tags.text)
    assert paper.title in text
    assert all(what in text for what in paper.left_out)
    assert "the library does not have this method" in text


def test_ours_the_difference_and_the_reasons_are_shown() -> None:
    paper = load_paper("reb")
    page = render_tables(compare(made_up_runs(), paper), paper, note="Made up & <nothing> else.")
    tags = parsed(page)
    text = " ".join(" ".join(tags.text).split())
    assert "Made up & <nothing> else." in text
    assert "−5.0" in text and "Table 4" in text
    assert "mean: the three printed categories average 96.7" in text
    assert "Table 2 on <b>tiles" in text and "accuracy against speed" in text
    assert "Figure 5 on BTAD" in text and page.count('class="curve') >= 2
    assert "nothing of it was run" in text


def test_charts_of_nothing_are_empty() -> None:
    assert pairs_chart([], "x") == "" and pairs_chart([Pair("a", 1.0, None)], "x") == ""
    assert curves_chart([], "x", "y") == "" and curves_chart([Curve("a", [])], "x", "y") == ""


def test_charts_of_equal_values_have_an_axis() -> None:
    assert "nan" not in parsed_chart(pairs_chart([Pair("a", 90.0, 90.0), Pair("b", 90.0, 90.0, 0.0)], "x"))
    assert "nan" not in parsed_chart(curves_chart([Curve("a", [(1, 90.0)]), Curve("b", [(1, 90.0)])], "x", "y"))


def test_points_lie_in_the_order_of_their_values() -> None:
    svg = pairs_chart([Pair("low", 90.0, 91.0), Pair("high", 95.0, 97.0, 0.5)], "x")
    at = {kind: [float(x) for x in re.findall(rf'class="{kind}" cx="([\d.]+)"', svg)] for kind in ("printed", "ours")}
    assert at["printed"][0] < at["ours"][0] < at["printed"][1] < at["ours"][1]
    steps = (at["ours"][0] - at["printed"][0], at["ours"][1] - at["printed"][1])
    assert steps[1] == pytest.approx(2 * steps[0], abs=0.2)
