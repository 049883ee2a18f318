"""How accounts, chats and places are called."""

from collections.abc import Mapping
from typing import Any

from core import models

_PLATFORMS = {"telegram": "Telegram", "discord": "Discord"}


def platform(key: str) -> str:
    """The chat as people call it."""
    return _PLATFORMS.get(key, key.capitalize())


def account(who: models.Identity) -> str:
    """The account with its names and its chat: Ann (@ann) on Telegram."""
    return described(facts(who))


def described(facts: Mapping[str, Any]) -> str:
    """The same from the facts of a notice: platform, name, username."""
    name = str(facts.get("name") or "an account without a name")
    at = f" (@{facts['username']})" if facts.get("username") else ""
    return f"{name}{at} on {platform(str(facts.get('platform', '')))}"


def facts(who: models.Identity) -> dict[str, str]:
    """What a notice says of an account."""
    return {"platform": who.platform, "name": who.name, "username": who.username or ""}


def numbered(who: models.Identity) -> str:
    """The account as an operator needs it: Ann (@ann) telegram:7."""
    at = f" (@{who.username})" if who.username else ""
    return f"{who.name or 'unnamed'}{at} {reference(who)}"


def reference(who: models.Identity) -> str:
    """What an operator writes to mean this account."""
    return f"{who.platform}:{who.external_id}"
