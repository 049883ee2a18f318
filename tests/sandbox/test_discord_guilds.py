"""What a bot may do with members, roles and channels of a guild, and what it may say there, by Discord's rules."""

from collections.abc import AsyncIterator
from typing import Any

import discord as dpy
import pytest

from tests.sandbox import discord
from tests.sandbox import discord_permissions as may
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
    text_channel,
    until,
)


@pytest.fixture
def world() -> discord.Discord:
    return new_world()


@pytest.fixture
async def bot(world: discord.Discord) -> AsyncIterator[dpy.AutoShardedClient]:
    async with redirected(world), running(client()) as bot:
        yield bot
    assert world.violations == []


async def test_roles_stand_in_an_order_and_new_ones_come_in_below(
    world: discord.Discord, bot: dpy.AutoShardedClient
) -> None:
    [guild] = bot.guilds
    low = world.role(GUILD, "Low")
    high = world.role(GUILD, "High", position=3)
    made = await guild.create_role(name="Made")
    order = [role.name for role in world.guilds[GUILD].ordered_roles()]
    assert order == ["@everyone", "Made", "Low", "SignalStack", "High"]
    await guild.edit_role_positions({made: 2})
    assert [role.name for role in world.guilds[GUILD].ordered_roles()][1:3] == ["Low", "Made"]
    for moved in (high, world.guilds[GUILD].ordered_roles()[3]):
        with pytest.raises(dpy.Forbidden, match="50013"):
            await guild.edit_role_positions({dpy.Object(moved.id): 1})
    with pytest.raises(dpy.Forbidden, match="50013"):
        await guild.edit_role_positions({dpy.Object(low.id): 4})
    assert not world.can_see(world.channel(GUILD, SIGNALS, "signals", private_to=[low.id]).id, ANN)
    world.add_role(GUILD, ANN, low.id)
    assert world.can_see(SIGNALS, ANN)
    world.delete_role(GUILD, low.id)
    assert not world.can_see(SIGNALS, ANN)
    told = world.history.of("discord_member", role_id=low.id)
    assert [(row["user_id"], row["has"], row["by"]) for row in told] == [(ANN, True, "human"), (ANN, False, "human")]


