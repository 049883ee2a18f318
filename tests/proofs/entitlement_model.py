"""What a subscription is worth, said a second time: by looking at the account of Stripe's stand-in, not at the product.

It follows the table in docs/billing.md and shares no line with the product's own rule. Moments are whole seconds of
Stripe's clock.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

DAY = 86_400
LIVE = {"active", "trialing", "past_due"}
_QUESTIONS = {"warning_needs_response", "warning_under_review", "warning_closed", "won", "prevented"}


@dataclass(frozen=True)
class Choices:
    """What the operator has chosen, and which price pays for which plan."""

    plans: dict[str, str]
    grace_days: int = 3
    paused_keeps: bool = False
    second: str = "refund"


@dataclass(frozen=True)
class Worth:
    """What a subscription opens, and the first moment at which it does not."""

    plan: str = ""
    until: int = 0

    def at(self, moment: float) -> set[str]:
        """The plans that are open then."""
        return {self.plan} if self.plan and moment < self.until else set()


NOTHING = Worth()


def worth(acc: Account, sub: Obj, choices: Choices, *, whole: bool = True) -> Worth:
    """What the subscription is worth as things stand in the account now.

    Not `whole`: as somebody sees it who looks at the subscription and at its latest payment alone, and has not heard
    of a dispute of an older one.
    """
    item = max(sub["items"]["data"], key=lambda one: int(one["current_period_end"]))
    plan = choices.plans.get(item["price"]["id"], "")
    end = _end(sub, item, choices.grace_days * DAY)
    unpaid = sub["pause_collection"] and not choices.paused_keeps
    if not plan or not end or unpaid or _on_its_way(acc, sub) or _taken_back(acc, sub, whole):
        return NOTHING
    return Worth(plan, end)


def _end(sub: Obj, item: Obj, grace: int) -> int:
    if sub["status"] == "past_due":
        end = item["current_period_start"] + grace
    elif sub["status"] in {"active", "trialing"}:
        end = item["current_period_end"] + grace
    else:
        return 0
    return int(min(end, sub["cancel_at"])) if sub["cancel_at"] else int(end)


def _on_its_way(acc: Account, sub: Obj) -> bool:
    """The money of the very first invoice has not arrived, nor any other."""
    return next(_invoices(acc, sub))["status"] != "paid" and not list(payments(acc, sub))


def _taken_back(acc: Account, sub: Obj, whole: bool) -> bool:
    """The payment of the newest invoice that has one went back whole, or the bank wants any payment back, or has it."""
    paid = list(payments(acc, sub))[0 if whole else -1 :]
    disputed = {row["charge"] for row in acc.all("dispute") if row["status"] not in _QUESTIONS}
    return bool(paid) and (paid[-1]["refunded"] or any(charge["id"] in disputed for charge in paid))


def payments(acc: Account, sub: Obj) -> Iterator[Obj]:
    """The charges that brought money for this subscription, in the order of its invoices, oldest first."""
    paid = defaultdict(list)
    for charge in reversed(acc.all("charge")):
        if charge["paid"]:
            paid[acc.secret(charge["payment_intent"]).get("invoice")].append(charge)
    for bill in _invoices(acc, sub):
        yield from paid[bill["id"]]


def _invoices(acc: Account, sub: Obj) -> Iterator[Obj]:
    for row in reversed(acc.all("invoice")):
        if row["parent"]["subscription_details"]["subscription"] == sub["id"]:
            yield row


def owner(sub: Obj) -> int:
    """The member who pays."""
    return int(sub["metadata"]["signalstack_member"])


def live(acc: Account, member_id: int, plan: str, choices: Choices) -> list[Obj]:
    """The member's subscriptions to this plan that go on being charged, oldest first."""
    return [
        sub
        for sub in reversed(acc.all("subscription"))
        if owner(sub) == member_id
        and sub["status"] in LIVE
        and choices.plans.get(sub["items"]["data"][0]["price"]["id"]) == plan
    ]


def plainly_doubled(acc: Account, subs: list[Obj], choices: Choices) -> bool:
    """Whether nobody would mind that the newest of them goes: paid once, not long ago, and another one stays.

    One that began another period after its first day, by a change, is left to people (docs/billing.md).
    """
    *others, newest = subs
    young = acc.now() - newest["created"] < 14 * DAY and len(list(payments(acc, newest))) <= 1
    young &= newest["items"]["data"][0]["current_period_start"] - newest["created"] <= DAY
    return young and _stays(acc, newest, choices) and any(_stays(acc, one, choices) for one in others)


def half_returned(acc: Account) -> list[str]:
    """Subscriptions of which a payment went back because they were one too many, and another payment did not."""
    returned = {row["charge"] for row in acc.all("refund") if row["reason"] == "duplicate"}
    paid = {sub["id"]: list(payments(acc, sub)) for sub in acc.all("subscription")}
    return [
        name
        for name, charges in paid.items()
        if any(charge["id"] in returned for charge in charges) and not all(charge["refunded"] for charge in charges)
    ]


def _stays(acc: Account, sub: Obj, choices: Choices) -> bool:
    """It opens something, and goes on doing so."""
    going_on = sub["status"] in {"active", "trialing"} and not sub["cancel_at"] and not sub["pause_collection"]
    return going_on and bool(worth(acc, sub, choices).at(acc.now()))


class Belief:
    """What the product may hold each subscription to be worth, because it was true when it may have looked last.

    A look happens with every piece of work that it does; once it has surely looked, only what is true now is left.
    """

    def __init__(self, acc: Account, choices: Choices) -> None:
        self._acc = acc
        self._choices = choices
        self._known: dict[str, set[Worth]] = defaultdict(lambda: {NOTHING})

    def looked(self) -> None:
        """The product may have seen how things stand now, or the part of it that it had heard of."""
        for sub in self._acc.all("subscription"):
            self._known[sub["id"]] |= {worth(self._acc, sub, self._choices, whole=whole) for whole in (True, False)}

    def settled(self) -> None:
        """The product has surely seen how things stand now."""
        for sub in self._acc.all("subscription"):
            self._known[sub["id"]] = {worth(self._acc, sub, self._choices)}

    def bounds(self, member_id: int, moment: float) -> tuple[set[str], set[str]]:
        """The plans that the member must have at this moment, and those that they may have."""
        must: set[str] = set()
        may: set[str] = set()
        for sub in self._acc.all("subscription"):
            if owner(sub) == member_id:
                opened = [one.at(moment) for one in self._known[sub["id"]]]
                must |= set.intersection(*opened)
                may |= set.union(*opened)
        return must, may
