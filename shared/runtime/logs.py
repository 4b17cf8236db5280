"""One JSON line per event; texts, tokens and full phone numbers cannot get through."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

_FORBIDDEN = frozenset({"text", "body", "token", "password", "secret", "authorization", "url"})
_NUMBER = re.compile(r"(?<![\w-])\+?\d{8,15}(?![\w-])")


def mask(number: str) -> str:
    """A phone number with its middle hidden: enough to recognise, not enough to call."""
    return number[:4] + "*" * max(0, len(number) - 6) + number[-2:] if len(number) > 6 else "***"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A processor: forbidden fields are blanked, long digit strings masked."""
    for key, value in event.items():
        if key in _FORBIDDEN:
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _NUMBER.sub(lambda match: mask(match.group()), value)
    return event


def frames_of(error: BaseException) -> str:
    """Where an error came from and of what kind it is, without its message: a database's errors
    quote the values of rows."""
    places = (
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    )
    return " > ".join([*places, type(error).__name__])


def _without_message(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        event["error"] = frames_of(error)
    return event


class _Formatter(logging.Formatter):
    """For what libraries log: their errors without messages, too."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        return frames_of(ei[1]) if ei[1] is not None else ""


def configure(service: str, level: str = "INFO") -> None:
    """Send every event of this process to standard error as JSON, with the service's name."""
    encode = msgspec.json.Encoder(enc_hook=str).encode
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_message,
            redact,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: encode(event)),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    # It quotes the bytes of requests it cannot parse: tokens and numbers may be among them.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
