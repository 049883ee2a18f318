"""Faults of ours, reported to Sentry where the operator has named one; free of secrets and of people.

Only what is logged as an error goes out: its event, the log's own facts as far as they are harmless, and where in our
code it happened. No local variables, no requests, no breadcrumbs, no name of the machine; ids of chats are hashed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog

from core import errors, log

if TYPE_CHECKING:
    from structlog.types import EventDict

    from core import watching

_NUMBERS = re.compile(r"-?\d{5,}")
_HARMLESS = frozenset(
    {"work", "failures", "part", "route", "watch", "market", "exchange", "kind", "source", "platform"}
)
_PATIENCE = 2.0
_SALT = secrets.token_bytes(16)  # so that nobody finds the number that a hash was made of
_on = False


def begin(conf: watching.Watching, role: str) -> None:
    """Errors that are logged from now on are reported; raises ConfigError where that cannot be."""
    global _on  # noqa: PLW0603 - one for each process, as Sentry has it
    dsn = conf.sentry_dsn.get_secret_value()
    if not dsn or _on:
        return
    try:
        import sentry_sdk  # noqa: PLC0415
    except ImportError:
        raise errors.ConfigError("SENTRY_DSN: run pip install 'signalstack[observe]', or leave it empty.") from None
    try:
        sentry_sdk.init(
            dsn=dsn,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            server_name="",
            before_send=_scrubbed,
            shutdown_timeout=_PATIENCE,
        )
    except sentry_sdk.utils.BadDsn:
        raise errors.ConfigError("SENTRY_DSN is not an address as Sentry shows it for a project.") from None
    sentry_sdk.set_tag("role", role)
    _on = True
    first, *others = structlog.get_config()["processors"]
    structlog.configure(processors=[first, _report, *others])


def end() -> None:
    """What was reported has been sent, or could not be within two seconds."""
    global _on  # noqa: PLW0603 - as above
    if _on:
        import sentry_sdk  # noqa: PLC0415

        sentry_sdk.get_client().close(timeout=_PATIENCE)
        structlog.configure(processors=[one for one in structlog.get_config()["processors"] if one is not _report])
        _on = False


def _report(_logger: object, method: str, event: EventDict) -> EventDict:
    """A structlog step: errors are reported, and every event goes on as it was."""
    if method in {"error", "critical", "exception"}:
        import sentry_sdk  # noqa: PLC0415

        told: dict[str, Any] = {
            "level": "error",
            "logger": "signalstack",
            "logentry": {"message": str(event.get("event"))},
            "extra": {key: value for key, value in event.items() if key in _HARMLESS},
        }
        cause = event.get("exc_info")
        found = (type(cause), cause, cause.__traceback__) if isinstance(cause, BaseException) else sys.exc_info()
        if cause and found[1] is not None:
            told["exception"] = {
                "values": sentry_sdk.utils.exceptions_from_error_tuple(found, sentry_sdk.get_client().options)
            }
        sentry_sdk.capture_event(cast("Any", told))
    return event


def _scrubbed(event: Any, _hint: object) -> Any:
    for key in ("user", "request", "breadcrumbs", "modules", "server_name"):
        event.pop(key, None)
    return _clean(event)


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(item) if key not in _KEPT else item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return _NUMBERS.sub(_hashed, log.redacted(value)) if isinstance(value, str) else value


_KEPT = frozenset({"event_id", "timestamp", "trace_id", "span_id", "contexts", "sdk"})


def _hashed(number: re.Match[str]) -> str:
    return "#" + hashlib.sha256(_SALT + number.group().encode()).hexdigest()[:8]
