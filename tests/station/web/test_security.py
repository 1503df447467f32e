"""Who may do what: tokens, roles on every route, foreign hosts and origins, rates, headers."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from onlygood.errors import ParameterError
from onlygood.station.errors import StationError
from onlygood.station.running import check_exposure, is_loopback
from onlygood.station.settings import Limits, Settings
from onlygood.station.web import tokens
from onlygood.station.web.app import ROUTERS, create_app
from onlygood.station.web.security import Rate
from onlygood.station.web.tokens import Role, Tokens

#: What answers without a token: that it lives, signing in, and the page with which one does.
PUBLIC = {"/health", "/ready", "/login", "/logout", "/whoami", "/docs", "/openapi.json", "/"}
SAFE = {"GET", "HEAD", "OPTIONS"}

#: Asked by POST, for their size, and change nothing.
QUESTIONS = {"/recipes/x/thresholds/preview"}


@pytest.fixture
def given(settings: Settings) -> dict[str, str]:
    """A token of each role."""
    return {str(role): tokens.add(settings.data, f"the-{role}", role) for role in Role}


@pytest.fixture
def guarded(given: dict[str, str], station: Any) -> Iterator[TestClient]:
    """A station with tokens."""
    with TestClient(create_app(station), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """Method and a path for each route of an application."""
    for route in (*app.routes, *(route for router in ROUTERS for route in router.routes)):
        if isinstance(route, Route):
            path = re.sub(r"{[^}]*}", "x", route.path)
            for method in route.methods or ():
                yield method, path


def test_every_route_needs_a_token_and_unsafe_ones_more_than_view(guarded: TestClient, given: dict[str, str]) -> None:
    tried = 0
    for method, path in routes(guarded.app):
        if path in PUBLIC or path.startswith("/static"):
            continue
        tried += 1
        assert guarded.request(method, path).status_code == 401, (method, path)
        assert guarded.request(method, path, headers=bearer("og_no")).status_code == 401, (method, path)
        if method not in SAFE and path not in QUESTIONS:
            refused = guarded.request(method, path, headers=bearer(given["view"]))
            assert refused.status_code == 403, (method, path, refused.text)
    assert tried >= 10


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/recipes", "view"),
        ("GET", "/recipes/plate", "view"),
        ("GET", "/recipes/plate/activations", "view"),
        ("GET", "/recipes/plate/models", "view"),
        ("GET", "/metrics", "view"),
        ("POST", "/inspect", "operate"),
        ("POST", "/inspect/batch", "operate"),
        ("PUT", "/recipes/plate/model", "engineer"),
        ("PUT", "/recipes/plate/thresholds", "engineer"),
        ("POST", "/recipes/plate/rollback", "engineer"),
        ("GET", "/recipes/plate/histogram", "view"),
        ("GET", "/recipes/plate/drift", "view"),
        ("GET", "/recipes/plate/candidates", "view"),
        ("POST", "/recipes/plate/thresholds/preview", "view"),
        ("POST", "/recipes/plate/drift/restart", "operate"),
        ("POST", "/recipes/plate/candidates", "operate"),
        ("POST", f"/recipes/plate/candidates/{'0' * 64}/activate", "engineer"),
        ("POST", "/recipes/plate/golden", "engineer"),
        ("DELETE", f"/recipes/plate/golden/{'0' * 64}", "engineer"),
    ],
)
def test_roles(guarded: TestClient, given: dict[str, str], method: str, path: str, needed: str) -> None:
    for role, token in given.items():
        status = guarded.request(method, path, headers=bearer(token)).status_code
        assert (status == 403) == (not Role(role).covers(Role(needed))), (role, status)
        assert status != 401


def test_an_operator_may_inspect_and_not_change(guarded: TestClient, given: dict[str, str], good: bytes) -> None:
    headers = {**bearer(given["operate"]), "Content-Type": "image/png"}
    assert guarded.post("/inspect", content=good, headers=headers).status_code == 200
    assert guarded.put("/recipes/plate/thresholds", json={"ng": 9, "review": 8}, headers=headers).status_code == 403
    assert guarded.put("/recipes/plate/model", content=b"x", headers=bearer(given["operate"])).status_code == 403


def test_the_audit_trail_names_the_user(guarded: TestClient, given: dict[str, str], station: Any) -> None:
    body = {"ng": 9, "review": 8, "why": "lot 7"}
    assert guarded.put("/recipes/plate/thresholds", json=body, headers=bearer(given["engineer"])).status_code == 200
    entry = station.record.audit_trail(1)[0]
    assert entry["who"] == "the-engineer" and entry["subject"] == "plate" and entry["detail"]["why"] == "lot 7"


def test_signing_in_and_out(guarded: TestClient, given: dict[str, str]) -> None:
    assert guarded.get("/whoami").json() == {"name": "", "role": "", "open": False}
    assert guarded.post("/login", json={"token": "og_wrong"}).status_code == 401
    answer = guarded.post("/login", json={"token": given["operate"]})
    assert answer.json() == {"name": "the-operate", "role": "operate", "open": False}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert guarded.get("/recipes").status_code == 200
    # a header counts before the cookie
    assert guarded.get("/recipes", headers=bearer("og_wrong")).status_code == 401
    guarded.post("/logout")
    assert guarded.get("/recipes").status_code == 401


def test_without_tokens_everybody_on_this_machine_is_an_engineer(client: TestClient) -> None:
    assert client.get("/whoami").json() == {"name": "local", "role": "engineer", "open": True}
    assert client.get("/recipes").status_code == 200


def test_ready_tells_strangers_no_reasons(guarded: TestClient, given: dict[str, str], station: Any) -> None:
    station.stopping.set()
    assert guarded.get("/ready").status_code == 503
    assert guarded.get("/ready").json()["reasons"] == [] and guarded.get("/ready").json()["recipes"] == []
    assert guarded.get("/ready", headers=bearer(given["view"])).json()["reasons"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1:99"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_pages_may_change_nothing(client: TestClient, method: str, headers: dict[str, str]) -> None:
    response = client.request(method, "/recipes/plate/rollback", headers=headers)
    assert response.status_code == 403 and response.json()["error"]["code"] == "foreign_origin"


def test_its_own_pages_may(client: TestClient, good: bytes) -> None:
    headers = {"Content-Type": "image/png", "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/inspect", content=good, headers=headers).status_code == 200
    assert (
        client.get("/recipes", headers={"Origin": "https://evil.example"}).status_code == 200
    )  # reads are CORS' matter
    assert "access-control-allow-origin" not in client.get("/recipes").headers


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8010", True),
        ("localhost:8010", True),
        ("LOCALHOST", True),
        ("[::1]:8010", True),
        ("192.168.1.7", True),
        ("line-pc", True),
        ("Line-PC:80", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1", False),
        ("evil.example:127.0.0.1", False),
        ("127.0.0.1@evil.example", False),
    ],
)
def test_hosts(make_station: Callable[..., Any], settings: Settings, host: str, known: bool) -> None:
    client = TestClient(create_app(make_station(replace(settings, hosts=("line-pc",)))), base_url="http://127.0.0.1")
    response = client.get("/health", headers={"Host": host})
    assert response.status_code == (200 if known else 421)
    assert known or response.json()["error"]["code"] == "foreign_host"


def test_every_answer_has_the_security_headers(client: TestClient, good: bytes) -> None:
    for response in (
        client.get("/health"),
        client.get("/docs"),
        client.get("/nowhere"),
        client.post("/inspect", content=good, headers={"Content-Type": "text/plain"}),
        client.get("/health", headers={"Host": "evil.example"}),
        client.post("/logout", headers={"Origin": "https://evil.example"}),
    ):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers


def test_a_fault_of_ours_is_told_without_its_inside(client: TestClient, station: Any, monkeypatch: Any) -> None:
    def broken() -> list[str]:
        raise RuntimeError("the inside")

    monkeypatch.setattr(station.recipes, "names", broken)
    response = client.get("/recipes")
    assert response.status_code == 500 and response.json()["error"]["code"] == "internal"
    assert "inside" not in response.text and "nosniff" in response.headers["x-content-type-options"]


def test_the_list_of_routes_loads_nothing(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "POST" in page and "/inspect" in page
    assert not re.search(r"<(script|link|img|iframe)|https?://", page)


def test_rates_are_counted_by_address() -> None:
    time = [0.0]
    rate = Rate(5, lambda: time[0])
    assert [rate.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert rate.allows("b")
    time[0] = 0.2
    assert [rate.allows("a"), rate.allows("a")] == [True, False]
    time[0] = 100
    assert sum(rate.allows("a") for _ in range(50)) == 5
    assert all(Rate(0).allows("a") for _ in range(1000))


def test_too_many_requests(make_station: Callable[..., Any], settings: Settings) -> None:
    client = TestClient(create_app(make_station(replace(settings, limits=Limits(rate=3)))), base_url="http://127.0.0.1")
    answers = [client.get("/whoami") for _ in range(10)]
    refused = [one for one in answers if one.status_code == 429]
    assert 5 <= len(refused) <= 7 and all(one.headers["retry-after"] == "1" for one in refused)
    assert client.get("/health").status_code == 200


# tokens


def test_tokens_are_kept_as_hashes_alone(tmp_path: Path) -> None:
    made = tokens.add(tmp_path, "anna", Role.ENGINEER)
    file = tmp_path / tokens.FILE
    assert made not in file.read_text() and stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = tomllib.loads(file.read_text())["token"][0]
    assert entry == {"name": "anna", "role": "engineer", "sha256": tokens.hash_of(made)}
    user = Tokens(tmp_path).user(made)
    assert user and user.name == "anna" and user.role is Role.ENGINEER
    for wrong in ("", made[:-1], made + "x", made.upper(), tokens.hash_of(made), "\ud800", "\0"):
        assert Tokens(tmp_path).user(wrong) is None


def test_a_new_token_of_a_name_replaces_the_old(tmp_path: Path) -> None:
    first, other = tokens.add(tmp_path, "anna", Role.VIEW), tokens.add(tmp_path, "bea", Role.OPERATE)
    second = tokens.add(tmp_path, "anna", Role.ENGINEER)
    known = Tokens(tmp_path)
    assert known.user(first) is None and known.user(second) and known.user(other)
    tokens.remove(tmp_path, "bea")
    assert Tokens(tmp_path).user(other) is None
    with pytest.raises(ParameterError, match="no token of bea"):
        tokens.remove(tmp_path, "bea")


def test_a_running_station_follows_and_never_opens(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tokens, "RECHECK", 0.0)
    made = tokens.add(tmp_path, "anna", Role.VIEW)
    known = Tokens(tmp_path)
    later = tokens.add(tmp_path, "bea", Role.VIEW)
    assert known.user(later)
    (tmp_path / tokens.FILE).write_text("no TOML [")
    assert known.user(made) and known.any
    (tmp_path / tokens.FILE).write_text("")
    assert known.any and known.user(made)
    (tmp_path / tokens.FILE).unlink()
    assert known.any and known.user(made)


@pytest.mark.parametrize(
    "text",
    ["[", "token = 1", "[[token]]", '[[token]]\nname="a"\nrole="king"\nsha256="' + "0" * 64 + '"', "[token]\nx=1"],
)
def test_a_file_of_tokens_that_is_none_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / tokens.FILE).write_text(text)
    with pytest.raises(StationError, match=re.escape(str(tmp_path / tokens.FILE))):
        Tokens(tmp_path)


@pytest.mark.parametrize("name", ["", "a b", "../x", 'a"', "a\n", "x" * 65, "-a"])
def test_names_of_tokens(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParameterError):
        tokens.add(tmp_path, name, Role.VIEW)
    assert not (tmp_path / tokens.FILE).exists()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((one, True) for one in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((one, False) for one in ("0.0.0.0", "192.168.1.2", "::", "line-pc", "localhost.evil.example")),
    ],
)
def test_it_does_not_listen_to_others_without_tokens(tmp_path: Path, host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    settings = Settings(data=tmp_path, models={}, host=host)
    check_exposure(settings, tokens=True)
    if loopback:
        check_exposure(settings, tokens=False)
    else:
        with pytest.raises(StationError, match="onlygood station token"):
            check_exposure(settings, tokens=False)
