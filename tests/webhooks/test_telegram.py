"""Telegram's webhook: kept before it is acknowledged, and only from Telegram."""

from typing import Any

import pytest

from core.billing import links, passed
from tests.webhooks.conftest import World
from webhooks import telegram

TOKEN = "123456789:AAcanary_canary_canary"


@pytest.fixture
async def hooked(worlds: Any) -> World:
    world: World = await worlds(telegram_bot_token=TOKEN, telegram_mode="webhook")
    return world


async def post(world: World, body: bytes, secret: str | None = None) -> int:
    given = links.telegram_secret(world.stack.settings) if secret is None else secret
    headers = {telegram.HEADER: given} if given else {}
    async with world.http.post(f"{world.url}/webhooks/telegram", data=body, headers=headers) as answer:
        return answer.status


async def test_update_is_kept_once_and_the_bot_is_woken(hooked: World) -> None:
    body = b'{"update_id": 77, "message": {"text": "/start"}}'
    assert await post(hooked, body) == 200
    assert await post(hooked, body) == 200
    (row,) = await hooked.inbox()
    assert (row.source, row.event_id, row.kind, row.body) == ("telegram", "77", "message", body)
    assert await hooked.stack.bell.wait("inbox:telegram", 0.1)


@pytest.mark.parametrize("secret", ["", "wrong", "ümlaut"])
async def test_who_does_not_know_the_secret_is_turned_away(hooked: World, secret: str) -> None:
    assert await post(hooked, b'{"update_id": 1}', secret) == 403
    assert await hooked.inbox() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"update_id": "x"}', b'{"message": {}}', b"\xff"])
async def test_what_is_no_update_is_refused(hooked: World, body: bytes) -> None:
    assert await post(hooked, body) == 400
    assert await hooked.inbox() == []


async def test_update_without_content_is_kept_under_no_kind(hooked: World) -> None:
    assert await post(hooked, b'{"update_id": 5}') == 200
    assert [row.kind for row in await hooked.inbox()] == [""]


async def test_in_polling_mode_there_is_no_door(worlds: Any) -> None:
    world = await worlds(telegram_bot_token=TOKEN)
    assert await post(world, b'{"update_id": 1}') == 404


async def test_what_concerns_payments_is_kept_for_who_understands_it(hooked: World) -> None:
    body = b'{"update_id": 78, "message": {"successful_payment": {}}}'
    assert await post(hooked, body) == 200
    (row,) = await hooked.inbox()
    assert (row.source, row.event_id, row.kind, row.body) == (passed.PAID, "78", "successful_payment", body)
    assert await hooked.stack.bell.wait(f"inbox:{passed.PAID}", 0.1)
