"""The OpenAPI document: complete, and whatever it allows or forbids is answered as it says, never with a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from onlygood.station.web.app import ROUTERS, create_app

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
QUIET = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.function_scoped_fixture,
]


def test_the_document_is_complete(client: Any) -> None:
    document = client.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    known = {(path, method) for path, methods in document["paths"].items() for method in methods}
    for router in ROUTERS:
        for route in router.routes:
            if route.include_in_schema:
                assert {(route.path, method.lower()) for method in route.methods} <= known
    for path, method in known:
        operation = document["paths"][path][method]
        where = f"{method} {path}"
        assert operation["summary"], where
        success = [code for code in operation["responses"] if code.startswith("2")]
        assert success and all(operation["responses"][code].get("content") for code in success), where
        for code, response in operation["responses"].items():
            if code[0] in "45" and (path, code) != ("/ready", "503"):
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (where, code)
        assert {"401", "403", "421", "422", "429", "503"} <= set(operation["responses"]), where


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_request_is_answered_with_a_500(station: Any, mode: str) -> None:
    app = create_app(station)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "127.0.0.1"})
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/events":  # a stream without an end
            continue
        tried.add((operation.method, operation.path))
        strategy = operation.as_strategy(generation_mode=getattr(schemathesis.GenerationMode, mode.upper()))

        @settings(
            max_examples=12 if mode == "positive" else 6,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=QUIET,
            phases=[Phase.generate],
        )
        @given(strategy)
        def fuzz(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers={"Host": "127.0.0.1"})

        try:
            fuzz()
        except Unsatisfiable:  # nothing can be wrong in it
            assert mode == "negative", operation.path
    assert len(tried) >= 12


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(
    st.binary(max_size=300),
    st.sampled_from(["image/png", "application/octet-stream", "multipart/form-data; boundary=b", "text/x", "", ";;"]),
    st.dictionaries(st.sampled_from(["recipe", "name", "map", "x"]), st.text(max_size=30), max_size=3),
)
def test_any_bytes_are_answered(client: Any, data: bytes, kind: str, params: dict[str, str]) -> None:
    for path in ("/inspect", "/inspect/batch"):
        response = client.post(path, content=data, headers={"Content-Type": kind}, params=_sent(params))
        assert 400 <= response.status_code < 500, response.text
        assert set(response.json()["error"]) == {"code", "message"}


def _sent(params: dict[str, str]) -> dict[str, str]:
    """As a client can send it: halves of characters cannot be written in UTF-8."""
    return {key: value.encode("utf-8", "replace").decode() for key, value in params.items()}
