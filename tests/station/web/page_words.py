"""What a test says of the page in a browser, once for every room of tests that opens one."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="the tests of the page need playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="the tests of the page need chromium")


def told(page: Any, selector: str, text: str) -> None:
    """Wait until the first such element shows a text."""
    playwright_api.expect(page.locator(selector).first).to_contain_text(text, timeout=20_000)


def toasted(page: Any, kind: str, text: str) -> None:
    """Wait for a toast, wherever it stands among those that are not gone yet."""
    playwright_api.expect(page.locator(f".toast.{kind}").filter(has_text=text)).to_be_visible(timeout=20_000)


def answer(page: Any, key: str) -> None:
    """Press a key once the part has been looked at."""
    page.locator(".reviewing [data-seen]").wait_for()
    page.keyboard.press(key)
