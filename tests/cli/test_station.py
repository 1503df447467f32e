"""`onlygood station token`; the station itself is tested in tests/station/web/test_serving.py."""

from __future__ import annotations

import re
from pathlib import Path

from onlygood.station.web.tokens import Role, Tokens


def test_a_token_is_made_shown_once_and_taken_away(og, tmp_path: Path) -> None:
    done = og("station", "token", "anna", "--role", "engineer", "--data", "data")
    found = re.search(r"og_\S+", done.out)
    assert done.status == 0 and found, done.err
    user = Tokens(tmp_path / "data").user(found[0])
    assert user and (user.name, user.role) == ("anna", Role.ENGINEER)
    assert og("station", "token", "bea", "--data", "data").status == 0
    assert og("station", "token", "anna", "--remove", "--data", "data").status == 0
    assert Tokens(tmp_path / "data").user(found[0]) is None
    gone = og("station", "token", "anna", "--remove", "--data", "data")
    assert gone.status == 2 and "There are: bea." in gone.err
    wrong = og("station", "token", "anna", "--role", "king", "--data", "data")
    assert wrong.status == 2 and "view, operate, engineer" in wrong.err


def test_a_missing_package_names_the_extra(og, monkeypatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "fastapi" else find(name, *more)
    )
    done = og("station", "--model", "part.og")
    assert done.status == 2 and "pip install 'onlygood[station]'" in done.err
