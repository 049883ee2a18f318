"""The community in the sandbox's world: its Discord server, its gated places on both chats, and who is where."""

from collections.abc import Iterable

from tests.sandbox import checker, discord, discord_places, moment, telegram

MEMBER, OPERATOR, STRANGER, FRIEND = 1001, 1002, 1003, 1004
"""Maya, Olga, Noah and Lena on Telegram."""
MAYA_D, OLGA_D, NOAH_D = 2001, 2002, 2003
"""The same people on Discord."""
GUILD, ROLE, LOBBY, SIGNALS = 900_001, 900_002, 900_003, 900_004
"""The Discord server, the role of its paying members, the channel for everybody and the one for that role."""
VIP = -1_001_000_000_001
"""The gated Telegram channel."""
SERVER, PAYING, VIP_NAME = "SignalStack demo", "Members", "VIP signals"

_CATALOGUE = f"""
[[places]]
key = "vip"
name = "{VIP_NAME}"
platform = "telegram"
chat = {VIP}

[[places]]
key = "members"
name = "#signals on Discord"
platform = "discord"
server = {GUILD}
role = {ROLE}
channel = {SIGNALS}
"""


def people(on_telegram: telegram.Telegram) -> None:
    """Maya, Olga, Noah and Lena have Telegram."""
    on_telegram.person(MEMBER, "Maya", "maya")
    on_telegram.person(OPERATOR, "Olga", "olga_operates")
    on_telegram.person(STRANGER, "Noah", "noah")
    on_telegram.person(FRIEND, "Lena", "lena")


def furnish(on_telegram: telegram.Telegram, on_discord: discord.Discord) -> None:
    """Olga owns a Telegram channel and a Discord server, and the bot administers both. Maya and Noah are on the server,
    without the role."""
    channel = on_telegram.group(VIP, VIP_NAME, "channel", members=[OPERATOR])
    channel.members[OPERATOR] = "creator"
    for user, name in ((MAYA_D, "Maya"), (OLGA_D, "Olga"), (NOAH_D, "Noah")):
        on_discord.user(user, name)
    guild = on_discord.guild(GUILD, SERVER, owner=OLGA_D, members=(MAYA_D, NOAH_D))
    on_discord.place_role(discord_places.Role(ROLE, guild, PAYING, color=0x2E9E5B, hoist=True), 1)
    on_discord.channel(GUILD, LOBBY, "lobby").topic = "Everybody is welcome"
    on_discord.channel(GUILD, SIGNALS, "signals", private_to=[ROLE]).topic = f"For those with the role {PAYING}"


def catalogue(notice: str, watched: Iterable[str], timeframe: str, *, places: bool) -> str:
    """What signalstack.toml says of this world; empty when it needs none."""
    service = f'[service]\nnotice = "{notice}"\n' if notice else ""
    if not places:
        return service
    parts = ", ".join(f'{{ at = {one.at}, share = {one.share}, stop = "{one.stop}" }}' for one in moment.EXITS)
    watches = [
        f'[[watches]]\nsymbol = "{symbol}"\ntimeframe = "{timeframe}"\nexits = [{parts}]\n' for symbol in watched
    ]
    return "\n".join([service, *watches, _CATALOGUE])


def gated(on_discord: discord.Discord) -> list[checker.Place]:
    """The places as the checker wants to know them."""
    staff = frozenset({("discord", OLGA_D), ("discord", on_discord.bot.id)})
    return [
        checker.Place(VIP, VIP_NAME, staff=frozenset({OPERATOR})),
        checker.Place(("channel", SIGNALS), "#signals", guild=GUILD, role=ROLE, staff=staff),
    ]
