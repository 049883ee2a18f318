"""What Telegram says about payments is passed on as it came: the bot keeps it for who understands it, and says nothing.

It lies in the inbox under a source of its own, because the bot's updates wait for one another and a question before a
payment must not.
"""

from collections.abc import Mapping
from typing import Any

SOURCE = "telegram-pay"
"""Where the inbox keeps it."""
QUESTION = "pre_checkout_query"
"""The kind of a question that Telegram wants answered within 10 seconds, before it charges."""
_CHAT = "telegram"
_KINDS = (QUESTION, "subscription")
_SERVICE = ("successful_payment", "refunded_payment")


def filed(update: Mapping[str, Any]) -> tuple[str, str]:
    """The source and the kind under which the inbox keeps the update."""
    kind = next((name for name in update if name != "update_id"), "")
    message = update.get("message")
    told = next((name for name in _SERVICE if name in message), "") if isinstance(message, Mapping) else ""
    if kind in _KINDS or told:
        return SOURCE, told or kind
    return _CHAT, kind[:64]
