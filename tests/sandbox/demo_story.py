"""The story of the demonstration, played without a hand: every step either happened or is named as missing."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.sandbox import checker, checker_reading, demo_selling, discord, moment, product, telegram, visitor
from tests.sandbox.demo_asking import SOON, MissingError, Reading
from tests.sandbox.world import (
    FRIEND,
    LOBBY,
    MAYA_D,
    MEMBER,
    NOAH_D,
    OLGA_D,
    OPERATOR,
    SIGNALS,
    STRANGER,
    VIP,
    NothingHappenedError,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the story ended; `missing` names the step that did not happen, empty when all did."""

    missing: str
    reason: str
    verdict: checker.Verdict


class Story(demo_selling.Buyer):
    """One telling of the story in this world, with this product."""

    async def told(self) -> Outcome:
        """The story has been played as far as it goes; each step that happened was said."""
        steps: list[tuple[str, Callable[[], Awaitable[str]]]] = [
            ("Maya joins", self._joins),
            ("Noah and Olga join too", self._others_join),
            ("Maya looks at the plans", self._plans),
            ("Maya begins with free days, on the pages of shop and bank", self._subscribes),
            ("Maya is told in the chat that her access is on", self._welcomed),
            ("Maya asks to join the gated Telegram channel and is let in", self._enters),
            ("Noah tries the same invite link and is turned away with a helpful word", self._turned_away),
            ("Maya links her Discord account; both sides say yes", self._links),
            ("Discord's gated channel opens for Maya, and for her alone", self._opened),
            ("Maya buys a month for her friend Lena and gets a link to hand on", self._gives),
            ("Lena takes the gift with that link", self._takes),
            ("a signal reaches both channels with its chart, and Lena in private", self._signalled),
            ("Maya asks for her status and the latest signals on both chats", self._asks),
            ("Noah, who never paid, asks on both chats and gets nothing paid", self._refused),
            ("its first target is hit: a reply in both channels, half is out, the stop moves", self._halfway),
            ("the signal's end comes as a reply in both channels, with its result after costs", self._ended),
            ("Maya tries a strategy on the stored candles and gets its curve", self._backtests),
            ("Noah reads the results, losses included, as everybody may", self._reads_results),
            ("whoever likes checks the public record, line by line, and what was said of the signal", self._verifies),
            ("Olga, the operator, sees that every part works and what the last round found", self._operates),
            ("the free days end, and Stripe charges the first month", self._charged),
            ("Maya changes to a year, and is told before what it costs", self._changes),
            ("Maya cancels in the billing portal and is told what it means", self._cancels),
            ("the paid year ends, Maya loses access and is told", self._leaves),
            ("Maya is out of both channels", self._put_out),
            ("Maya now sees results only", self._outside),
            ("Lena keeps her gift", self._keeps),
            ("Noah received no signal on either chat", self._nothing_for_noah),
        ]
        for title, step in steps:
            began = time.monotonic()
            try:
                self._shop.check()
                words = await step()
            except (NothingHappenedError, MissingError, visitor.PageError, product.ProductError) as error:
                self._say(f"  ✗ {title}")
                return Outcome(title, str(error), self._world.judge(accounts=self._accounts()))
            self._say(f"  ✓ {title}{': ' + words if words else ''} ({time.monotonic() - began:.1f} s)")
        return Outcome("", "", await self._world.settled(accounts=self._accounts()))

    def _accounts(self) -> list[checker.Linked]:
        return [self._linked] if self._linked else []

    # --- the steps

    async def _joins(self) -> str:
        answer = await self._ask(MEMBER, "/start", "Welcome")
        return answer.text.partition("\n")[0]

    async def _others_join(self) -> str:
        await self._ask(STRANGER, "/start", "Welcome")
        await self._ask(OPERATOR, "/start", "Welcome")
        return ""

    # --- places and accounts

    async def _enters(self) -> str:
        self._invitation = await self._ask(MEMBER, "/join", "")
        came = await self._world.knock(MEMBER, self._invitation)
        if came != "asked":
            raise MissingError(f"The way in is no request to join: {came}.")
        await self._world.inside(VIP, MEMBER, within=SOON)
        return "a request to join, granted because she pays"

    async def _turned_away(self) -> str:
        assert self._invitation is not None
        await self._world.knock(STRANGER, self._invitation)
        words = await self._world.message(STRANGER, "subscribers", within=SOON)
        if self._world.is_inside(VIP, STRANGER):
            raise MissingError("Noah is inside the channel.")
        return f"“{words.text.splitlines()[0]}”"

    async def _links(self) -> str:
        offered = await self._ask(MEMBER, "/link", "Link another account")
        code = next(line.removeprefix("/link ") for line in offered.text.splitlines() if line.startswith("/link "))
        here = await self._world.slash(MAYA_D, "membership link", {"code": code})
        if "Maya" not in here.text:
            raise MissingError(f"The question does not name the other side:\n{here.text}")
        there = await self._world.message(MEMBER, "Shall these two accounts", after=offered.id, within=SOON)
        await self._world.click(MAYA_D, here, "Confirm")
        before = self._world.history.events[-1]["n"]
        await self._press(there, "Confirm")
        await self._world.message(MEMBER, "now share one membership", within=SOON)
        self._linked = checker.Linked(frozenset({MEMBER, ("discord", MAYA_D)}), before)
        return "a code used once, a question to each side"

    async def _opened(self) -> str:
        await self._world.inside(SIGNALS, MAYA_D, within=SOON)
        if self._world.is_inside(SIGNALS, NOAH_D):
            raise MissingError("Noah sees the gated channel on Discord.")
        return "she has the role now"

    # --- a signal and its end

    async def _signalled(self) -> str:
        count, self._signal, self._opening = await self._candles_until(checker_reading.openings, moment.LEAD + 40)
        if not self._opening.photo:
            raise MissingError("The signal came to Telegram without its chart.")
        posted = await self._world.post(SIGNALS, f"#{self._signal}", within=SOON)
        assert isinstance(posted, discord.Message)
        self._posted = posted
        if not posted.has_photo:
            raise MissingError("The signal came to Discord without its chart.")
        await self._world.message(FRIEND, f"#{self._signal}", within=SOON)
        size = self._opening.photo_sizes[-1]
        head = self._opening.text.partition("\n")[0]
        return f"{head}, chart {size['width']}×{size['height']}, after {count} candles"

    async def _asks(self) -> str:
        await self._ask(MEMBER, "/status", "free until")
        answer = await self._ask(MEMBER, "/latest", "Latest signals")
        alone = await self._world.slash(MAYA_D, "signals latest", where=LOBBY)
        for said, ephemeral in ((answer.text, True), (alone.text, alone.ephemeral)):
            if f"#{self._signal}" not in said or not ephemeral:
                raise MissingError(f"The open signal #{self._signal} is not shown to her alone:\n{said}")
        return "on Discord only she can see the answer"

    async def _refused(self) -> str:
        answer = await self._ask(STRANGER, "/latest", "Latest results")
        alone = await self._world.slash(NOAH_D, "signals latest", where=LOBBY)
        for said, picture in ((answer.text, answer.photo), (alone.text, alone.has_photo)):
            if "▲" in said or "▼" in said or picture:
                raise MissingError(f"Noah was shown an open signal:\n{said}")
        # The bot leaves who knocks some seconds, in which a payment may still arrive.
        seen = self._world.history
        await self._world.until(
            lambda: seen.of("telegram_join_declined", user_id=STRANGER), 2 * SOON, "Noah is declined"
        )
        return "and his request to join was declined"

    async def _halfway(self) -> str:
        message = await self._answered(checker_reading.parts, "the first target")
        return ", ".join(message.text.splitlines()[:2])

    async def _ended(self) -> str:
        message = await self._answered(checker_reading.updates, "the end")
        return ", ".join(message.text.splitlines()[:2])

    async def _answered(self, reading: Reading, what: str) -> telegram.Message:
        """What was told about the signal as a reply to it in both channels; as it lies in Telegram's."""
        _, number, message = await self._candles_until(reading, moment.LONGEST + 40)
        if message.reply_to is not self._opening:
            raise MissingError(f"What was told of {what} is no reply to the signal on Telegram.")
        assert self._posted is not None
        heads = [line for line in message.text.splitlines()[:1] if f"#{number}" in line]
        there = await self._world.post(SIGNALS, heads[0].partition(" · ")[0], after=self._posted.id, within=SOON)
        if there.reply_to != self._posted.id:
            raise MissingError(f"What was told of {what} is no reply to the signal on Discord.")
        return message

    async def _backtests(self) -> str:
        asked = await self._ask(MEMBER, "/backtest BTC mean_reversion", "is running")
        answer = await self._world.message(MEMBER, "computed from the past", after=asked.id, within=SOON)
        if not answer.photo:
            raise MissingError("The backtest came without its curve.")
        lines = [line for line in answer.text.splitlines() if line]
        return ", ".join(lines[:3])

    async def _reads_results(self) -> str:
        answer = await self._ask(STRANGER, "/record", "closed signal")
        return answer.text.partition("\n")[0]

    async def _verifies(self) -> str:
        await self._ask(MEMBER, f"/verify {self._signal}", f"#{self._signal} in the record")
        said = await self._shop.command("verify", f"{self._shop.url}/record.jsonl")
        return said.strip().partition("\n")[0]

    async def _operates(self) -> str:
        answer = await self._ask(OPERATOR, "/service", "Everything is working")
        await self._world.slash(OLGA_D, "admin drift", where=None)
        return answer.text.partition("\n")[0]

    async def _outside(self) -> str:
        await self._ask(MEMBER, "/status", "no subscription")
        answer = await self._ask(MEMBER, "/latest", "Latest results")
        if "▲" in answer.text or "▼" in answer.text:
            raise MissingError(f"Maya still sees open signals:\n{answer.text}")
        return ""

    async def _nothing_for_noah(self) -> str:
        rows = self._world.history.of("telegram_message", chat_id=STRANGER)
        rows += self._world.history.of("discord_message", user_id=NOAH_D)
        rows += self._world.history.of("discord_ephemeral", user_id=NOAH_D)
        if checker_reading.openings(rows) or checker_reading.paid_messages(rows):
            raise MissingError("Noah was shown something paid.")
        return f"his {len(rows)} messages are answers to what he did"
