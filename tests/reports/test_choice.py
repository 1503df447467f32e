"""The page of a choice: what it says, and that it asks nothing of the network."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("jinja2")

from onlygood.evaluation.choosing import Candidate, Choice, Estimate
from onlygood.reports.choice import basis, recommendation, remark, write_choice


def estimate(name: str, auroc: float, ms: float, **more) -> Estimate:
    return Estimate(Candidate(name), auroc, 0.01, 0.5, 0.0, ms, 3.0, 12.0, **{"within": True, **more})


@pytest.fixture
def choice() -> Choice:
    estimates = (
        estimate("REB <256>", 0.95, 30.0, on_front=True),
        estimate("faster", 0.90, 12.0, on_front=True),
        estimate("slow", 0.96, 300.0, within=False),
        Estimate(Candidate("broken"), failure="no weights & no network"),
    )
    return Choice(estimates, 0, 70, 30, 90, 100.0, None, ("left",))


def test_the_page_shows_every_candidate_and_asks_nothing_of_the_network(choice, tmp_path) -> None:
    write_choice(tmp_path / "choice.html", choice, "a & b")
    page = (tmp_path / "choice.html").read_text()
    assert "a &amp; b" in page and "REB &lt;256&gt;" in page and "no weights &amp; no network" in page
    assert page.count("<circle") == 3 and page.count("<tr class") == 4
    assert not re.search(r"""(src|href)=["']?http""", page) and "default-src 'none'" in page


def test_words(choice) -> None:
    assert recommendation(choice).startswith("Take REB <256>: synthetic AUROC 0.950, 30 ms")
    assert [remark(choice, i) for i in range(4)] == ["recommended", "on the front", "beyond the budget", "failed"]
    assert "70 good images" in basis(choice) and "100 ms an image" in basis(choice) and "left" in basis(choice)


def test_nothing_to_recommend(choice, tmp_path) -> None:
    none = Choice(choice.estimates[2:], None, 70, 30, 90, 100.0, None)
    assert recommendation(none) == "No candidate keeps the budget."
    failed = Choice(choice.estimates[3:], None, 70, 30, 90, None, None)
    assert recommendation(failed) == "All failed."
    write_choice(tmp_path / "choice.html", failed, "part")
    assert "<circle" not in (tmp_path / "choice.html").read_text()
