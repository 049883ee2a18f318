"""What `/drift` says of the passes through what payment providers list."""

from datetime import UTC, datetime
from typing import Any

from bot.messages import operators, text
from core import models

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def said(message: text.Message) -> str:
    return "\n".join("".join(span.text for span in line) for line in message.lines)


def one(held: int = 0, **figures: Any) -> models.Round:
    facts = {"subscriptions": {"listed": 120, "read": 3, "changed": 2, **figures}, "events": {"until": 1}}
    return models.Round(platform="stripe", at=NOW, facts=facts, held=held, released_by="")


def test_pass_is_told_in_words_and_its_mark_is_not() -> None:
    told = said(operators.drift([one(gone=1)], {}))
    assert "Stripe, round of" in told
    assert "listed there 120, put right 2, unknown there 1" in told
    assert "events" not in told
    assert "nothing to do" not in told


def test_ends_that_are_held_back_can_be_released() -> None:
    message = operators.drift([one(held=7)], {})
    assert next(button.data for row in message.buttons for button in row) == "/drift release"
