"""Every error the same way: `{"error": {"code": ..., "message": ...}}`, with the status that fits."""

from __future__ import annotations

import errno
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Scope

from onlygood.errors import (
    DataError,
    ImageError,
    MissingDependencyError,
    ModelFileError,
    OnlyGoodError,
    ParameterError,
)
from onlygood.station.errors import BusyError, NotFoundError, NotRecordedError, RefusedError, UnknownRecipeError
from onlygood.station.logs import log
from onlygood.station.telemetry import Telemetry
from onlygood.station.web.codes import Code
from onlygood.station.web.headers import HEADERS

#: Status and code of each error of the library; the first that fits counts.
STATUS: tuple[tuple[type[OnlyGoodError], int, Code], ...] = (
    (ImageError, 400, Code.BAD_IMAGE),
    (ModelFileError, 400, Code.BAD_MODEL),
    (UnknownRecipeError, 404, Code.UNKNOWN_RECIPE),
    (NotFoundError, 404, Code.NOT_FOUND),
    (NotRecordedError, 503, Code.NOT_RECORDED),
    (BusyError, 503, Code.BUSY),
    (RefusedError, 409, Code.REFUSED),
    (ParameterError, 422, Code.INVALID),
    (DataError, 400, Code.BAD_DATA),
    (MissingDependencyError, 501, Code.NOT_INSTALLED),
    (OnlyGoodError, 503, Code.UNAVAILABLE),
)

#: What the system says of a disk that takes nothing more.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})

CODES: dict[int, Code] = {
    400: Code.BAD_REQUEST,
    401: Code.NO_TOKEN,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.TOO_SLOW,
    409: Code.REFUSED,
    411: Code.LENGTH_REQUIRED,
    413: Code.TOO_LARGE,
    415: Code.WRONG_TYPE,
    421: Code.FOREIGN_HOST,
    422: Code.INVALID,
    429: Code.TOO_MANY,
    503: Code.UNAVAILABLE,
}


class Complaint(BaseModel):
    """What is wrong."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="One word for programs.", examples=["unknown_recipe"])
    message: str = Field(description="One or two sentences for people, with the mend.")


class Problem(BaseModel):
    """The body of every answer with a status of 400 or more."""

    model_config = ConfigDict(extra="forbid")

    error: Complaint


#: What any route may answer, for the OpenAPI document.
ANY: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request cannot be read."},
    401: {"model": Problem, "description": "A token is needed."},
    403: {"model": Problem, "description": "The role does not reach, or the Origin is foreign."},
    404: {"model": Problem, "description": "There is none of that name."},
    408: {"model": Problem, "description": "The request did not arrive in time."},
    409: {"model": Problem, "description": "Refused as things are."},
    413: {"model": Problem, "description": "Larger than the limit."},
    415: {"model": Problem, "description": "Of a type that is not taken here."},
    421: {"model": Problem, "description": "The Host is not one of this station's."},
    422: {"model": Problem, "description": "A parameter is not what it may be."},
    429: {"model": Problem, "description": "More requests than the rate allows; see Retry-After."},
    503: {"model": Problem, "description": "Busy, stopping, or the record takes nothing; see Retry-After."},
}


def table(code: Code, message: str) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"code": code, "message": message}}


def response(status: int, code: Code, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as an answer."""
    return JSONResponse(table(code, message), status, headers)


def told(error: OnlyGoodError) -> tuple[int, Code, str]:
    """Status, code and message of an error of the library."""
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            return status, code, str(error)
    raise AssertionError  # OnlyGoodError stands last


def log_refusal(scope: Scope, status: int, code: str, message: str) -> None:
    """A line for what was not done, and for whom."""
    client = scope.get("client")
    log(
        "refused",
        level="warning",
        status=status,
        code=code,
        problem=message,
        method=scope["method"],
        path=scope["path"][:200],
        client=client[0] if client else "",
    )


def install(app: FastAPI, telemetry: Telemetry) -> None:
    """Have the application answer all errors this way, and count them."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OnlyGoodError)
        status, code, message = told(error)
        telemetry.refused(code)
        log_refusal(request.scope, status, code, message)
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, BusyError) else {}
        return response(status, code, message, {**headers, **_closing(request)})

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, Code.ERROR)
        telemetry.refused(code)
        log_refusal(request.scope, error.status_code, code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code in (408, 413):  # the rest of the body is not read
            headers["Connection"] = "close"
        return response(error.status_code, code, str(error.detail), {**headers, **_closing(request)})

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        telemetry.refused(Code.INVALID)
        wrong = [f"{'.'.join(map(str, one['loc'][1:])) or one['loc'][0]}: {one['msg']}" for one in error.errors()]
        return response(422, Code.INVALID, "; ".join(wrong)[:2000], _closing(request))

    async def gone(request: Request, error: Exception) -> JSONResponse:
        telemetry.refused(Code.CLIENT_GONE)
        return response(400, Code.CLIENT_GONE, "The request ended before all of it had arrived.")

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        telemetry.refused(Code.INTERNAL)
        log("fault", level="error", error=error, path=request.url.path, method=request.method)
        message = "A fault of the station; its log tells more. Nothing was answered or changed."
        return response(500, Code.INTERNAL, message, HEADERS)

    async def disk(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, OSError) or error.errno not in NO_ROOM:
            return await unexpected(request, error)
        message = f"The disk does not take it: {error.strerror}. Make room, or mend it, and send it again."
        telemetry.refused(Code.NO_ROOM)
        log_refusal(request.scope, 503, Code.NO_ROOM, message)
        return response(503, Code.NO_ROOM, message, {"Retry-After": "5", **_closing(request)})

    app.add_exception_handler(OnlyGoodError, ours)
    app.add_exception_handler(OSError, disk)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)


def _closing(request: Request) -> dict[str, str]:
    """A connection whose request was not read to its end cannot carry another one."""
    return {} if request.scope.get("onlygood.read", True) else {"Connection": "close"}
