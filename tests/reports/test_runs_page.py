"""The page of recorded runs: its numbers against NumPy's, what it leaves out, and nothing of the network."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="the page needs Jinja2")

from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.summary import Summary, candidate_of, swept_lines
from onlygood.reports.charts import Bar, Dot, bar_chart, scatter_chart
from onlygood.reports.runs_page import render_runs, write_runs

ABOUT = {"host": "here", "machine": {"cpu": "Slow <1>", "cores": 4}, "threads": 2, "workers": 1, "engine": "e"}


def ok(category: str, method: str, auroc: float | None, ms: float = 20.0, dataset: str = "tiles", **more) -> Record:
    figures = {"image_auroc": auroc, "pixel_auroc": None, "false_reject_1": 0.01, "escape_1": 0.2, "aupro_limit": 0.3}
    spec = RunSpec(dataset, category, method, **more)
    return Record(spec, "ok", "2026-01-01T", "2026-01-02T", "f", figures, {"ms_per_image": ms}, ABOUT)


def bad(category: str, method: str, error: str, **more) -> Record:
    spec = RunSpec("tiles", category, method, **more)
    return Record(
        spec, "failed", "2026-01-01T", "2026-01-03T", "f", circumstances=ABOUT, error=error, traceback="at <x>"
    )


class Page(HTMLParser):
    """Texts of table rows, headings and everything; tags must close in order."""

    VOID = ("meta", "br", "img", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "h2":
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open and self.open[-1] == "h2":
            self.headings[-1] += data


@pytest.fixture
def records() -> list[Record]:
    """Two categories and three seeds, of which one category lacks the last; a sweep, few shots, failures."""
    found = [ok("blue", "knn", 0.9 + 0.01 * seed, seed=seed) for seed in range(3)]
    found += [ok("red", "knn", 0.7 + 0.03 * seed, seed=seed) for seed in range(2)]
    found += [ok("blue", "ldknn", 0.8 + 0.001 * k, 10.0 + k, parameters={"k": k}) for k in (20, 5)]
    found += [ok("red", "ldknn", 0.6, 10.0, parameters={"k": k}) for k in (20, 5)]
    found += [ok("blue", "knn", 0.5 + 0.1 * draw, shots=shots, draw=draw) for shots in (1, 5) for draw in (0, 1)]
    found += [ok("red", "knn", 0.5, shots=shots, draw=draw) for shots in (1, 5) for draw in (0, 1)]
    return [*found, *(bad(c, "gde", "Error: no <room> & no time") for c in ("blue", "red"))]


def test_a_mean_is_over_the_seeds_that_have_all_categories(records: list[Record]) -> None:
    summary = Summary(records)
    row = candidate_of(records[0].spec)
    aurocs = np.array([[0.9, 0.7], [0.91, 0.73]])
    whole = summary.value(row, summary.columns_of("tiles"), "image_auroc")
    assert whole is not None and whole.runs == 2
    assert whole.mean == pytest.approx(aurocs.mean()) and whole.std == pytest.approx(aurocs.mean(1).std(ddof=1))
    blue = summary.value(row, [("tiles", "blue")], "image_auroc")
    assert blue is not None and (blue.mean, blue.std, blue.runs) == pytest.approx((0.91, 0.01, 3))
    assert summary.value(row, [("tiles", "blue")], "pixel_auroc") is None
    assert summary.value(row, [("tiles", "blue")], "ms_per_image") is not None
    single = summary.value(candidate_of(records[5].spec), [("tiles", "blue")], "image_auroc")
    assert single is not None and single.std is None


def test_rows_are_in_order_of_size_and_do_not_repeat_what_all_have() -> None:
    ks = (20, 5, "auto", 100)
    summary = Summary([ok("a", "knn", 0.5, parameters={"k": k, "size": 64, "coreset": None}) for k in ks])
    assert summary.common == {"size": 64, "coreset": None}
    assert [summary.name(row) for row in summary.rows] == ["knn k=5", "knn k=20", "knn k=100", "knn k=auto"]


def test_the_table_holds_mean_deviation_and_failures(records: list[Record]) -> None:
    page = Page(render_runs(records, "runs.sqlite"))
    assert ["method", "mean", "blue", "red"] in page.rows
    assert ["knn", "81.0 ± 1.4", "91.0 ± 1.0", "71.5 ± 2.1"] in page.rows
    assert ["ldknn k=5", "70.2", "80.5", "60.0"] in page.rows
    assert ["gde", "failed", "failed", "failed"] in page.rows
    assert ["knn, 5 shots", "52.5 ± 3.5", "55.0 ± 7.1", "50.0 ± 0.0"] in page.rows
    assert "Pixel AUROC" not in page.text and "AUPRO" not in page.text.replace("AUPRO is up", "")
    assert "Escapes at" in page.text and "30%" in page.text


def test_the_best_of_a_column_is_marked_only_where_more_is_better(records: list[Record]) -> None:
    html = render_runs(records, "runs.sqlite")
    assert re.findall(r'class="best">([^<]*)<', html) == ["81.0 ± 1.4", "91.0 ± 1.0", "71.5 ± 2.1"]


def test_the_page_has_all_sections_escapes_and_asks_nothing_of_the_network(records: list[Record], tmp_path) -> None:
    write_runs(tmp_path / "a.html", records, "<b>runs")
    html = (tmp_path / "a.html").read_text()
    page = Page(html)
    for heading in ("Image AUROC by category", "Accuracy against speed", "Sweeps", "Few shots", "What failed"):
        assert heading in page.headings
    for text in ("<b>runs", "Error: no <room> & no time", "2 runs: tiles/blue, gde; tiles/red, gde", "at <x>"):
        assert text in page.text
    assert "Slow <1>" in page.text and "tiles: over K" in page.text
    assert not re.search(r"""(src|href)=|url\(|@import|<script|nan""", html) and "default-src 'none'" in html


def test_what_is_not_there_has_no_section() -> None:
    page = Page(render_runs([bad("blue", "magic", "no")], "a"))
    assert page.headings[-2:] == ["What failed", "Machine and versions"]
    assert not {"Sweeps", "Few shots", "Accuracy against speed", "Image AUROC by category"} & set(page.headings)
    page = Page(render_runs([ok("blue", "magic", 1.0, 0.0)], "a"))
    assert not {"Sweeps", "Few shots", "Accuracy against speed", "What failed"} & set(page.headings)


def test_times_of_different_machines_are_in_charts_of_their_own(records: list[Record]) -> None:
    other = replace(records[0], circumstances={**ABOUT, "threads": 1}, spec=replace(records[0].spec, method="dn2"))
    html = render_runs([ok("blue", "knn", 0.9, 20.0), ok("blue", "ldknn", 0.8, 40.0), other], "a")
    charts = re.findall(r"<svg[^>]*image AUROC, % against images per second.*?</svg>", html)
    assert [chart.count("<circle") for chart in charts] == [2, 1]
    assert "knn: 90 at 50" in charts[0] and "ldknn: 80 at 25" in charts[0]


def test_a_sweep_takes_what_differs_in_one_parameter_and_knows_the_defaults() -> None:
    parameters = ({"k": 5}, {}, {"k": 20, "alpha": 0.5}, {"k": 5, "alpha": 1}, {"k": "auto"}, {"k": 3, "size": 64})
    rows = [candidate_of(RunSpec("a", "b", "ldknn", parameters=one)) for one in parameters]
    by_k = swept_lines(rows, "k")
    assert [(rest.variant, list(found)) for rest, found in by_k.items()] == [("ldknn", [5.0, 9.0, 20.0])]
    by_alpha = swept_lines(rows, "alpha")
    assert [(rest.variant, list(found)) for rest, found in by_alpha.items()] == [("ldknn k=5", [0.5, 1.0])]
    assert swept_lines([replace(row, method="magic") for row in rows[:2]], "k") == {}


def test_more_curves_than_can_be_told_apart_get_more_charts() -> None:
    many = [ok("blue", "knn", 0.9, parameters={"k": k, "map_sigma": sigma}) for k in (1, 2) for sigma in range(10, 17)]
    html = render_runs(many, "a")
    assert len(re.findall(r"<svg[^>]*image AUROC, % over K", html)) == 2
    assert html.count('class="curve') == 7


def test_many_points_have_numbers_and_a_key() -> None:
    html = render_runs([ok("blue", "knn", 0.9, 10.0 + k, parameters={"k": k}) for k in range(1, 10)], "a")
    assert "<b>9</b>knn k=9" in html and ">9</text>" in html


def test_the_front_of_what_is_fast_and_right_steps_down_before_it_goes_on() -> None:
    svg = scatter_chart([Dot("a", 10, 99.0), Dot("b", 100, 97.0)], [(100, 97.0), (10, 99.0)], "x", "y", ceiling=98.0)
    path = re.search(r'class="pareto" d="M([\d.]+) ([\d.]+) V([\d.]+) H([\d.]+)"', svg)
    assert path and float(path[4]) > float(path[1]) and float(path[3]) > float(path[2])
    assert ">97<" in svg and ">99<" not in svg


def test_bars_are_as_long_as_their_values() -> None:
    svg = bar_chart([Bar("half", 75.0, "75"), Bar("full", 100.0, "100", 3.0), Bar("below", 20.0, "20")], 50, 100, "x")
    half, full, below = (float(width) for width in re.findall(r'<rect class="bar good".*?width="([\d.]+)"', svg))
    assert full == pytest.approx(2 * half, abs=0.02) and below == 0
    assert bar_chart([], 0, 1, "x") == ""
