"""The members' API at its door: whose key it is, how often it knocks, and what a program is told."""

from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from core import keys, models
from tests.webhooks.conftest import World
from webhooks.api import answering

RUN = "/api/v1/backtest/run"
QUESTION = {"symbol": "BTC/USDT"}


async def made_key(world: World, member_id: int) -> str:
    async with world.stack.db.transaction() as session:
        return await keys.make(session, member_id, "laptop", now=world.now)


async def asked(world: World, key: str = "", *, body: Any = QUESTION, path: str = RUN) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with world.http.post(f"{world.url}{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def looked(world: World, key: str, path: str) -> tuple[int, dict[str, Any]]:
    async with world.http.get(f"{world.url}{path}", headers={"Authorization": f"Bearer {key}"}) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("key", ["", "nonsense", "sst_abcdefghij_" + "x" * 43])
async def test_without_a_key_that_is_known_one_is_told_how_to_get_one(world: World, key: str) -> None:
    status, said = await asked(world, key)
    assert status == 401
    assert "/apikey" in said["error"]["message"]


async def test_a_member_without_a_subscription_is_told_to_subscribe(world: World) -> None:
    status, said = await asked(world, await made_key(world, await world.member()))
    assert (status, said["error"]["code"]) == (403, "subscription_needed")
    assert "/subscribe" in said["error"]["message"]


async def test_a_revoked_key_opens_nothing(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    key = await made_key(world, anna)
    assert (await asked(world, key))[0] == 202
    async with world.stack.db.transaction() as session:
        assert await keys.revoke(session, anna, keys.prefix(key), now=world.now)
    assert (await asked(world, key))[0] == 401


async def test_wrong_secrets_for_one_prefix_are_slowed_for_all(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    key = await made_key(world, anna)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    statuses = [(await asked(world, wrong))[0] for _ in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[10:] == [429] * 2


async def test_a_key_is_kept_as_a_hash_and_its_use_is_noted(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    key = await made_key(world, anna)
    await asked(world, key)
    async with world.stack.db.reading() as session:
        row = (await session.scalars(select(models.ApiKey))).one()
    assert key.rpartition("_")[2] not in str(vars(row))
    assert row.last_used_at == world.now


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"symbol": "DOGE/USDT"}, "no market"),
        ({"symbol": "BTC/USDT", "strategy": "hope"}, "known are"),
        ({"symbol": "BTC/USDT", "timeframe": "7h"}, "is watched at"),
        ({"symbol": "BTC/USDT", "leverage": 10}, "leverage"),
        ({}, "symbol"),
        ([], "body"),
    ],
)
async def test_what_cannot_be_tried_is_said_in_a_sentence(world: World, body: Any, told: str) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    status, said = await asked(world, await made_key(world, anna), body=body)
    assert status == (404 if told in {"no market", "known are", "is watched at"} else 422)
    assert told in said["error"]["message"]


async def test_a_body_is_json_and_not_too_large(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    headers = {"Authorization": f"Bearer {await made_key(world, anna)}"}
    async with world.http.post(f"{world.url}{RUN}", data=b"symbol=BTC", headers=headers) as answer:
        assert answer.status == 415
    large = aiohttp.BytesPayload(b" " * (answering.BODY_LIMIT + 1), content_type="application/json")
    async with world.http.post(f"{world.url}{RUN}", data=large, headers=headers) as answer:
        assert answer.status == 413


async def test_a_backtest_is_a_job_that_only_its_owner_sees(world: World) -> None:
    anna, ben = await world.member(), await world.member("Ben")
    for one in (anna, ben):
        await world.subscribe(one)
    mine, theirs = await made_key(world, anna), await made_key(world, ben)
    status, job = await asked(world, mine)
    assert (status, job["state"]) == (202, "pending")
    assert (await asked(world, mine))[1]["id"] == job["id"]
    path = f"/api/v1/backtest/{job['id']}"
    assert await looked(world, mine, path) == (200, job)
    assert (await looked(world, theirs, path))[0] == 404
    assert (await looked(world, mine, "/api/v1/backtest/x"))[0] == 422


async def test_answers_say_how_much_is_left(world: World) -> None:
    anna = await world.member()
    await world.subscribe(anna)
    headers = {"Authorization": f"Bearer {await made_key(world, anna)}"}
    left = []
    for _ in range(2):
        async with world.http.get(f"{world.url}/api/v1/backtest/1", headers=headers) as answer:
            left.append(answer.status)
    assert left == [404, 404]
    async with world.http.post(f"{world.url}{RUN}", json=QUESTION, headers=headers) as answer:
        assert answer.headers["RateLimit-Limit"] == "30"
        assert answer.headers["RateLimit-Remaining"] == "29"


async def test_a_member_has_no_more_than_five_keys(world: World) -> None:
    anna = await world.member()
    for _ in range(keys.MOST):
        await made_key(world, anna)
    with pytest.raises(Exception, match="revoke one"):
        await made_key(world, anna)
