"""Telegram Stars: invoices of the bot, people who pay them, subscriptions that go on by the clock, and refunds.

Whatever is due by the world's clock (renewals, ends) is settled before anything is asked or done here, so what the bot
hears and what it is told when it asks always agree. People have Stars in plenty unless `balance` says otherwise.
"""

import asyncio
import time
from dataclasses import dataclass, field

from tests.sandbox import telegram_call, telegram_chats, telegram_world

Json = telegram_chats.Json
Call = telegram_call.Call

CURRENCY = "XTR"
PERIOD = 2_592_000
"""Seconds: the only period that subscriptions can have."""
MOST = 10_000
"""Stars that a period costs at most."""
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


@dataclass(slots=True)
class Invoice:
    """What a link asks for; whoever has the link can pay it, as often as the bot says yes."""

    link: str
    title: str
    description: str
    payload: str
    amount: int
    period: int

    def json(self) -> Json:
        """What the bot asked for, as its updates repeat it."""
        return {"currency": CURRENCY, "total_amount": self.amount, "invoice_payload": self.payload}


@dataclass(slots=True)
class Payment:
    """Stars that went to the bot."""

    charge: str
    user: int
    invoice: Invoice
    refunded: bool = False


@dataclass(slots=True)
class Subscription:
    """What is charged again at `until` (epoch seconds), unless somebody has cancelled it; named by its first charge."""

    charge: str
    user: int
    invoice: Invoice
    until: int
    canceled: bool = False
    by_bot: bool = False
    over: bool = False
    payments: list[Payment] = field(default_factory=list)


