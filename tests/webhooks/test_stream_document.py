"""docs/stream.md says what is: its example runs, its event has the fields of a real one, its block of words is ours."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from core import db, hooks
from core.signals import feed
from tests.webhooks import streaming
from tests.webhooks.streaming import Scene
from webhooks import consumers, destinations, slots
from webhooks.api import stream as door

TEXT = (Path(__file__).parents[2] / "docs" / "stream.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    assert found
    return found[1]


def shape(value: Any) -> Any:
    """The names in a JSON value, whatever stands there."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) else None


@pytest.fixture
async def scene(sqlite_database: db.Database, make_stack: Any, now: datetime) -> AsyncIterator[Scene]:
    async with streaming.open_scene(sqlite_database, make_stack, now) as opened:
        yield opened


async def test_the_example_follows_the_stream(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, key = await scene.payer()
    await scene.publish(1)
    monkeypatch.setenv("SIGNALSTACK_KEY", key)
    code = block("python").replace("https://signals.example", scene.url).replace("asyncio.run(follow(0))", "")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/stream.md", "exec"), names)  # noqa: S102 - it is our own page
    following = asyncio.create_task(names["follow"](0))
    said = ""
    async with asyncio.timeout(10):
        while "opened BTC/USDT" not in said:
            await asyncio.sleep(0.01)
            said += capsys.readouterr().out
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_shown_event_and_block_are_those_of_a_real_signal(scene: Scene) -> None:
    await scene.publish(1)
    await scene.move(1)
    async with scene.stack.db.reading() as session:
        opening, target = (await feed.after(session, 0)).events
    shown = orjson.loads(block("json"))
    assert shape(shown) == shape(target.body)
    assert {name: shown["signal"][name] for name in ("entry", "stop", "targets")} == {
        name: target.body["signal"][name] for name in ("entry", "stop", "targets")
    }
    assert shown["change"] == target.body["change"]
    assert block("text").strip() == opening.text


@pytest.mark.parametrize(
    "sentence",
    [
        f"A key may have {slots.PER_KEY} streams in all processes together",
        f"messages over {door.LARGEST:,} bytes, or more than {door._FRAMES} frames a minute",
        f'"beat": {consumers.BEAT}',
        f"message within {door._FIRST_WORD:.0f} seconds",
        f'["{door.PROTOCOL}", key]',
        f"port {destinations.PORTS[0]} or {destinations.PORTS[1]}",
        f"{'ten' if hooks.TRIES == 10 else hooks.TRIES} times in about a day",
        f"may\nhave {'three' if hooks.MOST == 3 else hooks.MOST}",
    ],
)
def test_figures_on_the_page_are_those_of_the_code(sentence: str) -> None:
    assert " ".join(sentence.split()) in " ".join(TEXT.split())
