"""The whole world around the product, in one process: exchange, Telegram, Stripe, and the people who use them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.sandbox import (
    checker,
    checker_reading,
    exchange,
    history,
    market_history,
    moment,
    server,
    stripe,
    stripe_billing,
    stripe_lifecycle,
    telegram,
    telegram_limits,
)

Markets = moment.Markets

SYMBOLS = ("BTC/USDT", "ETH/USDT")
TIMEFRAME = "1h"
MEMBER, OPERATOR, STRANGER = 1001, 1002, 1003
CACHE = Path(__file__).parents[2] / ".demo" / "market"


class NothingHappenedError(Exception):
    """Something that was waited for did not come; the text says what."""


class World:
    """Open it with `async with World.open(folder) as world:`; its history lies in `folder`/history.jsonl.

    Attributes: `history`, `exchange`, `telegram`, `stripe` are the stand-ins; `price` what a subscription costs at
    Stripe; `addresses` where each of them listens; `label` whether its candles are real.
    """

    def __init__(
        self,
        folder: Path,
        account: history.History,
        markets: Markets,
        start: datetime,
        limits: telegram_limits.Limits | None,
        timeframe: str = TIMEFRAME,
    ) -> None:
        self.folder, self.history, self.timeframe = folder, account, timeframe
        self.exchange = exchange.Exchange(
            account, {name: dict(frames) for name, frames in markets.items()}, start=start
        )
        self.telegram = telegram.Telegram(account, limits=limits)
        self.stripe = stripe.Stripe(account)
        # Stripe charges a renewal an hour after the period began; a demonstration has no such hour.
        self.stripe.account.draft_seconds = 0
        self.price = self.stripe.add_price(2900, "eur", "month", name="Signals")
        self.label = self.exchange.label
        self.addresses: dict[str, str] = {}
        self.pace: float | None = None
        """Real seconds from one candle's close to the next; None while the market stands still."""
        self.due = 0.0
        """When the next one closes, by the monotonic clock, if the market does not stand still."""
        self.guard: Callable[[], object] = bool
        """Called again and again while something is waited for; what it raises ends the waiting."""
        self.telegram.person(MEMBER, "Maya", "maya")
        self.telegram.person(OPERATOR, "Olga", "olga_operates")
        self.telegram.person(STRANGER, "Noah", "noah")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        *,
        start: datetime | None = None,
        markets: Markets | None = None,
        limits: telegram_limits.Limits | None = None,
        timeframe: str = TIMEFRAME,
    ) -> AsyncIterator[Self]:
        """The stand-ins answer until the block ends; without `start` the market begins shortly before a signal."""
        if markets is None:
            markets = await asyncio.to_thread(_markets, timeframe)
        if start is None:
            start = await asyncio.to_thread(moment.beginning, markets, timeframe)
        account = _account(folder)
        world = cls(folder, account, markets, start, limits, timeframe)
        try:
            async with AsyncExitStack() as served:
                for name in ("exchange", "telegram", "stripe"):
                    url = await served.enter_async_context(server.serving(getattr(world, name).app))
                    world.addresses[name] = url
                world.stripe.base_url = world.addresses["stripe"]
                yield world
        finally:
            account.close()

    def environment(self) -> dict[str, str]:
        """The settings that point the product at this world."""
        env = {
            "TELEGRAM_BOT_TOKEN": self.telegram.token,
            "TELEGRAM_API_URL": self.addresses["telegram"],
            "STRIPE_API_KEY": self.stripe.api.api_key,
            "STRIPE_WEBHOOK_SECRET": ",".join(self.stripe.secrets),
            "STRIPE_PRICE_ID": self.price["id"],
            "STRIPE_API_URL": self.addresses["stripe"],
            "EXCHANGE_API_URL": self.addresses["exchange"],
            "CCXT_TRADING_PAIRS": ",".join(market.symbol for market in self.exchange.markets.values()),
            "CCXT_TIMEFRAMES": self.timeframe,
            "SCAN_SECONDS": "0.2",
            "ADMINS": f"telegram:{OPERATOR}",
        }
        if self.label == market_history.REAL:
            return env
        path = self.folder / "signalstack.toml"
        path.write_text(f'[service]\nnotice = "{self.label}"\n', encoding="utf-8")
        return env | {"SIGNALSTACK_CONFIG": str(path)}

    def expect_events_at(self, product_url: str) -> None:
        """Stripe sends its events to the product at this address."""
        self.stripe.webhook_url = f"{product_url}/webhooks/stripe"

    # --- the market

    async def next_candle(self, *, within: float = 15.0) -> datetime:
        """One more candle of each market has closed and somebody has asked for it; the exchange's time then."""
        before = len(self.history.events)
        now = self.exchange.skip_to_next_close(self.timeframe)
        symbols = {market.symbol for market in self.exchange.markets.values()}
        await self.until(lambda: symbols <= self._asked_since(before), within, "the product asked for the new candles")
        return now

    def _asked_since(self, n: int) -> set[str | None]:
        rows = self.history.events[n:]
        return {row["symbol"] for row in rows if row["event"] == "exchange_request" and "klines" in row["path"]}

    async def play(self) -> None:
        """Candles close at `pace` until cancelled or until the history has ended; an unwell product is waited for."""
        while self.exchange.now < self.exchange.ends:
            if self.pace is not None and time.monotonic() >= self.due:
                with suppress(NothingHappenedError):
                    await self.next_candle(within=30)
                self.due = time.monotonic() + (self.pace or 0)
            await asyncio.sleep(0.05)

    # --- waiting

    async def until(self, holds: Callable[[], Any], within: float, what: str) -> Any:
        """The first true value of `holds`; raises NothingHappenedError, saying `what`, when none comes in time."""
        end = time.monotonic() + within
        while not (value := holds()):
            self.guard()
            if time.monotonic() > end:
                raise NothingHappenedError(f"Waited {within:.0f} s in vain: {what}.")
            await asyncio.sleep(0.02)
        return value

    async def message(self, chat: int, words: str, *, after: int = 0, within: float = 15.0) -> telegram.Message:
        """The first message of the bot in this chat, with an id above `after`, that contains these words."""

        def found() -> telegram.Message | None:
            return next(
                (
                    message
                    for message in self.telegram.chat(chat)
                    if message.from_bot and message.id > after and words in message.text
                ),
                None,
            )

        name = self.telegram.chats[chat].person
        what = f"{name.first_name if name else chat} gets a message with “{words}”"
        sent: telegram.Message = await self.until(found, within, what)
        return sent

    # --- paying

    @property
    def subscription(self) -> dict[str, Any] | None:
        """The newest subscription at Stripe, None when there is none."""
        return next(iter(self.stripe.account.all("subscription")), None)

    async def end_paid_period(self) -> bool:
        """Every running subscription was made that much earlier that its paid period is over now, and Stripe has done
        what it does then: renewed, asked in vain, or ended it. Says whether there was one.

        The subscription moves and not Stripe's clock, because the product's own clock stays where it is too.
        """
        running = [sub for sub in self.stripe.account.all("subscription") if sub["status"] not in stripe_lifecycle.OVER]
        for sub in running:
            _age(self.stripe.account, sub, stripe_billing.period_end(sub) - self.stripe.now())
        await self.stripe.advance(1)
        return bool(running)

    def decline_next_renewal(self) -> bool:
        """The bank will refuse the next renewals until the card works again; says whether there is what to renew."""
        sub = self.subscription
        if sub is None or sub["status"] in stripe_lifecycle.OVER:
            return False
        self.stripe.fail_next_renewal(sub["id"])
        return True

    # --- judging

    def judge(
        self, *, granted: Iterable[checker.Entitlement] = (), rules: checker.Rules | None = None
    ) -> checker.Verdict:
        """The checker's verdict over everything so far; who paid is read from what happened at Stripe."""
        chats = checker_reading.members(self._links())
        payers = checker_reading.payers(self.history.events, chats)
        return checker.judge(self.history, entitled=[*payers, *granted], rules=rules)

    def _links(self) -> list[tuple[int, str]]:
        return [
            (chat.id, str(button.get("url", "")))
            for chat in self.telegram.chats.values()
            for message in chat.messages.values()
            for row in message.buttons
            for button in row
        ]


def _age(account: Any, sub: dict[str, Any], seconds: int) -> None:
    """Everything about this subscription happened `seconds` earlier; nobody is told, as nothing changed."""
    for name in ("created", "start_date", "cancel_at"):
        if sub.get(name) is not None:
            sub[name] -= seconds
    for item in sub["items"]["data"]:
        item["current_period_start"] -= seconds
        item["current_period_end"] -= seconds
        account.secret(item["id"]).pop("anchor", None)
    # Months differ in length: counted from the moved beginning, the next period could be a single day.
    sub["billing_cycle_anchor"] = stripe_billing.period_end(sub)
    account.watch(sub)


def _account(folder: Path) -> history.History:
    folder.mkdir(parents=True, exist_ok=True)
    return history.History(folder / "history.jsonl")


def _markets(timeframe: str) -> Markets:
    markets, _ = market_history.load_markets(SYMBOLS, [timeframe], cache=CACHE)
    return markets
