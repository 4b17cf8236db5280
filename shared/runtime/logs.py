"""One JSON line per event; texts, tokens and full phone numbers cannot get through."""

from __future__ import annotations

import logging
import re
import sys
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
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: encode(event)),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(levelname)s %(name)s")
