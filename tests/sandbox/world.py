"""The whole world around the product, in one process: exchange, chats, Stripe, and the people who use them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.sandbox import (
    checker,
    checker_gifts,
    checker_reading,
    checker_stars,
    demo_shop,
    discord,
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
    world_places,
    world_waits,
)

Markets = moment.Markets

SYMBOLS = ("BTC/USDT", "ETH/USDT")
TIMEFRAME = "1h"
CACHE = Path(__file__).parents[2] / ".demo" / "market"

MEMBER, OPERATOR, STRANGER = world_places.MEMBER, world_places.OPERATOR, world_places.STRANGER
FRIEND = world_places.FRIEND
MAYA_D, OLGA_D, NOAH_D = world_places.MAYA_D, world_places.OLGA_D, world_places.NOAH_D
GUILD, ROLE, LOBBY, SIGNALS = world_places.GUILD, world_places.ROLE, world_places.LOBBY, world_places.SIGNALS
VIP = world_places.VIP
NothingHappenedError = world_waits.NothingHappenedError


class World(world_waits.Waits):
    """Open it with `async with World.open(folder) as world:`; its history lies in `folder`/history.jsonl.

    Attributes: `history`, `exchange`, `telegram`, `discord`, `stripe` are the stand-ins; `price` what a subscription
    costs at Stripe; `addresses` where each of them listens; `label` whether its candles are real; `both` whether the
    community is on Discord too and has gated places.
    """

    def __init__(
        self,
        folder: Path,
        account: history.History,
        markets: Markets,
        start: datetime,
        limits: telegram_limits.Limits | None,
        timeframe: str = TIMEFRAME,
        *,
        both: bool = True,
    ) -> None:
        super().__init__()
        self.both = both
        self.folder, self.history, self.timeframe = folder, account, timeframe
        self.exchange = exchange.Exchange(
            account, {name: dict(frames) for name, frames in markets.items()}, start=start
        )
        self.telegram = telegram.Telegram(account, limits=limits)
        self.discord = discord.Discord(account, strict=False)
        self.stripe = stripe.Stripe(account)
        # Stripe charges a renewal an hour after the period began; a demonstration has no such hour.
        self.stripe.account.draft_seconds = 0
        self.plans = demo_shop.stocked(self.stripe, "Signals", 2900, 3100)
        self.price = self.plans.month
        self.label = self.exchange.label
        self.addresses: dict[str, str] = {}
        self.pace: float | None = None
        """Real seconds from one candle's close to the next; None while the market stands still."""
        self.due = 0.0
        """When the next one closes, by the monotonic clock, if the market does not stand still."""
        world_places.people(self.telegram)
        if both:
            world_places.furnish(self.telegram, self.discord)

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
        discord: bool = True,
    ) -> AsyncIterator[Self]:
        """The stand-ins answer until the block ends; without `start` the market begins shortly before a signal.

        Without `discord` the community is on Telegram alone, with private chats and no gated place.
        """
        if markets is None:
            markets = await asyncio.to_thread(_markets, timeframe)
        if start is None:
            start = await asyncio.to_thread(moment.beginning, markets, timeframe)
        account = _account(folder)
        world = cls(folder, account, markets, start, limits, timeframe, both=discord)
        try:
            async with AsyncExitStack() as served:
                for name in ("exchange", "telegram", "stripe", *(["discord"] if discord else [])):
                    url = await served.enter_async_context(server.serving(getattr(world, name).app))
                    world.addresses[name] = url
                world.stripe.base_url = world.addresses["stripe"]
                world.telegram.stars.site = world.addresses["telegram"]
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
            "CCXT_TRADING_PAIRS": ",".join(self._symbols),
            "CCXT_TIMEFRAMES": self.timeframe,
            "SCAN_SECONDS": "0.2",
            "ADMINS": f"telegram:{OPERATOR}",
            "HEARTBEAT_HOUR": "-1",  # what is in the chats must not depend on the hour of the day
        }
        if self.both:
            env |= {"DISCORD_BOT_TOKEN": self.discord.token, "DISCORD_API_URL": f"{self.addresses['discord']}/api"}
            env["ADMINS"] = f"telegram:{OPERATOR},discord:{OLGA_D}"
        notice = "" if self.label == market_history.REAL else self.label
        if not (told := world_places.catalogue(notice, self._symbols, self.timeframe, places=self.both)):
            return env
        if self.both:
            told += demo_shop.opened(self.stripe, self.plans)
        path = self.folder / "signalstack.toml"
        path.write_text(told, encoding="utf-8")
        return env | {"SIGNALSTACK_CONFIG": str(path)}

    @property
    def _symbols(self) -> list[str]:
        return [market.symbol for market in self.exchange.markets.values()]

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
        self,
        *,
        granted: Iterable[checker.Entitlement] = (),
        accounts: Iterable[checker.Linked] = (),
        rules: checker.Rules | None = None,
    ) -> checker.Verdict:
        """The checker's verdict over everything so far; who paid is read from what happened at Stripe.

        `granted` is what was given without a payment, `accounts` which of them belong to one person.
        """
        members = checker_reading.members(self._links())
        payers = checker_reading.payers(self.history.events, members)
        payers += checker_stars.payers(self.history.events)
        payers += checker_gifts.receivers(self.history.events, members)
        places = world_places.gated(self.discord) if self.both else []
        entitled = [*payers, *granted]
        return checker.judge(self.history, entitled=entitled, rules=rules, places=places, accounts=accounts)

    async def settled(self, *, accounts: Iterable[checker.Linked] = (), within: float = 30.0) -> checker.Verdict:
        """The verdict once what was still on its way has arrived, or after `within` seconds if something has not."""
        due = time.monotonic() + within
        while not (verdict := self.judge(accounts=accounts)).ok and time.monotonic() < due:  # noqa: ASYNC110 - others send
            await asyncio.sleep(0.25)
        return verdict

    def _links(self) -> list[tuple[checker.Account, str]]:
        """Every address that a button in somebody's private chat led to, and whose chat it was; oldest first."""
        found: list[tuple[float, checker.Account, str]] = []
        for chat in self.telegram.chats.values():
            for message in chat.messages.values() if chat.person else ():
                urls = (str(button.get("url", "")) for row in message.buttons for button in row)
                found += [(message.date, chat.id, url) for url in urls]
        for user in self.discord.users:
            for seen in (*self.discord.dm(user), *self.discord.whispers(user)):
                urls = (str(button.get("url", "")) for button in seen.buttons)
                found += [(seen.sent, ("discord", user), url) for url in urls]
        found.sort(key=lambda link: link[0])
        return [(account, url) for _, account, url in found]


def _age(account: Any, sub: dict[str, Any], seconds: int) -> None:
    """Everything about this subscription happened `seconds` earlier; nobody is told, as nothing changed."""
    account.secret(sub["id"])["trial_notice_at"] = None
    for name in ("created", "start_date", "cancel_at", "trial_start", "trial_end"):
        if sub.get(name) is not None:
            sub[name] -= seconds
    for item in sub["items"]["data"]:
        item["current_period_start"] -= seconds
        item["current_period_end"] -= seconds
        hidden = account.secret(item["id"])
        hidden.pop("anchor", None)
        if asked := hidden.get("billed"):
            hidden["billed"] = (asked[0], asked[1] - seconds, asked[2] - seconds, asked[3])
    # Months differ in length: counted from the moved beginning, the next period could be a single day.
    sub["billing_cycle_anchor"] = stripe_billing.period_end(sub)
    account.watch(sub)


def _account(folder: Path) -> history.History:
    folder.mkdir(parents=True, exist_ok=True)
    return history.History(folder / "history.jsonl")


def _markets(timeframe: str) -> Markets:
    markets, _ = market_history.load_markets(SYMBOLS, [timeframe], cache=CACHE)
    return markets
