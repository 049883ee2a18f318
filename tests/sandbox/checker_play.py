"""Histories written by hand, line by line, on a clock of their own: what the tests hold the checker against."""

from typing import Any

from tests.sandbox import checker
from tests.sandbox.history import History

PAYER, OTHER, STRANGER = 11, 12, 99
VIP, GUILD, ROLE, SIGNALS, LOBBY = -100, 900, 901, 902, 903
VIP_PLACE = checker.Place(VIP, "VIP signals", staff=frozenset({1}))
DISCORD_PLACE = checker.Place(
    ("channel", SIGNALS), "#signals", guild=GUILD, role=ROLE, staff=frozenset({("discord", 1)})
)
BASE = 1_700_000_000.0


class Play:
    """The history so far; `at` is its clock."""

    def __init__(self) -> None:
        self.history = History()
        self.at = BASE

    def add(self, event: str, **fields: Any) -> dict[str, Any]:
        row = self.history.add(event, **fields)
        if "at" not in fields:
            row["at"] = self.at
        return row

    def wait(self, seconds: float) -> None:
        self.at += seconds

    def candle(self) -> None:
        self.add("exchange_candle_closed", symbol="BTC/USDT", timeframe="1h", open_time=0)

    # --- Telegram

    def text(self, chat: int, text: str, *, photo: bool = False, reply_to: int | None = None) -> int:
        number = len(self.history.events)
        fields = {"text": text, "has_photo": photo, "reply_to": reply_to, "buttons": []}
        self.add("telegram_message", chat_id=chat, message_id=number, **fields)
        return number

    def opening(self, chat: int, signal: int = 7, mark: str = "") -> int:
        return self.text(chat, f"▲ Long BTC/USDT · 1h · #{signal}{mark}\nEntry 27 412.10\nTarget 28 000.00", photo=True)

    def update(self, chat: int, reply_to: int | None, signal: int = 7) -> int:
        return self.text(chat, f"✓ Target hit · BTC/USDT long · 1h · #{signal}\n+1.78 %", reply_to=reply_to)

    def member(self, user: int, status: str = "member", chat: int = VIP) -> int:
        """This person has this status in the Telegram place; the event's number."""
        number: int = self.add("telegram_member", chat_id=chat, user_id=user, status=status, before="left")["n"]
        return number

    # --- Discord

    def said(
        self,
        text: str,
        *,
        channel: int = SIGNALS,
        user: int | None = None,
        photo: bool = False,
        event: str = "discord_message",
        **more: Any,
    ) -> int:
        """A message of the bot in this channel, or in this person's private chat or before their eyes only."""
        number = len(self.history.events)
        fields: dict[str, Any] = {"channel_id": channel, "user_id": user, "message_id": number, "text": text}
        fields |= {"has_photo": photo, "reply_to": None, "public": False, "nonce": None, "buttons": []}
        self.add(event, guild_id=None if user else GUILD, **(fields | more))
        return number

    def post(self, signal: int = 7, **more: Any) -> int:
        text = f"▲ Long BTC/USDT · 1h · \\#{signal}\nEntry **27 412.10**\nTarget **28 000.00**"
        return self.said(text, **({"photo": True} | more))

    def end(self, reply_to: int | None, signal: int = 7, **more: Any) -> int:
        text = f"✓ Target hit · BTC/USDT long · 1h · \\#{signal}\n**+1.78 %**"
        return self.said(text, **({"reply_to": reply_to} | more))

    def role(self, user: int, *, has: bool = True) -> int:
        """This person has the role, or no longer; the event's number."""
        fields = {"guild_id": GUILD, "user_id": user, "role_id": ROLE, "inside": True, "has": has, "by": "bot"}
        number: int = self.add("discord_member", **fields)["n"]
        return number

    def server(self, user: int, *, inside: bool = True) -> None:
        """This person is on the server, or no longer."""
        fields = {"guild_id": GUILD, "user_id": user, "role_id": None, "inside": inside, "has": False, "by": "human"}
        self.add("discord_member", **fields)

    # --- the judge

    def judged(self, *chats: checker.Account, **options: Any) -> checker.Verdict:
        """The verdict when these accounts, or two on Telegram, were entitled all the time."""
        spans = [checker.Entitlement(chat) for chat in chats or (PAYER, OTHER)]
        return checker.judge(self.history, entitled=spans, **options)
