"""The part of the story that is about money: free days, a gift, the first charge, another period, the end."""

import re

from tests.sandbox import demo_asking, demo_shop, telegram, visitor
from tests.sandbox.demo_asking import SOON, MissingError
from tests.sandbox.world import FRIEND, MAYA_D, MEMBER, SIGNALS, VIP

_CHARGED = re.compile(r"([\d,]+\.\d\d [A-Z]{3}) charged now")


class Buyer(demo_asking.Teller):
    """What Maya buys, and what her friend Lena gets of it."""

    async def _plans(self) -> str:
        answer = await self._ask(MEMBER, "/plans", "29.00")
        return next(line for line in answer.text.splitlines() if "29.00" in line)

    async def _subscribes(self) -> str:
        link = demo_asking.link(await self._ask(MEMBER, "/subscribe signals", "29.00"))
        days = f"{demo_shop.TRIAL_DAYS} days free"
        async with visitor.Visitor() as browser:
            page = await browser.look(link)
            for words in ("29.00 EUR", "290.00 EUR", days):
                _must(words in page.text, f"The checkout page does not say “{words}”: {page.text[:400]}")
            opened = self._world.history.of("stripe_session_created")
            _must(not opened, "Looking at the checkout page has opened a checkout already.")
            page = await browser.press(page, "Continue to the free days")
            _must(self._at_bank(page), f"The shop's button led to {page.url} and not to the bank.")
            page = await browser.press(page, "Start", email="maya@example.com")
        begun = self._world.subscription
        _must(begun and begun["status"] == "trialing", f"No free days began; the page says: {page.text[:300]}")
        return f"{days}, then 29.00 EUR every month; back at “{page.text[:60]}…”"

    def _at_bank(self, page: visitor.Page) -> bool:
        return page.url.startswith(self._world.addresses["stripe"])

    async def _welcomed(self) -> str:
        return (await self._world.message(MEMBER, "is on.", within=SOON)).text.partition("\n")[0]

    # --- a gift

    async def _gives(self) -> str:
        link = demo_asking.link(await self._ask(MEMBER, "/gift", "Give it to somebody"))
        async with visitor.Visitor() as browser:
            page = await browser.press(await browser.look(link), "Continue to payment")
            await browser.press(page, "Pay", email="maya@example.com")
        paid = self._world.history.of("stripe_bought")
        _must(paid, "Stripe received nothing for the gift.")
        told = await self._world.message(MEMBER, "Your gift of Signals is paid", within=SOON)
        await self._press(told, "Get the link")
        handed = await self._world.message(MEMBER, "to hand on", after=told.id, within=SOON)
        found = re.search(r"http\S+/invitation/\S+", handed.text)
        _must(found, f"There is no link to hand on:\n{handed.text}")
        self._handed = found[0] if found else ""
        return f"{paid[-1]['amount'] / 100:.2f} EUR once, nothing renews"

    async def _takes(self) -> str:
        async with visitor.Visitor() as browser:
            page = await browser.look(self._handed)
        _, _, payload = page.links.get("Take it in Telegram", "").partition("?start=")
        _must(payload and "from Maya" in page.text, f"The page does not lead into the chat: {page.text[:300]}")
        await self._ask(FRIEND, f"/start {payload}", "That code is good")
        return (await self._world.message(FRIEND, "a gift from Maya", within=SOON)).text.partition("\n")[0]

    async def _keeps(self) -> str:
        answer = await self._ask(FRIEND, "/status", "Signals")
        _must("gift" in answer.text, f"Lena's gift is not named:\n{answer.text}")
        return ""

    # --- the first charge, and another period

    async def _charged(self) -> str:
        await self._world.end_paid_period()
        charged = self._world.history.of("stripe_renewed")
        _must(charged and charged[-1]["amount"] == 2900, f"Stripe has charged {charged or 'nothing'}.")
        _must(self._world.is_inside(VIP, MEMBER), "Maya is outside, though she has paid.")
        return f"{charged[-1]['amount'] / 100:.2f} EUR, and nothing else changes"

    async def _changes(self) -> str:
        message = await self._ask(MEMBER, "/billing", "billing portal")
        async with visitor.Visitor() as browser:
            page = await browser.look(_under(message, "Change plan"))
            page = await browser.press(page, "See what it costs", price=self._world.plans.year["id"])
            told = _CHARGED.search(page.text)
            _must(told, f"The page does not say what is charged now: {page.text[:500]}")
            shown = told[1] if told else ""
            agree = next((one.label for one in page.buttons if one.label.endswith(f"pay {shown}")), "")
            page = await browser.press(page, agree)
        _must("This is what you have now" in page.text, f"The change did not happen: {page.text[:300]}")
        invoice = self._world.stripe.account.all("invoice")[0]
        billed = f"{invoice['amount_paid'] / 100:.2f} EUR"
        _must(billed == shown, f"The page said {shown}, and the invoice is {billed}.")
        return f"the page said {shown}, the invoice says {billed}"

    # --- the end

    async def _cancels(self) -> str:
        link = demo_asking.link(await self._ask(MEMBER, "/cancel", "portal"))
        async with visitor.Visitor() as browser:
            page = await browser.press(await browser.look(link), "Open my billing page")
            await browser.press(page, "Cancel plan")
        answer = await self._world.message(MEMBER, "is noted", within=SOON)
        return answer.text.splitlines()[1]

    async def _leaves(self) -> str:
        await self._world.end_paid_period()
        return (await self._world.message(MEMBER, "has ended", within=SOON)).text.partition("\n")[0]

    async def _put_out(self) -> str:
        await self._world.outside(VIP, MEMBER, within=SOON)
        await self._world.outside(SIGNALS, MAYA_D, within=SOON)
        return "and free to come back when she pays again"


def _must(holds: object, otherwise: str) -> None:
    if not holds:
        raise MissingError(otherwise)


def _under(message: telegram.Message, label: str) -> str:
    """The address that the button with this label leads to."""
    buttons = [button for row in message.buttons for button in row]
    found = next((str(one["url"]) for one in buttons if one["text"] == label and "url" in one), "")
    _must(found, f"There is no link “{label}”:\n{message.text}")
    return found
