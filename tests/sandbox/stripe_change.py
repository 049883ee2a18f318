"""Changes of a running subscription in the stand-in: another price or number, counted by the second, shown before."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_invoices as invoices
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_periods as periods
from tests.sandbox import stripe_prices as prices
from tests.sandbox import stripe_shapes, stripe_wire
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, need, truth, whole


@dataclass
class Plan:
    """What a change would do: the subscription as it will be, and what is asked for it.

    `restarted`: a new period begins now. `billed`: an invoice is made at once; otherwise the lines wait for the next.
    """

    later: Obj
    lines: list[invoices.Line]
    restarted: bool
    billed: bool


def plan(acc: Account, sub: Obj, wanted: Obj) -> Plan:
    """What this request would do to the subscription; nothing has happened yet."""
    later = stripe_wire.copied(sub)
    at = _proration_date(acc, sub, wanted)
    begins = sub["status"] == "trialing" and wanted.get("trial_end") == "now"
    _set_trial(acc, later, wanted)
    _set_items(acc, later, wanted)
    behavior = wanted.get("proration_behavior") or "create_prorations"
    counted = [] if behavior == "none" or sub["status"] == "trialing" else _changed(sub, later)
    restarted = begins or wanted.get("billing_cycle_anchor") == "now" or _other_cycle(sub, later)
    if restarted and counted:
        counted = [(item, None) for item in sub["items"]["data"]]
    lines = _prorated(acc, sub, counted, at)
    if restarted:
        lifecycle.restart_period(acc, later)
        lines += [invoices.renewal(acc, later, item) for item in later["items"]["data"]]
    return Plan(later, lines, restarted, restarted or bool(lines and behavior == "always_invoice"))


def _proration_date(acc: Account, sub: Obj, wanted: Obj) -> int:
    at = whole(wanted, "proration_date", acc.now()) or 0
    starts = [item["current_period_start"] for item in sub["items"]["data"]]
    if not min(starts) <= at <= billing.period_end(sub):
        raise ApiError(400, "Cannot specify `proration_date` outside of the current period.", param="proration_date")
    return at


def _set_trial(acc: Account, later: Obj, wanted: Obj) -> None:
    until = wanted.get("trial_end")
    if until == "now":
        if later["status"] == "trialing":
            later.update(status="active", trial_end=acc.now())
    elif until:
        end = whole(wanted, "trial_end") or 0
        if end <= acc.now():
            raise ApiError(400, "Invalid timestamp: must be an integer Unix timestamp in the future", param="trial_end")
        later.update(status="trialing", trial_end=end, trial_start=later["trial_start"] or acc.now())
        later["billing_cycle_anchor"] = end
        for item in later["items"]["data"]:
            item["current_period_end"] = end


def _set_items(acc: Account, later: Obj, wanted: Obj) -> None:
    for place, change in enumerate(wanted.get("items") or []):
        param, items = f"items[{place}]", later["items"]["data"]
        price = change.get("price") and acc.get("price", change["price"], f"{param}[price]", 400)
        if price:
            prices.unit(acc, price, later["currency"], f"{param}[price]")
        if not change.get("id"):
            need(change, "price")
            first = items[0]
            fresh = stripe_shapes.item(acc, later["id"], price, whole(change, "quantity", 1) or 1, 0, 0)
            fresh.update({name: first[name] for name in ("current_period_start", "current_period_end")})
            items.append(fresh)
            continue
        item = next((row for row in items if row["id"] == change["id"]), None)
        if item is None:
            raise stripe_wire.missing("subscription_item", change["id"], f"{param}[id]", 400)
        if truth(change, "deleted"):
            items.remove(item)
            continue
        item["quantity"] = whole(change, "quantity", item["quantity"])
        if price:
            item.update(price=price, plan=stripe_shapes.plan(price))
    if not later["items"]["data"]:
        raise ApiError(400, "A subscription must have at least one active item.", param="items")


def _changed(sub: Obj, later: Obj) -> list[tuple[Obj | None, Obj | None]]:
    """Each item that is another one afterwards: before, and after."""
    old = {item["id"]: item for item in sub["items"]["data"]}
    new = {item["id"]: item for item in later["items"]["data"]}
    pairs = [(old.get(name), new.get(name)) for name in {**old, **new}]
    return [(a, b) for a, b in pairs if a is None or b is None or _asks(a) != _asks(b)]


def _asks(item: Obj) -> tuple[str, int]:
    return item["price"]["id"], item["quantity"]


def _other_cycle(sub: Obj, later: Obj) -> bool:
    if later["status"] == "trialing":
        return False
    old = {item["id"]: item["price"]["recurring"] for item in sub["items"]["data"]}
    return any(_cycle(old.get(item["id"])) not in (None, _cycle(item["price"]["recurring"])) for item in _items(later))


def _items(sub: Obj) -> list[Obj]:
    found: list[Obj] = sub["items"]["data"]
    return found


def _cycle(recurring: Obj | None) -> tuple[Any, Any] | None:
    return (recurring["interval"], recurring["interval_count"]) if recurring else None


# --- counting


def _prorated(acc: Account, sub: Obj, counted: list[tuple[Obj | None, Obj | None]], at: int) -> list[invoices.Line]:
    credited = [_credit(acc, sub, old, at) for old, _ in counted if old]
    debits = [_debit(acc, sub, new, at) for _, new in counted if new]
    return [line for line in [*credited, *debits] if line]


def _credit(acc: Account, sub: Obj, item: Obj, at: int) -> invoices.Line | None:
    """What was asked for the time that is not used; of a discounted period only what was really asked."""
    start, end = item["current_period_start"], item["current_period_end"]
    asked = acc.secret(item["id"]).get("billed")
    net, start, end, where = asked or (discounts.net(acc, sub, invoices.full(acc, sub, item)), start, end, None)
    if net == 0 or at >= end:
        return None
    amount = -invoices.share(net, end - at, end - start)
    return invoices.Line(item, amount, at, end, f"Unused time on {_name(item)} after {_day(at)}", True, where)


def _debit(acc: Account, sub: Obj, item: Obj, at: int) -> invoices.Line | None:
    start, end = item["current_period_start"], item["current_period_end"]
    if at >= end:
        return None
    net = discounts.net(acc, sub, invoices.full(acc, sub, item))
    text, amount = f"Remaining time on {_name(item)} after {_day(at)}", invoices.share(net, end - at, end - start)
    return invoices.Line(item, amount, at, end, text, True, basis=(net, start, end))


def _name(item: Obj) -> str:
    return f"{item['quantity']} × {item['price']['nickname'] or item['price']['id']}"


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %b %Y}"


# --- doing


def check_payment(acc: Account, sub: Obj, planned: Plan, params: Obj) -> None:
    """The charge that the change asks for will be paid, or may fail; otherwise ApiError 402 and nothing has changed."""
    if not planned.billed or params.get("payment_behavior") != "error_if_incomplete":
        return
    method = params.get("default_payment_method")
    asked = cards.asks(acc, method or billing.card_of(acc, sub))
    pays = (cards.works(acc, method) and not asked) if method else billing.can_pay(acc, sub)
    if not pays and _upcoming(acc, sub, planned, planned.lines)["amount_due"] > 0:
        raise cards.refused(asked=asked)


def put(acc: Account, sub: Obj, planned: Plan) -> Obj | None:
    """The subscription is what was planned; gives the draft invoice when one was made. Call inside `changing`."""
    later = planned.later
    for name in ("status", "trial_end", "trial_start", "billing_cycle_anchor"):
        sub[name] = later[name]
    sub["items"]["data"] = later["items"]["data"]
    for line in planned.lines:
        if line.basis:
            billing.remember(acc, line.item, *line.basis)
    if planned.restarted:
        acc.secret(sub["id"])["trial_notice_at"] = None
        for item in _items(sub):
            acc.secret(item["id"]).pop("anchor", None)
    if planned.billed:
        return billing.bill(acc, sub, "subscription_update", planned.lines)
    acc.secret(sub["id"]).setdefault("pending", []).extend(planned.lines)
    return None


def change(acc: Account, sub: Obj, wanted: Obj) -> None:
    """The subscription has been changed as asked, and what that costs was charged."""
    planned = plan(acc, sub, wanted)
    check_payment(acc, sub, planned, wanted)
    with acc.changing(sub, lifecycle.UPDATED):
        invoice = put(acc, sub, planned)
    settle(acc, sub, invoice)


def settle(acc: Account, sub: Obj, invoice: Obj | None) -> None:
    """The invoice of a change is final and was asked for."""
    if invoice is not None:
        billing.finalize(acc, invoice)
        lifecycle.collect(acc, sub, invoice)


def give_back(acc: Account, sub: Obj) -> None:
    """The unused time of an ending subscription is credited on a last invoice; nobody pays it out."""
    lines = [line for item in _items(sub) if (line := _credit(acc, sub, item, acc.now()))]
    if lines:
        invoice = billing.bill(acc, sub, "subscription_update", lines)
        billing.finalize(acc, invoice)
        if invoice["amount_due"] == 0:
            billing.settle_paid(acc, invoice)


# --- showing before


def preview(acc: Account, params: Obj) -> Obj:
    """The invoice that would be made next, with the asked changes; what the update then does agrees with it."""
    need(params, "subscription")
    sub = acc.get("subscription", params["subscription"], "subscription", 404)
    details = params.get("subscription_details") or {}
    planned = plan(acc, sub, details)
    if planned.billed:
        return _upcoming(acc, sub, planned, planned.lines)
    if sub["status"] in lifecycle.OVER or sub["cancel_at"]:
        message = f"No upcoming invoices for customer: {sub['customer']}"
        raise ApiError(404, message, code="invoice_upcoming_none")
    end = min(item["current_period_end"] for item in _items(planned.later))
    lines = [_next(acc, planned.later, item, end) for item in _items(planned.later)]
    shown = _upcoming(acc, sub, planned, [*planned.lines, *(line for line in lines if line)])
    shown.update(created=end, period_end=end, period_start=_items(sub)[0]["current_period_start"])
    return shown


def _next(acc: Account, later: Obj, item: Obj, end: int) -> invoices.Line | None:
    if item["current_period_end"] != end:
        return None
    anchor = acc.secret(item["id"]).get("anchor") or later["billing_cycle_anchor"]
    until = periods.next_end(anchor, item["price"]["recurring"], end)
    return invoices.Line(item, invoices.full(acc, later, item), end, until, _name(item))


def _upcoming(acc: Account, sub: Obj, planned: Plan, lines: list[invoices.Line]) -> Obj:
    pending = acc.secret(sub["id"]).get("pending", [])
    made = invoices.invoice(acc, planned.later, "upcoming", [*pending, *lines], acc.new_id("upcoming_in"))
    for line in made["lines"]["data"]:
        line["id"] = acc.new_id("il_tmp")
    return made
