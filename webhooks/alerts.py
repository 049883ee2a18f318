"""What an alert from outside says, in the words that TradingView's users write, as an order."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from core import errors
from core.signals import orders

SECRET = "secret"  # noqa: S105 - the name of the field
_CALLED = {
    "symbol": ("ticker", "symbol", "pair"),
    "direction": ("action", "direction", "side"),
    "entry": ("price", "entry"),
    "stop": ("sl", "stop", "stop_loss"),
    "targets": ("targets", "tp", "take_profit"),
    "expires_after": ("expires", "expires_after"),
    "reason": ("reason", "comment", "message"),
    "ref": ("ref", "id", "order_id"),
    "at": ("at", "time", "timenow", "timestamp"),
}
_FIELDS = {name: field for field, names in _CALLED.items() for name in names}
_AIMS = tuple(f"tp{number}" for number in range(1, 10))
_SECRETIVE = 24
_LATEST = 4_000_000_000  # seconds; whatever is more are milliseconds


def loaded(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in this body; None when there is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def order(alert: Mapping[str, Any]) -> tuple[orders.Order, datetime | None]:
    """The order and when it was given, None where nothing is said of that; raises RefusedError with one sentence."""
    said: dict[str, Any] = {}
    # A chart leaves empty what it does not know.
    for name, value in ((name, value) for name, value in alert.items() if value not in (None, "") and name != SECRET):
        field = _FIELDS.get(name, "targets" if name in _AIMS else "")
        if not field:
            # A longer name is perhaps a secret at the wrong place.
            raise errors.RefusedError(
                f"The field {name if len(name) < _SECRETIVE else 'with a long name'} is not known."
            )
        if field in said and field != "targets":
            raise errors.RefusedError(f"{name}: that was said before in another word.")
        said[field] = value
    aims = [alert[name] for name in _AIMS if alert.get(name) not in (None, "")]
    if sum(alert.get(name) not in (None, "") for name in _CALLED["targets"]) + bool(aims) > 1:
        raise errors.RefusedError("targets: give tp or tp1, tp2 and so on or targets, one of these alone.")
    at = moment(said.pop("at")) if "at" in said else None
    given = aims or said.get("targets", [])
    said["targets"] = [_aim(one) for one in (given if isinstance(given, list) else [given])[:10]]
    return orders.read(said), at


def _aim(said: object) -> object:
    return said if isinstance(said, dict) else {"price": said}


def moment(said: object) -> datetime:
    """The moment in RFC 3339, or in seconds or milliseconds since 1970; raises RefusedError for anything else."""
    try:
        if isinstance(said, str) and not said.strip().replace(".", "", 1).isdecimal():
            at = datetime.fromisoformat(said.strip()[:40])
        else:
            seconds = float(said.strip()[:20] if isinstance(said, str) else _number(said))
            at = datetime.fromtimestamp(seconds / (1000 if seconds > _LATEST else 1), UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        at = None
    if at is None or at.tzinfo is None:
        raise errors.RefusedError("at: write the time as in 2026-01-15T12:00:00Z, or in seconds since 1970.")
    return at.astimezone(UTC)


def _number(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise TypeError
    return float(said)
