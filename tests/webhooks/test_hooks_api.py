"""Hooks over the API: made, listed, paused, resumed, tried, given a new secret, deleted; each by its owner alone."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from core import db
from tests.webhooks import streaming
from tests.webhooks.streaming import Scene
from tests.webhooks.test_hooks import made, tell, tool

URL = "https://tools.example.com/in"


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    here = {"hooks_anywhere": True, "public_url": "http://localhost:8080"}
    async with streaming.open_scene(sqlite_database, make_stack, now, **here) as opened:
        yield opened


async def test_a_hook_is_shown_without_its_secret_but_once(scene: Scene) -> None:
    _, key = await scene.payer()
    status, first = await scene.call(key, "POST", "/hooks", {"url": URL})
    assert (status, first["state"], first["form"], first["cursor"]) == (201, "active", "json", 0)
    _, listed = await scene.call(key, "GET", "/hooks")
    assert listed == {"hooks": [{name: value for name, value in first.items() if name != "secret"}], "most": 3}
    _, again = await scene.call(key, "POST", "/hooks/1/rotate")
    assert again["secret"] not in {first["secret"], ""}


async def test_a_member_has_three(scene: Scene) -> None:
    _, key = await scene.payer()
    answers = [await scene.call(key, "POST", "/hooks", {"url": URL}) for _ in range(4)]
    assert [status for status, _ in answers] == [201, 201, 201, 409]
    assert answers[-1][1]["error"]["message"] == "You have 3 hooks already; delete one of them first."
    assert (await scene.call(key, "DELETE", "/hooks/2")) == (200, {"deleted": 2})
    assert (await scene.call(key, "POST", "/hooks", {"url": URL}))[0] == 201


@pytest.mark.parametrize("body", [{}, {"url": ""}, {"url": URL, "form": "xml"}, {"url": URL, "member": 1}, {"url": 7}])
async def test_what_cannot_be_meant_is_refused(scene: Scene, body: Any) -> None:
    _, key = await scene.payer()
    assert (await scene.call(key, "POST", "/hooks", body))[0] == 422


async def test_nobody_reaches_the_hooks_of_another(scene: Scene) -> None:
    _, key = await scene.payer()
    await scene.call(key, "POST", "/hooks", {"url": URL})
    _, other = await scene.payer()
    for method, path in (
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/rotate"),
        ("POST", "/test"),
        ("POST", "/resume"),
    ):
        status, _ = await scene.call(other, method, f"/hooks/1{path}", {} if path == "/resume" else None)
        assert status == 404, path
    assert (await scene.call(other, "GET", "/hooks"))[1]["hooks"] == []
    assert len((await scene.call(key, "GET", "/hooks"))[1]["hooks"]) == 1


async def test_who_no_longer_pays_can_still_tidy_up(scene: Scene) -> None:
    member, key = await scene.payer()
    await scene.call(key, "POST", "/hooks", {"url": URL})
    await scene.lapse(member)
    assert (await scene.call(key, "POST", "/hooks", {"url": URL}))[0] == 403
    assert (await scene.call(key, "POST", "/hooks/1/pause"))[1]["state"] == "paused"
    assert (await scene.call(key, "DELETE", "/hooks/1"))[0] == 200


async def test_a_paused_hook_waits_and_then_goes_on_or_skips(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        await made(scene, there, key)
        for numbers, body in (((1, 2), {"skip": True}), ((3, 4), {})):
            await scene.call(key, "POST", "/hooks/1/pause")
            await scene.publish(*numbers)
            await tell(scene)
            assert there.told == []
            assert (await scene.call(key, "POST", "/hooks/1/resume", body))[1]["state"] == "active"
        await tell(scene)
        assert there.ids == [3, 4]


async def test_a_test_event_says_what_became_of_it(scene: Scene) -> None:
    async with tool() as there:
        _, key = await scene.payer()
        await made(scene, there, key)
        assert await scene.call(key, "POST", "/hooks/1/test") == (
            200,
            {"taken": True, "said": "It answered with 200."},
        )
        there.answers = [404]
        assert (await scene.call(key, "POST", "/hooks/1/test"))[1] == {"taken": False, "said": "It answered with 404."}
        assert there.ids == [0, 0]
    assert (await scene.call(key, "POST", "/hooks/1/test"))[1]["said"] == "It could not be reached."


async def test_where_the_site_is_public_only_public_addresses_will_do(
    sqlite_database: db.Database, make_stack: Any, now: datetime
) -> None:
    here = {"hooks_anywhere": True, "public_url": "https://signals.example"}
    async with streaming.open_scene(sqlite_database, make_stack, now, **here) as scene:
        _, key = await scene.payer()
        for url in ("http://tools.example.com/", "https://127.0.0.1/", "https://localhost/"):
            status, body = await scene.call(key, "POST", "/hooks", {"url": url})
            assert (status, body["error"]["message"][:5]) == (409, "url: ")
        assert (await scene.call(key, "POST", "/hooks", {"url": URL}))[0] == 201