async def test_members_are_edited_and_thrown_out(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    [guild] = bot.guilds
    role = world.role(GUILD, "Member")
    ann = await guild.fetch_member(ANN)
    with pytest.raises(dpy.Forbidden, match="50013"):
        await ann.edit(nick="Annie")
    world.allow_bot(GUILD, may.BOT | may.MANAGE_NICKNAMES | may.KICK_MEMBERS)
    edited = await ann.edit(nick="Annie", roles=[dpy.Object(role.id)])
    assert edited
    assert (edited.nick, world.members_with(GUILD, role.id)) == ("Annie", {ANN})
    await guild.me.edit(nick="Signals")
    assert world.guilds[GUILD].members[discord.APPLICATION].nick == "Signals"
    await guild.kick(ann)
    assert ANN not in world.guilds[GUILD].members
    last = world.history.of("discord_member", user_id=ANN)[-2:]
    assert [(row["role_id"], row["inside"], row["has"], row["by"]) for row in last] == [
        (role.id, False, False, "bot"),
        (None, False, False, "bot"),
    ]
    with pytest.raises(dpy.Forbidden, match="50013"):
        await guild.kick(dpy.Object(OWNER))


async def test_members_are_asked_for_over_the_gateway(world: discord.Discord) -> None:
    async with redirected(world), running(client(members=False)) as bot:
        [guild] = bot.guilds
        assert [member.id for member in await guild.query_members(user_ids=[BOB, CARL])] == [BOB]
        assert [member.id for member in await guild.query_members("an")] == [ANN]


async def test_thousands_of_members_come_in_pages(world: discord.Discord) -> None:
    for number in range(2_500):
        world.user(20_000 + number, f"member {number}")
        world.join(GUILD, 20_000 + number)
    async with redirected(world), running(client()) as bot:
        [guild] = bot.guilds
        assert len(guild.members) == 2_504
        assert len([member async for member in guild.fetch_members(limit=None)]) == 2_504
        assert len(await bot.http.get_members(GUILD, 1000, 20_999)) == 1000


async def test_overwrites_decide_who_sees_and_writes(world: discord.Discord) -> None:
    role, muted = world.role(GUILD, "Member"), world.role(GUILD, "Muted")
    view, send = may.VIEW_CHANNEL, may.SEND_MESSAGES
    rules = {GUILD: (0, view), role.id: (view, 0), muted.id: (0, send), BOB: (view, 0)}
    channel = world.channel(GUILD, SIGNALS, "signals", overwrites=rules)
    world.add_role(GUILD, ANN, role.id)
    world.add_role(GUILD, ANN, muted.id)
    seen = {user_id: world.can_see(SIGNALS, user_id) for user_id in (OWNER, ANN, BOB, CARL, discord.APPLICATION)}
    assert seen == {OWNER: True, ANN: True, BOB: True, CARL: False, discord.APPLICATION: False}
    assert (may.in_channel(channel, ANN) & send, may.in_channel(channel, BOB) & send) == (0, send)
    assert not may.everyone_sees(channel)
    world.allow_bot(GUILD, may.ADMINISTRATOR)
    assert world.can_see(SIGNALS, discord.APPLICATION)


async def test_a_bot_gives_no_more_than_it_has(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    [guild] = bot.guilds
    kick = {guild.default_role: dpy.PermissionOverwrite(kick_members=True)}
    with pytest.raises(dpy.Forbidden, match="50013"):
        await guild.create_text_channel("odd", overwrites=kick)
    with pytest.raises(dpy.Forbidden, match="50013"):
        await text_channel(bot).set_permissions(guild.default_role, kick_members=True)
    await text_channel(bot).set_permissions(guild.default_role, send_messages=False)
    assert not may.in_channel(world.channels[GENERAL], ANN) & may.SEND_MESSAGES
    world.allow_bot(GUILD, may.EVERYONE)
    for forbidden in (guild.create_text_channel("more"), guild.create_role(name="more"), text_channel(bot).delete()):
        with pytest.raises(dpy.Forbidden, match="50013"):
            await forbidden


async def test_an_announcement_is_published(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    world.channel(GUILD, SIGNALS, "news", kind="announcement")
    channel = await until(lambda: bot.get_channel(SIGNALS))
    message = await channel.send("news")
    await message.publish()
    assert (await channel.fetch_message(message.id)).flags.crossposted
    with pytest.raises(dpy.HTTPException, match="50024"):
        await (await text_channel(bot).send("no news")).publish()
    world.channel(GUILD, 9500, "folder", kind="category")
    with pytest.raises(dpy.HTTPException, match="50008"):
        await bot.get_partial_messageable(9500).send("into a category")


async def test_pictures_and_embeds_need_their_permissions(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    channel = text_channel(bot)
    world.guilds[GUILD].roles[GUILD].permissions = may.VIEW_CHANNEL | may.SEND_MESSAGES
    world.allow_bot(GUILD, may.VIEW_CHANNEL | may.SEND_MESSAGES)
    first = await channel.send("words")
    for content in ({"file": picture()}, {"embed": dpy.Embed(title="x")}):
        with pytest.raises(dpy.Forbidden, match="50013"):
            await channel.send(**content)
    assert [message async for message in channel.history()] == []  # may not read what was
    with pytest.raises(dpy.Forbidden, match="160002"):
        await first.reply("answer")


async def test_mentions_are_kept_as_quiet_as_asked(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    role = world.role(GUILD, "Member")
    text = f"@everyone <@{ANN}> <@{BOB}> <@&{role.id}>"
    quiet = await text_channel(bot).send(text, allowed_mentions=dpy.AllowedMentions.none())
    some = await text_channel(bot).send(text, allowed_mentions=dpy.AllowedMentions(users=[dpy.Object(ANN)]))
    loud = await text_channel(bot).send(text)
    shown = [([user.id for user in message.mentions], len(message.role_mentions)) for message in (quiet, some, loud)]
    assert shown == [([], 0), ([ANN], 1), ([ANN, BOB], 1)]
    assert not loud.mention_everyone  # the bot lacks the permission


BAD_COMPONENTS: list[tuple[Any, str]] = [
    ([{"type": 2, "style": 1, "label": "x", "custom_id": "x"}], "must be 1"),
    ([{"type": 1, "components": []}], "between 1 and 5"),
    ([{"type": 1, "components": [{"type": 2, "style": 1, "label": "x"}]}], "custom id required"),
    ([{"type": 1, "components": [{"type": 2, "style": 5, "label": "x"}]}], "url is required"),
    ([{"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "x", "label": "x" * 81}]}], "80 or fewer"),
    ([{"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "x", "label": "x"}] * 2}], "duplicated"),
]


@pytest.mark.parametrize(("components", "reason"), BAD_COMPONENTS)
async def test_wrong_buttons_are_refused(
    world: discord.Discord, bot: dpy.AutoShardedClient, components: Any, reason: str
) -> None:
    route = dpy.http.Route("POST", f"/channels/{GENERAL}/messages")
    with pytest.raises(dpy.HTTPException, match=reason):
        await bot.http.request(route, json={"content": "x", "components": components})
    assert world.messages(GENERAL) == []
    world.violations.clear()


async def test_a_layout_of_components_is_text_too(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    view = dpy.ui.LayoutView()
    view.add_item(dpy.ui.Container(dpy.ui.TextDisplay("Long BTC/USDT"), dpy.ui.TextDisplay("Entry 100")))
    await text_channel(bot).send(view=view)
    assert world.messages(GENERAL)[0].text == "Long BTC/USDT\nEntry 100"


async def test_an_edit_keeps_the_files_it_names(world: discord.Discord, bot: dpy.AutoShardedClient) -> None:
    sent = await text_channel(bot).send("two", files=[picture(), picture()])
    kept = await sent.edit(attachments=[sent.attachments[1], picture()])
    assert [file.id for file in kept.attachments][:1] == [sent.attachments[1].id]
    assert len(kept.attachments) == 2
    assert await sent.attachments[1].read()
    with pytest.raises(dpy.NotFound):
        await sent.attachments[0].read()
