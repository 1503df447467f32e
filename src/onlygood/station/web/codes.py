"""The codes of all errors that the station answers; the page has a sentence for each, in each of its languages."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """One word for programs, in `error.code` of an answer."""

    BAD_DATA = "bad_data"
    BAD_IMAGE = "bad_image"
    BAD_MODEL = "bad_model"
    BAD_REQUEST = "bad_request"
    BUSY = "busy"
    CLIENT_GONE = "client_gone"
    ERROR = "error"
    FORBIDDEN = "forbidden"
    FOREIGN_HOST = "foreign_host"
    FOREIGN_ORIGIN = "foreign_origin"
    INTERNAL = "internal"
    INVALID = "invalid"
    LENGTH_REQUIRED = "length_required"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NO_ROOM = "no_room"
    NO_TOKEN = "no_token"
    NOT_FOUND = "not_found"
    NOT_INSTALLED = "not_installed"
    NOT_RECORDED = "not_recorded"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    TOO_SLOW = "too_slow"
    UNAVAILABLE = "unavailable"
    UNKNOWN_RECIPE = "unknown_recipe"
    WRONG_TYPE = "wrong_type"
