"""Signed links: an address that proves for whom it was made, for what, and until when, and holds no secret."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import itsdangerous

from core import errors, settings

CHECKOUT, PORTAL, CHANGE, SEATS, GIFT = "checkout", "portal", "change", "seats", "gift"
_DAY, _HOUR = timedelta(hours=24), timedelta(hours=1)
_LIFE = {CHECKOUT: _DAY, PORTAL: _HOUR, CHANGE: _HOUR, SEATS: _HOUR, GIFT: _DAY}
_AGAIN = {CHECKOUT: "/subscribe", PORTAL: "/billing", CHANGE: "/billing", SEATS: "/seats", GIFT: "/gift"}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a link says: for which member, and for which plan (empty on portal links)."""

    member_id: int
    plan: str


class _Signer(itsdangerous.TimestampSigner):
    """Stamps and judges by the time it is given; without one by the clock of this machine."""

    def __init__(self, *args: Any, moment: datetime | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moment = moment

    def get_timestamp(self) -> int:
        return super().get_timestamp() if self._moment is None else int(self._moment.timestamp())


def url(
    conf: settings.Settings, purpose: str, member_id: int, plan_key: str = "", *, now: datetime | None = None
) -> str:
    """The page of this purpose for this member, /{purpose}/{token}; it works as long as links of its purpose do."""
    return f"{conf.public_url}/{purpose}/{_token(conf, purpose, member_id, plan_key, now)}"


def checkout_url(conf: settings.Settings, member_id: int, plan_key: str, *, now: datetime | None = None) -> str:
    """The page on which this member can subscribe to this plan; valid for 24 hours."""
    return url(conf, CHECKOUT, member_id, plan_key, now=now)


def portal_url(conf: settings.Settings, member_id: int, *, now: datetime | None = None) -> str:
    """The page from which this member reaches invoices, card and cancellation; valid for 1 hour."""
    return url(conf, PORTAL, member_id, now=now)


def read(conf: settings.Settings, purpose: str, token: str, *, now: datetime | None = None) -> Ticket:
    """What the link says; raises RefusedError when it is too old, forged, or made for another purpose."""
    again = f"Send {_AGAIN[purpose]} to the bot to get a new one."
    try:
        member_id, plan = _serializer(conf, purpose, now).loads(token, max_age=int(_LIFE[purpose].total_seconds()))
    except itsdangerous.SignatureExpired:
        raise errors.RefusedError(f"This link is too old. {again}") from None
    except (itsdangerous.BadData, ValueError, TypeError):
        raise errors.RefusedError(f"This link is not valid; perhaps a part of it is missing. {again}") from None
    return Ticket(member_id, plan)


def signed(conf: settings.Settings, purpose: str, facts: Any, *, now: datetime) -> str:
    """These facts (JSON values) as a word for an address, which only we can have written."""
    word = _serializer(conf, purpose, now).dumps(facts)
    return word.decode() if isinstance(word, bytes) else word


def unsigned(conf: settings.Settings, purpose: str, word: str, *, life: timedelta, now: datetime) -> Any:
    """The facts in a word that `signed` wrote for this purpose; raises itsdangerous.BadData otherwise or when old."""
    return _serializer(conf, purpose, now).loads(word, max_age=int(life.total_seconds()))


def telegram_secret(conf: settings.Settings) -> str:
    """The token by which Telegram proves that a webhook call is its own: 43 of the characters A-Z a-z 0-9 _ -."""
    key = conf.secret_key.get_secret_value().encode()
    digest = hmac.digest(key, b"signalstack telegram webhook", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _token(conf: settings.Settings, purpose: str, member_id: int, plan: str, now: datetime | None) -> str:
    token = _serializer(conf, purpose, now).dumps([member_id, plan])
    return token.decode() if isinstance(token, bytes) else token


def _serializer(conf: settings.Settings, purpose: str, now: datetime | None) -> itsdangerous.URLSafeTimedSerializer:
    # The purpose is the salt, so a portal link never opens a checkout and the other way round.
    return itsdangerous.URLSafeTimedSerializer(
        conf.secret_key.get_secret_value(),
        salt=f"signalstack {purpose} link",
        signer=_Signer,
        signer_kwargs={"moment": now, "key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
