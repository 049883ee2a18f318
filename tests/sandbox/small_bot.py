"""A small bot on the Discord stand-in, made with the real client, for tests of what stands around a bot."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import discord as dpy
import pytest
import yarl
from discord import app_commands
from PIL import Image

from tests.sandbox import discord

PAIRS = ("BTC/USDT", "ETH/USDT")


class Bot(dpy.Client):
    """It knows /help, /slow, /silent, /signals latest and two of its own buttons."""

    def __init__(self) -> None:
        super().__init__(intents=dpy.Intents(guilds=True), guild_ready_timeout=0.05)
        self.tree = app_commands.CommandTree(self)
        group = app_commands.Group(name="signals", description="Signals and how they ended")
        group.command(name="latest", description="the latest signals")(_latest)
        for command in (group, _help, _slow, _silent):
            self.tree.add_command(command)

    async def before_identify_hook(self, _shard_id: int | None, *, initial: bool = False) -> None:
        """The client would wait five seconds before it identifies again."""

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def on_interaction(self, one: dpy.Interaction) -> None:
        if one.type is not dpy.InteractionType.component or one.data is None:
            return
        if one.data.get("custom_id") == "more":
            await one.response.edit_message(content="There is more", view=None)
        else:
            await one.response.send_message(f"You chose {one.data.get('values')}", ephemeral=True)

    async def post(self, channel_id: int, words: str, *, picture: bool = False, reply_to: int | None = None) -> int:
        """A message in the channel, as an embed; its id."""
        channel = self.get_partial_messageable(channel_id)
        title, _, rest = words.partition("\n")
        embed = dpy.Embed(title=title, description=rest, colour=0x2E9E5B).add_field(
            name="Pair", value="BTC", inline=True
        )
        embed.set_footer(text="Not advice")
        more: dict[str, object] = {}
        if picture:
            embed.set_image(url="attachment://chart.png")
            more["file"] = dpy.File(io.BytesIO(image()), "chart.png", description="BTC")
        if reply_to:
            more["reference"] = dpy.MessageReference(message_id=reply_to, channel_id=channel_id)
        return (await channel.send(embed=embed, **more)).id  # type: ignore[call-overload,no-any-return]


@app_commands.command(name="help", description="what you can ask")
async def _help(one: dpy.Interaction) -> None:
    view = dpy.ui.View()
    view.add_item(dpy.ui.Button(label="More", custom_id="more"))
    view.add_item(dpy.ui.Button(label="Site", url="https://example.com/"))
    options = [dpy.SelectOption(label=pair) for pair in PAIRS]
    view.add_item(dpy.ui.Select(custom_id="pick", placeholder="Choose one", options=options))
    await one.response.send_message("**Help** for you", view=view, ephemeral=True)


@app_commands.command(name="slow", description="thinks first")
async def _slow(one: dpy.Interaction) -> None:
    await one.response.defer(ephemeral=True, thinking=True)
    await asyncio.sleep(0.3)
    await one.edit_original_response(content="At last")


@app_commands.command(name="silent", description="never answers")
async def _silent(one: dpy.Interaction) -> None:
    await asyncio.sleep(60)


async def _suggested(_one: dpy.Interaction, typed: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=pair, value=pair) for pair in PAIRS if typed.upper() in pair]


@app_commands.autocomplete(pair=_suggested)
@app_commands.describe(pair="one of the watched")
async def _latest(one: dpy.Interaction, pair: str = "") -> None:
    await one.response.send_message(f"Latest signals {pair}".strip(), ephemeral=True)


def image() -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", (100, 60), "navy").save(out, "PNG")
    return out.getvalue()


@asynccontextmanager
async def running(url: str, token: str = discord.TOKEN) -> AsyncIterator[Bot]:
    """The bot is ready, on the stand-in at this address, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dpy.http.Route, "BASE", f"{url}/api/v10")
        gateway = yarl.URL(f"{url.replace('http', 'ws')}/gateway")
        patch.setattr(dpy.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
        bot = Bot()
        task = asyncio.create_task(bot.start(token))
        try:
            async with asyncio.timeout(10):
                while not bot.is_ready():
                    assert not task.done(), task
                    await asyncio.sleep(0.01)
            yield bot
        finally:
            await bot.close()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
