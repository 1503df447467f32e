"""Signing in at the page, and who one is."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from onlygood.station.web.access import COOKIE, Anybody

router = APIRouter(tags=["session"])

#: A token stays in the browser for so long, seconds.
STAY = 30 * 24 * 3600


class Login(BaseModel):
    """A token."""

    token: str = Field(min_length=1, max_length=200)


class Who(BaseModel):
    """Who calls."""

    name: str = Field(description="Empty without a token that is known.")
    role: str = Field(description="view, operate or engineer; empty without a token that is known.")
    open: bool = Field(description="Whether no token is needed here.")


@router.post("/login", summary="Sign in with a token")
async def login(request: Request, response: Response, body: Login) -> Who:
    """Sets a cookie that scripts cannot read."""
    tokens = request.app.state.tokens
    user = tokens.user(body.token)
    if user is None:
        if not tokens.any:
            return Who(name="local", role="engineer", open=True)
        raise HTTPException(401, "That token is not known.", headers={"WWW-Authenticate": "Bearer"})
    response.set_cookie(
        COOKIE, body.token, max_age=STAY, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return Who(name=user.name, role=str(user.role), open=False)


@router.post("/logout", summary="Sign out")
async def logout(response: Response) -> dict[str, bool]:
    """Takes the cookie away."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return {"ok": True}


@router.get("/whoami", summary="Who one is")
async def whoami(request: Request, user: Anybody) -> Who:
    """Name and role of the token that was sent."""
    is_open = not request.app.state.tokens.any
    return Who(name=user.name, role=str(user.role), open=is_open) if user else Who(name="", role="", open=False)
