"""What Telegram says about payments is passed on as it came: the bot keeps it for who understands it, and says nothing.

It lies in the inbox under sources of its own: the bot's updates wait for one another, and a question before a payment,
which Telegram wants answered within 10 seconds, must wait for nothing.
"""

from collections.abc import Mapping
from typing import Any

PAID, ASKED = "telegram-pay", "telegram-ask"
"""Where the inbox keeps what has happened, and the questions."""
_CHAT = "telegram"
_SOURCES = {"pre_checkout_query": ASKED, "subscription": PAID}
_SERVICE = ("successful_payment", "refunded_payment")


def filed(update: Mapping[str, Any]) -> tuple[str, str]:
    """The source and the kind under which the inbox keeps the update."""
    kind = next((name for name in update if name != "update_id"), "")
    message = update.get("message")
    told = next((name for name in _SERVICE if name in message), "") if isinstance(message, Mapping) else ""
    return (PAID, told) if told else (_SOURCES.get(kind, _CHAT), kind[:64])
