"""The Discord stand-in as the real discord.py sees it: guilds, messages, roles, members, threads."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import discord as dpy
import pytest
import yarl
from PIL import Image

from tests.sandbox import discord, history, server
from tests.sandbox import discord_permissions as may

OWNER, ANN, BOB, CARL = 7000, 7001, 7002, 7003
GUILD, GENERAL, SIGNALS = 9001, 9101, 9102


async def until(holds: Callable[[], Any], within: float = 5.0) -> Any:
    """The first true value of `holds`."""
    async with asyncio.timeout(within):
        while not (value := holds()):  # noqa: ASYNC110  what is waited for has no event of its own
            await asyncio.sleep(0.005)
    return value


def new_world(limits: discord.Limits | None = None, **options: Any) -> discord.Discord:
    world = discord.Discord(history.History(), limits=limits or discord.Limits.off(), **options)
    for user_id, name in ((OWNER, "Olga"), (ANN, "Ann"), (BOB, "Bob"), (CARL, "Carl Jung")):
        world.user(user_id, name)
    world.guild(GUILD, "Signals", owner=OWNER, members=[ANN, BOB])
    world.channel(GUILD, GENERAL, "general")
    return world


@asynccontextmanager
async def redirected(world: discord.Discord) -> AsyncIterator[str]:
    """discord.py talks to the stand-in until the block ends; yields its address."""
    async with server.serving(world.app) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dpy.http.Route, "BASE", f"{url}/api/v10")
            gateway = yarl.URL(f"{url.replace('http', 'ws')}/gateway")
            patch.setattr(dpy.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
            yield url


class Client(dpy.AutoShardedClient):
    async def before_identify_hook(self, _shard_id: int | None, *, initial: bool = False) -> None:
        """discord.py would wait five seconds before it identifies again."""


def client(*, members: bool = True, **options: Any) -> dpy.AutoShardedClient:
    """A bot that is not logged in."""
    intents = dpy.Intents(guilds=True, members=members)
    return Client(intents=intents, guild_ready_timeout=0.05, **options)


@asynccontextmanager
async def running(bot: dpy.AutoShardedClient, token: str = discord.TOKEN) -> AsyncIterator[dpy.AutoShardedClient]:
    """The bot is connected and ready until the block ends."""
    task = asyncio.create_task(bot.start(token))
    ready = asyncio.create_task(until(bot.is_ready, 10))
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        assert bot.is_ready()
        yield bot
    finally:
        await bot.close()
        ready.cancel()
        await asyncio.gather(task, ready, return_exceptions=True)


@pytest.fixture
def world() -> discord.Discord:
    return new_world()


@pytest.fixture
async def url(world: discord.Discord) -> AsyncIterator[str]:
    async with redirected(world) as url:
        yield url


@pytest.fixture
async def bot(world: discord.Discord, url: str) -> AsyncIterator[dpy.AutoShardedClient]:
    async with running(client()) as bot:
        yield bot
    assert world.violations == []


def text_channel(bot: dpy.Client, channel_id: int = GENERAL) -> dpy.TextChannel:
    channel = bot.get_channel(channel_id)
    assert isinstance(channel, dpy.TextChannel)
    return channel


def picture() -> dpy.File:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(out, "PNG")
    out.seek(0)
    return dpy.File(out, "chart.png", description="BTC")


async def test_a_bot_connects_and_knows_its_guilds(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    [guild] = bot.guilds
    assert (guild.id, guild.name, guild.owner_id, guild.member_count) == (GUILD, "Signals", OWNER, 4)
    assert {member.id for member in guild.members} == {OWNER, ANN, BOB, discord.APPLICATION}
    assert (guild.me.id, bot.application_id) == (discord.APPLICATION, discord.APPLICATION)
    assert [(role.name, role.position, role.managed) for role in guild.roles] == [
        ("@everyone", 0, False),
        ("SignalStack", 1, True),
    ]
    assert guild.me.guild_permissions.manage_roles
    assert [channel.name for channel in guild.text_channels] == ["general"]
    assert (world.gateway.identifies, world.gateway.connections, len(world.gateway.live)) == (1, 1, 1)
    assert (await bot.application_info()).owner.id == OWNER
    assert [guild.id async for guild in bot.fetch_guilds(with_counts=False)] == [GUILD]
    fetched = await bot.fetch_guild(GUILD)
    assert (fetched.id, fetched.approximate_member_count) == (GUILD, 4)


async def test_a_message_with_file_embed_and_button_arrives_whole(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    embed = dpy.Embed(title="Long BTC/USDT", description="#1", colour=0x22AA66, timestamp=dpy.utils.utcnow())
    embed.add_field(name="Entry", value="100").set_footer(text="not advice").set_image(url="attachment://chart.png")
    view = dpy.ui.View(timeout=None)
    view.add_item(dpy.ui.Button(label="Fee", custom_id="fee"))
    view.add_item(dpy.ui.Button(label="Site", url="http://127.0.0.1:8080/"))
    sent = await text_channel(bot).send(f"hello <@{ANN}>", embed=embed, file=picture(), view=view)
    [message] = world.messages(GENERAL)
    assert message.text == f"hello <@{ANN}>\nLong BTC/USDT\n#1\nEntry\n100\nnot advice"
    assert (sent.id, sent.content, [user.id for user in sent.mentions]) == (message.id, message.content, [ANN])
    assert [button["label"] for button in message.buttons] == ["Fee", "Site"]
    assert (sent.attachments, sent.embeds[0].image.width) == ([], 40)  # an embed's own picture is no attachment
    [event] = world.history.of("discord_message")
    assert event["has_photo"]
    assert (event["channel_id"], event["guild_id"], event["user_id"], event["message_id"], event["text"]) == (
        GENERAL,
        GUILD,
        None,
        sent.id,
        message.text,
    )
    assert event["public"]
    assert event["nonce"]
    shown = await bot.http.get_from_cdn(sent.embeds[0].image.url or "")
    assert shown.startswith(b"\x89PNG")


async def test_messages_are_edited_answered_read_and_deleted(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    channel = text_channel(bot)
    first = await channel.send(file=picture())
    assert [file.description for file in first.attachments] == ["BTC"]
    reply = await first.reply("answer", mention_author=False)
    assert reply.reference
    assert (reply.reference.message_id, world.messages(GENERAL)[1].reply_to) == (first.id, first.id)
    edited = await first.edit(content="new", attachments=[])
    assert (edited.content, edited.attachments, edited.edited_at is not None) == ("new", [], True)
    third = await channel.send("third")
    assert [message.id async for message in channel.history()] == [third.id, reply.id, first.id]
    assert [message.id async for message in channel.history(after=first, limit=1)] == [reply.id]
    assert [message.id async for message in channel.history(before=third, limit=1)] == [reply.id]
    assert [message.id async for message in channel.history(around=reply, limit=2)] == [third.id, reply.id, first.id]
    await reply.delete()
    with pytest.raises(dpy.NotFound, match="10008"):
        await channel.fetch_message(reply.id)
    with pytest.raises(dpy.HTTPException, match="50035"):
        await channel.send("too late", reference=reply)
    lenient = dpy.MessageReference(message_id=reply.id, channel_id=GENERAL, fail_if_not_exists=False)
    assert (await channel.send("still", reference=lenient)).reference is None
    assert [(row["event"], row["message_id"]) for row in world.history.events if "message_id" in row][2:4] == [
        ("discord_edit", first.id),
        ("discord_message", third.id),
    ]


async def test_d03_the_same_nonce_gives_the_same_message(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    channel, other = text_channel(bot), world.channel(GUILD, SIGNALS, "signals")
    first = await channel.send("one", nonce="n" * 25)
    again = await channel.send("one, once more", nonce="n" * 25)
    assert (again.id, again.content, len(world.messages(GENERAL))) == (first.id, "one", 1)
    await until(lambda: bot.get_channel(SIGNALS))
    assert (await text_channel(bot, other.id).send("one", nonce="n" * 25)).id != first.id
    with pytest.raises(dpy.HTTPException, match="25 or fewer"):
        await channel.send("long", nonce="n" * 26)
    fetched = await channel.fetch_message(first.id)
    assert fetched.nonce is None  # Discord does not tell it later
    world.violations.clear()  # the request with the long nonce is one


async def test_d04_a_nonce_is_forgotten_after_a_while() -> None:
    clock = [1_800_000_000.0]
    world = new_world(now=lambda: clock[0], nonce_memory=180)
    async with redirected(world), running(client()) as bot:
        channel = text_channel(bot)
        first = await channel.send("one", nonce="n1")
        clock[0] += 60
        assert (await channel.send("one", nonce="n1")).id == first.id
        clock[0] += 600
        assert (await channel.send("one", nonce="n1")).id != first.id


TOO_MUCH = [
    ({"content": "x" * 2001}, "2000 or fewer"),
    ({"embed": dpy.Embed(title="x" * 257)}, "256 or fewer"),
    ({"embed": dpy.Embed(description="x" * 4097)}, "4096 or fewer"),
    ({"embeds": [dpy.Embed(description="x" * 3001)] * 2}, "6000"),
    ({"content": " "}, "50006"),
]


@pytest.mark.parametrize(("content", "reason"), TOO_MUCH)
async def test_what_is_too_much_or_nothing_is_refused(
    world: discord.Discord, bot: dpy.AutoShardedClient, content: dict[str, Any], reason: str
) -> None:
    with pytest.raises(dpy.HTTPException, match=reason) as caught:
        await text_channel(bot).send(**content)
    assert (caught.value.status, world.messages(GENERAL)) == (400, [])
    [refused] = world.history.of("discord_refused")
    assert (refused["method"], refused["route"], refused["status"]) == ("POST", "/channels/{channel_id}/messages", 400)
    world.violations.clear()  # the description names most of these limits too


async def test_d13_roles_are_given_and_refused(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    role = world.role(GUILD, "Member")
    guild = bot.get_guild(GUILD)
    assert guild
    await until(lambda: guild.get_role(role.id))
    ann = guild.get_member(ANN)
    assert ann
    await ann.add_roles(dpy.Object(role.id), reason="paid")
    await ann.add_roles(dpy.Object(role.id))
    assert world.members_with(GUILD, role.id) == {ANN}
    assert [row["by"] for row in world.history.of("discord_member", role_id=role.id)] == ["bot"]
    await until(lambda: ann.get_role(role.id))
    await ann.remove_roles(dpy.Object(role.id))
    assert world.members_with(GUILD, role.id) == set()
    world.move_role(GUILD, role.id, 2)  # above the bot's own
    with pytest.raises(dpy.Forbidden, match="50013"):
        await ann.add_roles(dpy.Object(role.id))
    world.move_role(GUILD, role.id, 1)
    world.allow_bot(GUILD, may.VIEW_CHANNEL)
    with pytest.raises(dpy.Forbidden, match="50013"):
        await ann.add_roles(dpy.Object(role.id))
    world.allow_bot(GUILD, may.BOT)
    world.delete_role(GUILD, role.id)
    with pytest.raises(dpy.NotFound, match="10011"):
        await ann.add_roles(dpy.Object(role.id))
    world.leave(GUILD, ANN)
    with pytest.raises(dpy.NotFound, match="10007"):
        await ann.add_roles(dpy.Object(guild.me.top_role.id))
    assert (world.invalid_requests, len(world.history.of("discord_refused"))) == (2, 4)


async def test_roles_and_channels_are_made_by_the_bot(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    guild = bot.get_guild(GUILD)
    assert guild
    role = await guild.create_role(name="Paid", permissions=dpy.Permissions(view_channel=True), colour=0xFF)
    hidden = {guild.default_role: dpy.PermissionOverwrite(view_channel=False)}
    hidden[role] = hidden[guild.me] = dpy.PermissionOverwrite(view_channel=True)
    category = await guild.create_category("Paid")
    channel = await guild.create_text_channel("paid", overwrites=hidden, category=category, topic="signals")
    assert (world.can_see(channel.id, ANN), world.can_see(channel.id, discord.APPLICATION)) == (False, True)
    world.add_role(GUILD, ANN, role.id)
    assert world.can_see(channel.id, ANN)
    await channel.set_permissions(role, overwrite=None)
    assert not world.can_see(channel.id, ANN)
    await channel.edit(name="paid-signals")
    await role.edit(name="Payer")
    assert (world.channels[channel.id].name, world.guilds[GUILD].roles[role.id].name) == ("paid-signals", "Payer")
    with pytest.raises(dpy.Forbidden, match="50013"):
        await guild.create_role(name="Admin", permissions=dpy.Permissions(administrator=True))
    await channel.delete()
    with pytest.raises(dpy.NotFound, match="10003"):
        await channel.send("gone")
    await role.delete()
    assert role.id not in world.guilds[GUILD].roles
    assert [entry.name for entry in await guild.fetch_roles()] == ["@everyone", "SignalStack"]
    assert {entry.name for entry in await guild.fetch_channels()} == {"general", "Paid"}


async def test_members_are_told_and_listed(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    guild = bot.get_guild(GUILD)
    assert guild
    world.join(GUILD, CARL)
    carl = await until(lambda: guild.get_member(CARL))
    assert (carl.display_name, carl.name) == ("Carl Jung", "carl_jung")
    world.leave(GUILD, BOB)
    await until(lambda: guild.get_member(BOB) is None)
    listed = {member.id async for member in guild.fetch_members(limit=None)}
    assert listed == {OWNER, ANN, CARL, discord.APPLICATION}
    page = await bot.http.get_members(GUILD, 2, ANN)
    assert [member["user"]["id"] for member in page] == [str(CARL), str(discord.APPLICATION)]
    world.gateway.privileged = False
    with pytest.raises(dpy.Forbidden, match="50001"):
        await bot.http.get_members(GUILD, 2, ANN)
    with pytest.raises(dpy.NotFound, match="10007"):
        await guild.fetch_member(BOB)
    rows = [(row["user_id"], row["inside"]) for row in world.history.of("discord_member", role_id=None)][-2:]
    assert rows == [(CARL, True), (BOB, False)]


async def test_d12_private_chats(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    ann, carl = await bot.fetch_user(ANN), await bot.fetch_user(CARL)
    sent = await ann.send("welcome")
    assert [message.id for message in world.dm(ANN)] == [sent.id]
    [event] = world.history.of("discord_message")
    assert (event["guild_id"], event["user_id"], event["text"], event["public"]) == (None, ANN, "welcome", False)
    world.close_dms(ANN)
    with pytest.raises(dpy.Forbidden, match="50007"):
        await ann.send("again")
    with pytest.raises(dpy.Forbidden, match="50278"):
        await carl.send("a stranger")
    assert len(world.dm(ANN)) == 1


async def test_a_channel_the_bot_may_not_use_refuses(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    role = world.role(GUILD, "Member")
    world.channel(GUILD, SIGNALS, "signals", private_to=[role.id])
    channel = await until(lambda: bot.get_channel(SIGNALS))
    assert not (await channel.send("for members")).flags.ephemeral
    assert not world.history.of("discord_message")[0]["public"]
    assert (world.can_see(SIGNALS, ANN), world.can_see(SIGNALS, OWNER)) == (False, True)
    world.allow_bot(GUILD, may.VIEW_CHANNEL)
    world.guilds[GUILD].roles[GUILD].permissions = may.VIEW_CHANNEL
    with pytest.raises(dpy.Forbidden, match="50013"):
        await channel.send("may not speak")
    world.channels[SIGNALS].overwrites = {GUILD: discord.discord_places.Overwrite(GUILD, 0, may.VIEW_CHANNEL)}
    with pytest.raises(dpy.Forbidden, match="50001"):
        await channel.send("does not see it")
    world.delete_channel(SIGNALS)
    with pytest.raises(dpy.NotFound, match="10003"):
        await channel.send("gone")


async def test_threads_are_opened_written_in_and_archived(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    channel = text_channel(bot)
    message = await channel.send("signal")
    thread = await message.create_thread(name="discussion", auto_archive_duration=60)
    posted = await thread.send("in the thread")
    assert (thread.id, thread.parent_id) == (message.id, GENERAL)
    assert [one.id for one in world.messages(thread.id)] == [posted.id]
    assert world.history.of("discord_message", channel_id=thread.id)[0]["public"]
    private = await channel.create_thread(name="private", type=dpy.ChannelType.private_thread)
    assert (world.can_see(private.id, ANN), world.can_see(thread.id, ANN)) == (False, True)
    await private.add_user(dpy.Object(ANN))
    assert world.can_see(private.id, ANN)
    await thread.edit(archived=True, locked=True)
    with pytest.raises(dpy.HTTPException, match="50083"):
        await thread.send("closed")
    with pytest.raises(dpy.HTTPException, match="160004"):
        await message.create_thread(name="once more")
    await message.pin()
    assert world.messages(GENERAL)[0].pinned


async def test_the_bot_is_thrown_out_and_comes_back(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    channel = text_channel(bot)
    world.kick_bot(GUILD)
    await until(lambda: not bot.guilds)
    with pytest.raises(dpy.Forbidden, match="50001"):
        await channel.send("outside")
    with pytest.raises(dpy.NotFound, match="10004"):
        await bot.fetch_guild(GUILD)
    world.invite_bot(GUILD)
    await until(lambda: bot.guilds)
    assert await text_channel(bot).send("inside")


async def test_whoever_watches_a_chat_learns_of_every_change(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    seen = await asyncio.wait_for(asyncio.gather(world.watch(GENERAL), text_channel(bot).send("one")), 5)
    assert seen[0] == 1
    await seen[1].edit(content="two")
    assert await asyncio.wait_for(world.watch(GENERAL, 1), 5) == 2
    private = asyncio.create_task(world.watch(ANN))
    await (await bot.fetch_user(ANN)).send("hello")
    assert await asyncio.wait_for(private, 5) == 1
