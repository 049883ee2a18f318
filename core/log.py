"""Structured logs without secrets: one line for one event, as text on a terminal and as JSON elsewhere."""

import logging
import re
import sys
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.types import EventDict, Processor

# Telegram bot tokens, Stripe keys and webhook secrets, Discord bot tokens, passwords in URLs.
_SECRETS = re.compile(
    r"\d{6,12}:[A-Za-z0-9_-]{16,}|(?:sk|rk|pk)_(?:test|live)_\w+|whsec_\w+"
    r"|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}|(?<=://)[^/\s:@]*:[^/\s\x22]+(?=@)"
)
# httpx logs whole request URLs, and Telegram's URLs contain the bot token; the others talk much and say little.
_QUIET = (
    *("httpx", "httpcore", "telegram", "discord", "stripe"),
    *("ccxt", "apscheduler", "asyncio", "aiosqlite", "alembic"),
)
_known: set[str] = set()
MASK = "[secret]"


def redacted(text: str) -> str:
    """The text with every secret that is known or recognisable replaced by a mask."""
    for secret in sorted(_known, key=len, reverse=True):  # a secret may begin with another one
        text = text.replace(secret, MASK)
    return _SECRETS.sub(MASK, text)


def keep_out(*secrets: str) -> None:
    """These values never appear in a log line, whatever their shape."""
    _known.update(secret for secret in secrets if len(secret) >= 6)


def caused_by(request: str) -> AbstractContextManager[None]:
    """In the block, and in what it starts, every log line and every delivery names this request as its cause."""
    return structlog.contextvars.bound_contextvars(request=request[:36])


def request() -> str | None:
    """The request that is the cause of what goes on here, as log lines name it; None where there is none."""
    said = structlog.contextvars.get_contextvars().get("request")
    return said if isinstance(said, str) else None


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: _redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value))


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A structlog step: every value of the event is free of secrets."""
    return {key: value if key.startswith("_") else _redact_value(value) for key, value in event.items()}


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line too, tracebacks of libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def setup(level: str = "info", style: str = "", *, stream: Any = None) -> None:
    """Every log line of the product and of its libraries goes to standard error in one form, free of secrets."""
    stream = stream or sys.stderr
    style = style or ("console" if stream.isatty() else "json")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    plain = structlog.dev.plain_traceback  # a prettier one would show local variables
    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
    last: Processor = console if style == "console" else structlog.processors.JSONRenderer()
    finish = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_RedactingFormatter(foreign_pre_chain=shared, processors=finish))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    own = [structlog.stdlib.filter_by_level, *shared[:-1], redact, wrap]
    structlog.configure(
        processors=own,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
