"""Slash commands, buttons, menus and forms at the Discord stand-in, answered by the real discord.py."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import discord as dpy
import pytest
from discord import app_commands

from tests.sandbox import discord
from tests.sandbox.test_discord import (
    ANN,
    BOB,
    CARL,
    GENERAL,
    GUILD,
    OWNER,
    SIGNALS,
    client,
    new_world,
    picture,
    redirected,
    running,
    until,
)

Interaction = dpy.Interaction


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> discord.Discord:
    return new_world(now=clock)


@pytest.fixture
async def bot(world: discord.Discord) -> AsyncIterator[dpy.AutoShardedClient]:
    async with redirected(world), running(client()) as bot:
        await tree_of(bot).sync()
        yield bot
    assert world.violations == []


def tree_of(bot: dpy.AutoShardedClient) -> app_commands.CommandTree[Any]:
    """The commands of these tests, answered in every way there is."""
    tree = app_commands.CommandTree(bot)
    signals = app_commands.Group(name="signals", description="Signals")
    tree.add_command(signals)

    @signals.command(name="latest", description="The newest signals")
    async def latest(interaction: Interaction, pair: str, count: app_commands.Range[int, 1, 10] = 3) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.edit_original_response(content=f"{count} of {pair}")
        await interaction.followup.send("more", ephemeral=True)

    @latest.autocomplete("pair")
    async def pairs(_interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=pair, value=pair) for pair in ("BTC", "ETH") if pair.startswith(typed)]

    @tree.command(description="Shows the chart")
    async def chart(interaction: Interaction) -> None:
        await interaction.response.defer()
        embed = dpy.Embed(title="BTC").set_image(url="attachment://chart.png")
        await interaction.followup.send(embed=embed, file=picture())

    @tree.command(description="Shows the chart, then another")
    async def charts(interaction: Interaction) -> None:
        await interaction.response.send_message(file=picture(), ephemeral=True)
        again = picture()
        embed = dpy.Embed(title="ETH").set_image(url=f"attachment://{again.filename}")
        await interaction.edit_original_response(content="done", attachments=[again], embed=embed)

    @tree.command(description="Who is it?")
    @app_commands.guild_only()
    async def who(interaction: Interaction, user: dpy.Member, role: dpy.Role, channel: dpy.TextChannel) -> None:
        await interaction.response.send_message(f"{user.id} {role.id} {channel.id}", ephemeral=True)

    @tree.command(description="A menu")
    async def menu(interaction: Interaction) -> None:
        await interaction.response.send_message("choose", view=_Menu(timeout=None))

    @tree.command(description="Only for who manages the guild")
    @app_commands.default_permissions(manage_guild=True)
    async def admin(interaction: Interaction) -> None:
        await interaction.response.send_message("done", ephemeral=True)

    @tree.command(description="Says nothing in time")
    async def slow(interaction: Interaction) -> None:
        interaction.client.dispatch("slow", interaction)

    return tree


class _Menu(dpy.ui.View):
    @dpy.ui.button(label="More", custom_id="more")
    async def more(self, interaction: Interaction, _button: dpy.ui.Button[Any]) -> None:
        await interaction.response.edit_message(content="more")

    @dpy.ui.button(label="Form", custom_id="form")
    async def form(self, interaction: Interaction, _button: dpy.ui.Button[Any]) -> None:
        await interaction.response.send_modal(_Form())

    @dpy.ui.select(custom_id="pairs", options=[dpy.SelectOption(label=pair) for pair in ("BTC", "ETH")])
    async def pairs(self, interaction: Interaction, select: dpy.ui.Select[Any]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content=select.values[0])


class _Form(dpy.ui.Modal, title="Risk"):
    percent: dpy.ui.TextInput[Any] = dpy.ui.TextInput(label="Percent", custom_id="percent")

    async def on_submit(self, interaction: Interaction) -> None:
        await interaction.response.send_message(f"{self.percent.value} %", ephemeral=True)


async def test_a_deferred_command_is_answered_for_one_person_only(
    world: discord.Discord, bot: dpy.AutoShardedClient, clock: Clock
) -> None:
    asked = await world.slash(ANN, "signals latest", {"pair": "BTC", "count": 5}, guild_id=GUILD)
    message = await asked.answered()
    assert message
    assert (message.text, message.ephemeral, asked.ephemeral) == ("5 of BTC", True, True)
    assert (asked.kind_of_ack, asked.acked_after, asked.response) == (discord.Ack.DEFERRED, 0.0, message)
    await until(lambda: len(world.whispers(ANN)) == 2)
    assert [whisper.text for whisper in world.whispers(ANN)] == ["5 of BTC", "more"]
    assert (world.messages(GENERAL), world.whispers(BOB)) == ([], [])
    event = world.history.of("discord_ephemeral")[0]
    assert (event["user_id"], event["channel_id"], event["guild_id"], event["has_photo"]) == (
        ANN,
        GENERAL,
        GUILD,
        False,
    )
    assert world.history.of("discord_interaction")[0]["acked"] == 0.0


async def test_an_answer_for_everybody_lies_in_the_channel(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    world.role(GUILD, "Member")
    world.channel(GUILD, SIGNALS, "signals")
    asked = await world.slash(ANN, "chart", channel_id=SIGNALS)
    message = await asked.answered()
    assert message
    assert [one.id for one in world.messages(SIGNALS)] == [message.id]
    assert (message.text, message.has_photo, message.ephemeral) == ("BTC", True, False)
    assert [row["channel_id"] for row in world.history.of("discord_message")] == [SIGNALS]


async def test_files_go_with_the_first_answer_and_with_its_edit(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    asked = await world.slash(ANN, "charts", guild_id=GUILD)
    message = await asked.answered()
    assert message
    assert message.has_photo
    await until(lambda: message.content == "done")
    assert (message.text, len(message.files), message.attachments) == ("done\nETH", 1, [])
    assert [row["event"] for row in world.history.events if row.get("message_id") == message.id] == [
        "discord_ephemeral",
        "discord_edit",
    ]


async def test_commands_work_in_the_private_chat(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    asked = await world.slash(CARL, "chart")
    message = await asked.answered()
    assert [one for one in world.dm(CARL) if not one.deleted] == [message]
    [event] = world.history.of("discord_message")
    assert (event["guild_id"], event["user_id"]) == (None, CARL)
    with pytest.raises(ValueError, match="no command /who"):
        await world.slash(CARL, "who")


async def test_users_roles_and_channels_are_written_out(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    role = world.role(GUILD, "Member")
    asked = await world.slash(ANN, "who", {"user": BOB, "role": role.id, "channel": GENERAL}, guild_id=GUILD)
    message = await asked.answered()
    assert message
    assert message.text == f"{BOB} {role.id} {GENERAL}"


async def test_suggestions_come_while_typing(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    typed = await world.autocomplete(ANN, "signals latest", focused="pair", value="BT", guild_id=GUILD)
    await typed.answered()
    assert typed.choices == [{"name": "BTC", "value": "BTC"}]


async def test_what_a_client_does_not_offer_is_not_sent(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("nothing", {}, "no command"),
        ("signals", {}, "names a group"),
        ("signals oldest", {}, "there is no oldest"),
        ("signals latest", {}, "required"),
        ("signals latest", {"pair": "BTC", "count": 11}, "between"),
        ("signals latest", {"pair": "BTC", "what": 1}, "no option"),
        ("admin", {}, "not offered"),
    ]
    for words, options, reason in wrong:
        with pytest.raises(ValueError, match=reason):
            await world.slash(ANN, words, options, guild_id=GUILD)
    assert world.history.of("discord_interaction") == []
    asked = await world.slash(OWNER, "admin", guild_id=GUILD)
    assert await asked.answered()


async def test_buttons_menus_and_forms_are_used(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    message = await (await world.slash(ANN, "menu", guild_id=GUILD)).answered()
    assert message
    pressed = await world.click(BOB, message, "more")
    assert await pressed.answered() is message
    assert (message.text, pressed.kind_of_ack) == ("more", discord.Ack.UPDATE)
    chosen = await world.select(BOB, message, "pairs", ["ETH"])
    assert await chosen.answered() is message
    assert (message.text, chosen.kind_of_ack) == ("ETH", discord.Ack.DEFERRED_UPDATE)
    asked = await world.click(ANN, message, "form")
    await asked.answered()
    sent = await world.submit(ANN, "x" if asked.modal is None else asked.modal["custom_id"], {"percent": "2"})
    answer = await sent.answered()
    assert answer
    assert (answer.text, answer.seen_by) == ("2 %", ANN)
    with pytest.raises(ValueError, match="nothing to use"):
        await world.click(CARL, message, "more")  # is not in the guild
    assert [row["text"] for row in world.history.of("discord_edit")] == ["more", "ETH"]


async def test_d11_an_interaction_lives_three_seconds_and_is_acknowledged_once(
    world: discord.Discord, bot: dpy.AutoShardedClient, clock: Clock
) -> None:
    late: asyncio.Queue[Interaction] = asyncio.Queue()
    bot.event(_named("on_slow", late.put))
    await world.slash(ANN, "slow", guild_id=GUILD)
    interaction = await asyncio.wait_for(late.get(), 5)
    clock.seconds += 3.1
    with pytest.raises(dpy.NotFound, match="10062"):
        await interaction.response.defer(ephemeral=True)
    again = await world.slash(ANN, "slow", guild_id=GUILD)
    interaction = await asyncio.wait_for(late.get(), 5)
    clock.seconds += 2
    await interaction.response.defer(ephemeral=True)
    assert again.acked_after == pytest.approx(2)
    with pytest.raises(dpy.HTTPException, match="40060"):
        await bot.http.request(
            dpy.http.Route("POST", f"/interactions/{again.id}/{again.token}/callback"), json={"type": 5}
        )
    clock.seconds += 15 * 60
    with pytest.raises(dpy.HTTPException, match="50027"):
        await interaction.edit_original_response(content="too late")
    assert again.response is None


def _named(name: str, function: Any) -> Any:
    async def listener(interaction: Interaction) -> None:
        await function(interaction)

    listener.__name__ = name
    return listener


async def test_d14_commands_are_put_and_counted(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    tree = bot._connection._command_tree
    assert tree
    before = {command.name: command.id for command in await tree.fetch_commands()}
    assert {command.name: command.id for command in await tree.sync()} == before
    puts = world.history.of("discord_commands_put")
    assert [(row["guild_id"], row["count"], row["created"]) for row in puts] == [(None, 7, 7), (None, 7, 0)]
    tree.copy_global_to(guild=dpy.Object(GUILD))
    assert len(await tree.sync(guild=dpy.Object(GUILD))) == 7
    route = dpy.http.Route("PUT", f"/applications/{discord.APPLICATION}/commands")
    for round_ in range(2):
        many = [{"name": f"c{round_}-{n}", "description": "x", "type": 1} for n in range(96)]
        await bot.http.request(route, json=many)
    with pytest.raises(dpy.HTTPException, match="30034"):
        await bot.http.request(route, json=[{"name": name, "description": "x", "type": 1} for name in ("one", "more")])
