"""The page of `onlygood choose`: candidates as points over their time, and as a table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import onlygood
from onlygood.evaluation.choosing import Choice, Estimate
from onlygood.files import replacing
from onlygood.reports.charts import Dot, scatter_chart
from onlygood.reports.pages import page_template


def write_choice(path: str | Path, choice: Choice, title: str) -> None:
    """Write the page as one self-contained HTML file, whole or not at all.

    Args:
        path: Of the file; its folder must exist.
        choice: What was compared.
        title: Name of the folder of good images.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
        OSError: The file cannot be written.
    """
    template = page_template("choice.html")
    from markupsafe import Markup

    page = template.render(
        title=title,
        summary=recommendation(choice),
        note=basis(choice),
        chart=Markup(_chart(choice)),
        rows=[(one, remark(choice, place)) for place, one in enumerate(choice.estimates)],
        recommended=choice.recommended,
        version=onlygood.__version__,
        created=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def recommendation(choice: Choice) -> str:
    """One sentence: what to take."""
    best = choice.best
    if best is None:
        return "No candidate keeps the budget." if any(not e.failure for e in choice.estimates) else "All failed."
    highest = max((e for e in choice.estimates if e.within), key=lambda e: e.auroc)
    text = f"Take {best.candidate.name}: synthetic AUROC {best.auroc:.3f}, {best.ms:.3g} ms for an image."
    if highest is not best:
        text += f" {highest.candidate.name} has {highest.auroc:.3f}, which is not clearly more."
    return text


def basis(choice: Choice) -> str:
    """What the comparison rests on."""
    budgets = ((choice.max_ms, "ms an image"), (choice.max_fit_s, "s to fit"))
    limits = [f"{value:g} {unit}" for value, unit in budgets if value]
    budget = f" Budget: {', '.join(limits)}." if limits else ""
    left = f" Not tried, as the time was up: {', '.join(choice.left_out)}." if choice.left_out else ""
    return (
        f"Fitted on {choice.learned} good images, asked about {choice.held_out} others and {choice.defects} synthetic "
        f"defects in them.{budget}{left}"
    )


def remark(choice: Choice, place: int) -> str:
    """What is to be said of a candidate in a word or two."""
    one = choice.estimates[place]
    if one.failure:
        return "failed"
    if place == choice.recommended:
        return "recommended"
    if not one.within:
        return "beyond the budget"
    return "on the front" if one.on_front else ""


def _chart(choice: Choice) -> str:
    shown = [one for one in choice.estimates if not one.failure]
    if not shown:
        return ""
    chosen = choice.best

    def style(one: Estimate) -> str:
        return "chosen" if one is chosen else "front" if one.on_front else ""

    dots = [Dot(one.candidate.name, one.ms, one.auroc, one.error, style(one)) for one in shown]
    front = [(one.ms, one.auroc) for one in shown if one.on_front]
    return scatter_chart(dots, front, "milliseconds for an image", "synthetic AUROC", choice.max_ms)
