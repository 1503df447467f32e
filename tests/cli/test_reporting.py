"""`onlygood report`: what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="the page needs Jinja2")

from onlygood.evaluation.runs.records import Record, Records
from onlygood.evaluation.runs.spec import RunSpec


def test_the_page_is_written_and_the_records_stay(og, tmp_path: Path) -> None:
    kept = Records(tmp_path / "runs.sqlite")
    for seed, auroc in enumerate((0.7, 0.73)):
        kept.add(Record(RunSpec("tiles", "red", "knn", seed=seed), "ok", "a", "b", "f", {"image_auroc": auroc}))
    done = og("report", kept.path, "-o", "page.html")
    assert done.status == 0 and not done.err and "page.html" in done.out
    assert "71.5 ± 2.1" in Path("page.html").read_text("utf-8")
    before = kept.path.read_bytes()
    for words, expected in (
        (["none.sqlite", "-o", "a.html"], "no file of records none.sqlite"),
        (["page.html", "-o", "a.html"], "page.html cannot be used"),
        ([kept.path, "-o", "none/a.html"], "no folder none"),
        ([kept.path, "-o", kept.path], "is the file of records itself"),
    ):
        done = og("report", *words)
        assert done.status == 2 and not done.out and expected in done.err
    assert kept.path.read_bytes() == before and not Path("a.html").exists()


def test_an_empty_file_names_the_mend(og) -> None:
    Path("empty.sqlite").touch()
    done = og("report", "empty.sqlite", "-o", "a.html")
    assert done.status == 2 and "empty.sqlite holds no runs yet" in done.err and "onlygood bench run" in done.err
    assert not Path("a.html").exists()
