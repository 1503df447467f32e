"""What a route may ask for: the station, and a user with the role it needs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from onlygood.station.running import Station
from onlygood.station.web.tokens import LOCAL, Role, User

COOKIE = "onlygood_token"

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A token of `onlygood station token`.")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="cookie", description="Set by POST /login.")


async def the_station(request: Request) -> Station:
    """The station behind the application."""
    station: Station = request.app.state.station
    return station


async def anybody(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> User | None:
    """Who calls; None without a token that is known. An `Authorization` header counts before the cookie."""
    tokens = request.app.state.tokens
    if not tokens.any:
        return LOCAL
    token = bearer.credentials if bearer else cookie
    user: User | None = tokens.user(token) if token else None
    return user


def media_type(request: Request, default: str = "") -> str:
    """What the body is, in small letters and without parameters; `default` if the request does not say."""
    return request.headers.get("content-type", default).partition(";")[0].strip().lower()


class Needs:
    """Lets through who has a role, and refuses others: 401 without a token that is known, 403 with a lower role."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, user: Annotated[User | None, Depends(anybody)]) -> User:
        """The user."""
        if user is None:
            raise HTTPException(
                401, "A token is needed, and none that is known was sent.", headers={"WWW-Authenticate": "Bearer"}
            )
        if not user.role.covers(self.role):
            raise HTTPException(403, f"This needs the role {self.role}; {user.name} has {user.role}.")
        return user


TheStation = Annotated[Station, Depends(the_station)]
Anybody = Annotated[User | None, Depends(anybody)]
Viewer = Annotated[User, Depends(Needs(Role.VIEW))]
Operator = Annotated[User, Depends(Needs(Role.OPERATE))]
Engineer = Annotated[User, Depends(Needs(Role.ENGINEER))]
