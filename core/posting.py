"""How an alert leaves: as a POST of JSON, or as an e-mail by a thread of its own. One attempt each, with an end."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from core import errors, watching

HOOK, MAIL = "hook", "mail"
PATIENCE = 15.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def channels(conf: watching.Watching) -> tuple[str, ...]:
    """The ways that the settings name."""
    hook = (HOOK,) if conf.alert_webhook_url.get_secret_value() else ()
    mail = (MAIL,) if conf.alert_addresses and conf.smtp_url.get_secret_value() else ()
    return hook + mail


async def send(conf: watching.Watching, service: str, channel: str, body: dict[str, Any]) -> None:
    """Whoever listens there has taken the alert; raises UnreachableError otherwise."""
    if channel == HOOK:
        await _post(conf.alert_webhook_url.get_secret_value(), {"service": service, **body})
        return
    message = _letter(conf, service, body)
    try:
        await asyncio.to_thread(_hand_over, conf.smtp_url.get_secret_value(), message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise errors.UnreachableError(f"SMTP_URL: the mail was not taken ({type(error).__name__}).") from None


async def _post(url: str, body: dict[str, Any]) -> None:
    import aiohttp  # noqa: PLC0415 - takes a moment to import, and most processes never post

    patience = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.post(url, json=body, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # Not its words: they name the address, which is a secret where hooks have no other key.
        raise errors.UnreachableError(f"ALERT_WEBHOOK_URL does not answer ({type(error).__name__}).") from None
    if not 200 <= status < 300:
        raise errors.UnreachableError(f"ALERT_WEBHOOK_URL answers with status {status}.")


def _letter(conf: watching.Watching, service: str, body: dict[str, Any]) -> EmailMessage:
    letter = EmailMessage()
    sender = conf.alert_email_from or conf.alert_addresses[0]
    what = "Alarm" if body["kind"] == "alarm" else "Daily message"
    letter["Subject"] = " ".join(f"{service}: {what} {body['key']}".split())[:150]
    letter["From"], letter["To"] = sender, ", ".join(conf.alert_addresses)
    letter["Message-ID"] = f"<{body['id']}.{body['since'][:19].replace(':', '')}@{sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(f"{body['text']}\n\nSince {body['since']}.\n")
    return letter


def _hand_over(url: str, letter: EmailMessage) -> None:
    parts = urlsplit(url)
    host, safe = parts.hostname or "", ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=PATIENCE, context=safe)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=PATIENCE)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=safe)
            server.ehlo()
        elif parts.scheme == "smtp" and parts.password and host not in _LOCAL:
            raise ValueError("the password would travel unprotected")
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(letter)