class Stars:
    """The Stars of one bot. `answer_within` is how many seconds it has to answer a question before a payment."""

    def __init__(self, world: "telegram_world.World") -> None:
        self.balance: dict[int, int] = {}
        self.invoices: dict[str, Invoice] = {}
        self.payments: dict[str, Payment] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.answer_within = 10.0
        self.site = "https://t.me"
        """Where invoices open; the stand-in's own address where browsers are to find them."""
        self.tells_changes = True
        """Whether the bot is told of cancelled and failed subscriptions, as newer servers do."""
        self._world = world
        self._ledger: list[Json] = []
        self._asked: dict[str, asyncio.Future[str]] = {}
        self._next = 1

    # --- what people do

    async def pay(self, user_id: int, link: str) -> str:
        """The person has confirmed the invoice: "paid", or why not, as their phone says it."""
        self.settle()
        invoice = self.invoices.get(link)
        if invoice is None:
            return "This invoice does not exist."
        if self.balance.get(user_id, invoice.amount) < invoice.amount:
            return "You do not have enough Stars."
        refusal = await self._ask(user_id, invoice)
        if refusal:
            return refusal
        self._charge(user_id, invoice, int(self._world.now()))
        return "paid"

    def cancel(self, charge: str) -> None:
        """The person has cancelled the subscription in their settings; it lasts until its end."""
        self.settle()
        self.subscriptions[charge].canceled = True
        self._tell_change(self.subscriptions[charge], "canceled")

    def resume(self, charge: str) -> None:
        """The person has switched the subscription on again before its end, which only they can undo themselves."""
        self.settle()
        found = self.subscriptions[charge]
        if found.by_bot or found.over:
            raise ValueError("cancelled by the bot, or over")
        found.canceled = False
        self._tell_change(found, "active")

    def settle(self) -> None:
        """Everything that was due until now has happened, in its order: renewals, and ends where no Stars are left."""
        now = int(self._world.now())
        while due := [one for one in self.subscriptions.values() if not one.over and one.until <= now]:
            first = min(due, key=lambda one: one.until)
            if first.canceled:
                first.over = True
            elif self.balance.get(first.user, first.invoice.amount) < first.invoice.amount:
                first.over = True
                self._tell_change(first, "failed")
            else:
                self._charge(first.user, first.invoice, first.until, first)

    async def _ask(self, user_id: int, invoice: Invoice) -> str:
        """Why the bot does not want the payment; empty when it does."""
        number = str(self._number())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        asked = time.monotonic()
        person = self._world.people[user_id].json()
        self._world.updates.make("pre_checkout_query", {"id": number, "from": person, **invoice.json()})
        try:
            refusal = await asyncio.wait_for(answer, self.answer_within)
        except TimeoutError:
            refusal = "The bot did not answer in time."
        finally:
            self._asked.pop(number, None)
        fields = {"user_id": user_id, "refusal": refusal, "seconds": round(time.monotonic() - asked, 3)}
        self._world.history.add("telegram_stars_asked", payload=invoice.payload, **fields)
        return refusal

    def _charge(self, user_id: int, invoice: Invoice, date: int, again: Subscription | None = None) -> None:
        payment = Payment(f"stxSandbox{self._number():012d}", user_id, invoice)
        self.payments[payment.charge] = payment
        self._move(user_id, -invoice.amount)
        said: Json = invoice.json() | {"telegram_payment_charge_id": payment.charge, "provider_payment_charge_id": ""}
        if invoice.period:
            first = again or Subscription(payment.charge, user_id, invoice, date)
            self.subscriptions[first.charge] = first
            first.until += invoice.period
            first.payments.append(payment)
            said |= {"subscription_expiration_date": first.until, "is_recurring": True}
            said |= {} if again else {"is_first_recurring": True}
        self._enter(payment, date, "source")
        self._world.history.add("telegram_stars_paid", **_account(payment), renewal=again is not None)
        self._lay(user_id, {"successful_payment": said}, date)

    # --- what the bot asks

    def create_invoice_link(self, call: Call) -> str:
        """createInvoiceLink, for Stars only."""
        prices = call.decoded("prices")
        if call.text("currency") != CURRENCY or call.text("provider_token"):
            raise telegram_call.bad("CURRENCY_INVALID: only Telegram Stars are known here")
        if not isinstance(prices, list) or len(prices) != 1 or not isinstance(prices[0].get("amount"), int):
            raise telegram_call.bad("can't parse prices: exactly one is needed for Telegram Stars")
        period, amount = call.integer("subscription_period") or 0, int(prices[0]["amount"])
        if period not in (0, PERIOD):
            raise telegram_call.bad("SUBSCRIPTION_PERIOD_INVALID")
        if amount < 1 or (period and amount > MOST):
            raise telegram_call.bad("STARS_INVOICE_INVALID")
        for name, most in (("title", 32), ("description", 255)):
            if not 1 <= len(call.text(name)) <= most:
                raise telegram_call.bad(f"{name} must have from 1 to {most} characters")
        if not 1 <= len(call.text("payload").encode()) <= 128:
            raise telegram_call.bad("INVOICE_PAYLOAD_INVALID")
        link = f"{self.site}/$sandbox{self._number():08d}"
        what = (call.text("title"), call.text("description"), call.text("payload"))
        self.invoices[link] = Invoice(link, *what, amount, period)
        return link

    def answer(self, call: Call) -> bool:
        """answerPreCheckoutQuery: once, and in time."""
        asked = self._asked.get(call.text("pre_checkout_query_id"))
        if asked is None or asked.done():
            raise telegram_call.bad(TOO_OLD)
        if not call.flag("ok") and not call.text("error_message"):
            raise telegram_call.bad("error message is empty")
        asked.set_result("" if call.flag("ok") else call.text("error_message"))
        return True

    def refund(self, call: Call) -> bool:
        """refundStarPayment: whole, and once."""
        self.settle()
        payment = self.payments.get(call.text("telegram_payment_charge_id"))
        if payment is None or payment.user != call.integer("user_id"):
            raise telegram_call.bad("CHARGE_NOT_FOUND")
        if payment.refunded:
            raise telegram_call.bad("CHARGE_ALREADY_REFUNDED")
        payment.refunded = True
        self._move(payment.user, payment.invoice.amount)
        now = int(self._world.now())
        self._enter(payment, now, "receiver")
        self._world.history.add("telegram_stars_refunded", **_account(payment))
        said = payment.invoice.json() | {"telegram_payment_charge_id": payment.charge}
        self._lay(payment.user, {"refunded_payment": said}, now)
        return True

    def edit_subscription(self, call: Call) -> bool:
        """editUserStarSubscription: it is named by its first charge, and lasts until its end."""
        self.settle()
        found = self.subscriptions.get(call.text("telegram_payment_charge_id"))
        if found is None or found.user != call.integer("user_id"):
            raise telegram_call.bad("CHARGE_ID_INVALID")
        found.by_bot = call.flag("is_canceled")
        found.canceled = found.canceled or found.by_bot
        self._world.history.add("telegram_stars_edited", user_id=found.user, charge=found.charge, canceled=found.by_bot)
        return True

    def transactions(self, call: Call) -> Json:
        """getStarTransactions, oldest first."""
        self.settle()
        offset, limit = call.integer("offset") or 0, call.integer("limit") or 100
        if not 1 <= limit <= 100 or offset < 0:
            raise telegram_call.bad("LIMIT_INVALID")
        return {"transactions": self._ledger[offset : offset + limit]}

    # ---

    def _enter(self, payment: Payment, date: int, side: str) -> None:
        invoice, user = payment.invoice, self._world.people[payment.user].json()
        partner: Json = {"type": "user", "transaction_type": "invoice_payment", "user": user}
        partner["invoice_payload"] = invoice.payload
        if invoice.period:
            partner["subscription_period"] = invoice.period
        self._ledger.append({"id": payment.charge, "amount": invoice.amount, "date": date, side: partner})

    def _lay(self, user_id: int, service: Json, date: int) -> None:
        chat, person = self._world.chats[user_id], self._world.people[user_id].json()
        message = self._world.new_message(chat)
        message.sender, message.date, message.service = person, date, service
        self._world.lay(message)
        self._world.updates.make("message", message.json())

    def _tell_change(self, found: Subscription, state: str) -> None:
        self._world.history.add("telegram_stars_changed", user_id=found.user, charge=found.charge, state=state)
        if self.tells_changes:
            user = self._world.people[found.user].json()
            said = {"user": user, "invoice_payload": found.invoice.payload, "state": state}
            self._world.updates.make("subscription", said)

    def _move(self, user_id: int, amount: int) -> None:
        if user_id in self.balance:
            self.balance[user_id] += amount

    def _number(self) -> int:
        self._next += 1
        return self._next - 1


def _account(payment: Payment) -> Json:
    invoice = payment.invoice
    about = {"amount": invoice.amount, "period": invoice.period, "payload": invoice.payload}
    return {"user_id": payment.user, "charge": payment.charge, **about}
