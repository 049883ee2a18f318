"""The panel beside the chats: what is happening in the world, in a newcomer's words, and what they may set going."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from tests.sandbox import (
    checker_reading,
    market_history,
    panel_steps,
    phone,
    stripe_billing,
    stripe_pages,
    telegram_chats,
    world_places,
)
from tests.sandbox import world as worlds

Json = dict[str, Any]
Row = dict[str, Any]

PACE, FAST = 4.0, 1.0
"""Real seconds from one candle to the next."""
_CURVE = 60
_TOLD = 7

SEATS = (
    phone.Seat(worlds.MEMBER, "You", "You are Maya, a new member", worlds.MAYA_D),
    phone.Seat(worlds.STRANGER, "Noah", "looks around, never pays"),
    phone.Seat(worlds.OPERATOR, "Olga", "operates the service"),
)


class Panel:
    """`facts` for the phone page, and its `deeds`."""

    def __init__(self, world: worlds.World, product_url: str) -> None:
        self._world, self._product_url = world, product_url
        self._steps = panel_steps.Steps(world)
        self._read = 0
        self._told: list[Json] = []
        self.deeds: dict[str, phone.Deed] = {
            "run": self._run,
            "fast": self._fast,
            "pause": self._pause,
            "candle": self._candle,
            "period": self._period,
            "decline": self._decline,
        }

    # --- what a visitor sets going

    async def _run(self) -> str:
        self._world.pace = PACE
        return f"A candle closes every {PACE:.0f} seconds."

    async def _fast(self) -> str:
        self._world.pace = FAST
        return "A candle closes every second."

    async def _pause(self) -> str:
        self._world.pace = None
        return "The market stands still."

    async def _candle(self) -> str:
        now = await self._world.next_candle()
        return f"It is {now:%H:%M} UTC at the exchange."

    async def _period(self) -> str:
        if not await self._world.end_paid_period():
            return "No subscription runs at Stripe."
        return "The time is over. Stripe has done what it does then."

    async def _decline(self) -> str:
        if not self._world.decline_next_renewal():
            return "No subscription runs at Stripe."
        return "The bank will decline the next renewal. Now end the time."

    # --- what a visitor sees

    def facts(self) -> Json:
        """Everything the panel shows, as JSON values."""
        self._catch_up()
        world = self._world
        return {
            "label": world.label,
            "real": world.label == market_history.REAL,
            "clock": f"{world.exchange.now:%-d %b %Y, %H:%M}",
            "pace": {None: "pause", PACE: "run", FAST: "fast"}.get(world.pace, "run"),
            "waiting": world.pace is None and not self._steps.met("paid"),
            "markets": [self._market(market.symbol) for market in world.exchange.markets.values()],
            "plan": self._plan(),
            "shop": world.both,
            "steps": self._steps.shown(),
            "told": self._told,
            "links": {"Status page": self._product_url + "/", "Metrics": self._product_url + "/metrics"},
        }

    def _market(self, symbol: str) -> Json:
        candles = self._world.exchange.markets[symbol.replace("/", "")].candles(self._world.timeframe)
        assert candles is not None
        now = round(self._world.exchange.now.timestamp() * 1000)
        end = int(np.searchsorted(candles.ts, now - candles.length, "right"))
        closes = [float(close) for close in candles.close[max(0, end - _CURVE) : end]]
        return {
            "symbol": symbol,
            "closes": closes,
            "last": f"{closes[-1]:,.2f}".replace(",", "\u202f") if closes else "–",
        }

    def _plan(self) -> str:
        sub = self._world.subscription
        if sub is None:
            stars = any(one.user == worlds.MEMBER for one in self._world.telegram.stars.subscriptions.values())
            return "Paid in Stars; Telegram renews it." if stars else "No subscription yet."
        until = datetime.fromtimestamp(stripe_billing.period_end(sub), UTC)
        if sub["status"] in {"canceled", "incomplete_expired"}:
            return "The subscription has ended."
        if sub["cancel_at"] is not None:
            return f"Cancelled; paid until {until:%-d %b %Y}."
        if sub["status"] == "past_due":
            return "The last payment was declined; Stripe tries again."
        if sub["status"] == "trialing":
            return f"Free until {until:%-d %b %Y}, charged then."
        return f"Paid until {until:%-d %b %Y}, renews then."

    def _catch_up(self) -> None:
        rows = self._world.history.events[self._read :]
        self._read += len(rows)
        for row in rows:
            self._steps.take(row)
            if words := self._words(row):
                at = datetime.now().astimezone()
                self._told = [{"at": f"{at:%H:%M:%S}", "text": words}, *self._told][:_TOLD]

    def _words(self, row: Row) -> str:
        match row["event"]:
            case "telegram_message" | "discord_message":
                return self._message_words(row)
            case "telegram_member" | "discord_member" | "telegram_join_request":
                return self._door_words(row)
            case "telegram_refused" if row["method"].startswith("send"):
                return f"Telegram refused a message: {row['description']}"
            case "stripe_paid" | "stripe_renewed" | "stripe_bought" | "telegram_stars_paid":
                return self._money_words(row)
        return _WORDS.get(row["event"], "")

    def _message_words(self, row: Row) -> str:
        for copies, words in (
            (checker_reading.openings([row]), "Signal"),
            (checker_reading.updates([row]), "The end of"),
        ):
            if copies:
                return f"{words} #{copies[0].signal} reached {self._name(copies[0].chat)}"
        return ""

    def _money_words(self, row: Row) -> str:
        if row["event"] == "telegram_stars_paid":
            return f"{self._name(row['user_id'])} has paid {row['amount']:,} Stars in Telegram"
        if row["event"] == "stripe_bought":
            return f"A gift of {stripe_pages.money(row['amount'], row['currency'])} was paid at Stripe"
        if row["event"] == "stripe_paid" and not row["amount"]:
            return "Free days have begun at Stripe"
        what = "A payment" if row["event"] == "stripe_paid" else "A renewal or a change"
        currency = self._world.stripe.subscription(row["subscription"])["currency"]
        return f"{what} of {stripe_pages.money(row['amount'], currency)} arrived at Stripe"

    def _door_words(self, row: Row) -> str:
        if row["event"] == "telegram_join_request":
            return f"{self._name(row['user_id'])} asked to join {self._name(row['chat_id'])}"
        if row["event"] == "telegram_member":
            way = "in" if row["status"] in telegram_chats.IN_CHAT else "out of"
            return f"{self._name(row['user_id'])} is {way} {self._name(row['chat_id'])}"
        if row["role_id"] != worlds.ROLE:
            return ""
        has = "has" if row["has"] else "no longer has"
        return f"{self._world.discord.users[row['user_id']].name} {has} the role {world_places.PAYING} on Discord"

    def _name(self, chat: checker_reading.Chat) -> str:
        """Who, or which channel, a chat is."""
        if isinstance(chat, int):
            one = self._world.telegram.chats[chat]
            return one.person.first_name if one.person else one.title
        kind, number = chat
        users, channels = self._world.discord.users, self._world.discord.channels
        return f"{f'#{channels[number].name}' if kind == 'channel' else users[number].name} on Discord"


_WORDS = {
    "stripe_session_created": "A checkout was opened at Stripe",
    "stripe_cancel_planned": "A cancellation was noted at Stripe",
    "stripe_payment_failed": "A bank declined a payment",
    "stripe_ended": "A subscription has ended at Stripe",
}
