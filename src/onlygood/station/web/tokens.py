"""Who may call the station: tokens with a name and a role, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from onlygood.errors import ParameterError
from onlygood.files import replacing
from onlygood.station.errors import StationError
from onlygood.station.logs import log

FILE = "tokens.toml"

#: How long a change of the file may go unnoticed, seconds.
RECHECK = 1.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Role(StrEnum):
    """What a user may do; each may also do what those before it may."""

    VIEW = "view"
    OPERATE = "operate"
    ENGINEER = "engineer"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what needs that one."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class User:
    """Somebody who calls."""

    name: str
    role: Role


#: Everybody, while there are no tokens and the station listens on this machine alone.
LOCAL = User("local", Role.ENGINEER)


class Tokens:
    """The tokens of a station; a changed file is taken over while it runs.

    Args:
        data: The station's folder.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._reading = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._looked = 0.0
        self._users: dict[str, User] = {}
        self._seen = self._stamp()
        self._users = read(self._path)

    @property
    def any(self) -> bool:
        """Whether callers must show one. Once there was one, also after the file is gone: nothing opens by itself."""
        self._refresh()
        return bool(self._users)

    def user(self, token: str) -> User | None:
        """Whose token it is; None if nobody's. Every stored hash is compared, each in constant time."""
        self._refresh()
        digest = hash_of(token)
        found = None
        for known, user in self._users.items():
            if hmac.compare_digest(known, digest):
                found = user
        return found

    def _refresh(self) -> None:
        if time.monotonic() - self._looked < RECHECK:
            return
        with self._reading:
            self._looked = time.monotonic()
            stamp = self._stamp()
            if stamp is None or stamp == self._seen:
                return
            self._seen = stamp
            try:
                users = read(self._path)
            except StationError as error:  # the old ones stay: a slip of the editor locks nobody out, and opens nothing
                log("tokens_refused", level="error", problem=str(error))
                return
            if users or not self._users:
                self._users = users
            log("tokens_read", count=len(users))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size


def hash_of(token: str) -> str:
    """SHA-256 of a token, hexadecimal. Tokens are 256 random bits, so neither salt nor stretching adds anything."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> dict[str, User]:
    """The users of a file of tokens by the hash of their token; empty if there is no file.

    Raises:
        StationError: The file is not what it must be.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("token", [])
        return {_digest(one["sha256"]): User(_named(one["name"]), Role(one["role"])) for one in entries}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StationError(
            f"The file of tokens {path} cannot be read: {error}. Mend it, or move it away and make new tokens: "
            "onlygood station token NAME --role ROLE"
        ) from error


def add(data: Path, name: str, role: Role) -> str:
    """Make a token, keep its hash, and return it; it cannot be had again. One of the same name is replaced.

    Raises:
        ParameterError: The name is none.
        StationError: The file there cannot be read.
        OSError: It cannot be written.
    """
    token = f"og_{secrets.token_urlsafe(32)}"
    users = without(read(data / FILE), _named(name))
    _write(data, {**users, hash_of(token): User(name, role)})
    return token


def remove(data: Path, name: str) -> None:
    """Take a token away; a running station follows within a second, except that the last one stays until it restarts.

    Raises:
        ParameterError: There is none of that name.
    """
    users = read(data / FILE)
    left = without(users, name)
    if len(left) == len(users):
        known = ", ".join(sorted(user.name for user in users.values())) or "none"
        raise ParameterError(f"There is no token of {name}. There are: {known}.")
    _write(data, left)


def without(users: dict[str, User], name: str) -> dict[str, User]:
    """All but those of one name."""
    return {digest: user for digest, user in users.items() if user.name != name}


def _write(data: Path, users: dict[str, User]) -> None:
    data.mkdir(parents=True, exist_ok=True)
    lines = ["# Tokens of the station. The tokens themselves are not kept, only their SHA-256.", ""]
    for digest, user in users.items():
        lines += ["[[token]]", f'name = "{user.name}"', f'role = "{user.role}"', f'sha256 = "{digest}"', ""]
    with replacing(data / FILE) as partial:
        partial.write_text("\n".join(lines), "utf-8")
    (data / FILE).chmod(0o600)


def _named(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be the name of a token: letters, digits and _ . @ - only, 64 at most.")
    return name


def _digest(text: str) -> str:
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no SHA-256")
    return text
