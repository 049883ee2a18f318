"""What the stand-in answers, and what is asked of it, held against Discord's published description."""

from typing import Any

import discord as dpy
import pytest

from tests.sandbox import discord, discord_routes, discord_spec
from tests.sandbox.test_discord import GENERAL, client, new_world, redirected, running, text_channel

pytestmark = pytest.mark.skipif(
    not discord_spec.present(), reason="Discord's published description is not on this machine"
)

MESSAGES = f"/channels/{GENERAL}/messages"
WRONG: list[tuple[str, str, Any, str]] = [
    ("POST", MESSAGES, {"content": 5}, "is not of type 'string'"),
    ("POST", MESSAGES, {"content": "x" * 4001}, "is too long"),
    ("POST", MESSAGES, {"nonce": "n" * 26}, ""),
    ("POST", MESSAGES, {"embeds": [{"title": "x" * 257}]}, "is too long"),
    ("POST", MESSAGES, {"embeds": [{"color": "red"}]}, ""),
    ("POST", MESSAGES, None, "a body is described"),
    ("POST", "/users/@me/channels", {"recipient_id": "ann"}, "does not match"),
    ("PUT", "/guilds/1/members/2/roles/3", {"x": 1}, "no body is described"),
    ("PUT", "/applications/1/commands", [{"description": "x"}], "'name' is a required property"),
    ("POST", "/interactions/1/t/callback", {"type": 99}, ""),
    ("GET", "/nothing", None, "not described"),
]


@pytest.mark.parametrize(("method", "path", "body", "reason"), WRONG)
def test_a_wrong_request_is_found(method: str, path: str, body: Any, reason: str) -> None:
    found = discord_spec.problems(method, path, body)
    assert found
    assert reason in found[0]


def test_a_right_request_has_no_problem() -> None:
    for user in (1, "1"):  # discord.py sends ids as numbers, Discord takes both
        assert discord_spec.problems("POST", "/users/@me/channels", {"recipient_id": user}) == []
    assert discord_spec.problems("POST", MESSAGES, {"content": "x", "nonce": "n" * 25}) == []
    assert discord_spec.problems("PUT", "/guilds/1/members/2/roles/3", None) == []


def test_a_wrong_answer_is_found() -> None:
    assert discord_spec.problems("GET", "/gateway", {"url": 5}, answer=True)
    assert discord_spec.problems("GET", "/gateway", {"url": "ws://127.0.0.1/"}, answer=True) == []
    [problem] = discord_spec.problems("POST", f"/channels/{GENERAL}/threads", {}, answer=True, status=202)
    assert "answered 202: not described" in problem
    refusal = {"message": "Unknown Channel", "code": 10003}
    assert discord_spec.problems("GET", MESSAGES, refusal, answer=True, status=404) == []
    assert discord_spec.problems("GET", MESSAGES, {"message": "Unknown"}, answer=True, status=404)


def test_every_route_of_the_stand_in_is_described() -> None:
    for route in discord_routes.ROUTES:
        path = route.path.format_map(_Ones())
        assert "not described" not in "".join(discord_spec.problems(route.method, path, None)), route.path


class _Ones(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "1"


async def test_violations_are_kept_by_the_server() -> None:
    world = new_world()
    async with redirected(world), running(client()) as bot:
        assert world.violations == []
        route = dpy.http.Route("POST", f"/channels/{GENERAL}/messages")
        await bot.http.request(route, json={"content": "x", "tts": "yes"})
    [violation] = world.violations
    assert violation.startswith("POST /channels/{channel_id}/messages asked: $.tts")


async def test_the_check_can_be_switched_off() -> None:
    world = new_world(strict=False)
    async with redirected(world), running(client()) as bot:
        await text_channel(bot).send("x", nonce="n")
        await bot.http.request(
            dpy.http.Route("POST", f"/channels/{GENERAL}/messages"), json={"content": "x", "tts": "y"}
        )
    assert world.violations == []
    assert isinstance(world, discord.Discord)
