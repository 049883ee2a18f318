"""The page on which a member looks after a plan at the stand-in: end or keep it, change it, give another card."""

import html
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_change as change
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_pages as pages
from tests.sandbox import stripe_prices as prices
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj


def routes(acc: Account) -> list[web.RouteDef]:
    """The hosted portal of this account."""
    return [
        web.get("/portal/{portal}", _portal(acc, lambda portal, _: portal_page(acc, portal))),
        web.post("/portal/{portal}", _portal(acc, lambda portal, form: _act(acc, portal, form))),
    ]


def _portal(
    acc: Account, show: Callable[[Obj, dict[str, str]], web.Response]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def reply(request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        acc.catch_up()
        try:
            portal = acc.get("billing_portal.session", request.match_info["portal"])
        except ApiError:
            return pages.gone("There is no such page. Ask for a new link.")
        return show(portal, form)

    return reply


def _features(acc: Account, portal: Obj) -> Obj:
    found: Obj = acc.get("billing_portal.configuration", portal["configuration"])["features"]
    return found


# --- what is shown


def portal_page(acc: Account, portal: Obj, problem: str = "") -> web.Response:
    """The member's plans, card and invoices, as far as the operator's configuration shows them."""
    features, flow = _features(acc, portal), portal["flow"] or {"type": ""}
    only = (flow.get(flow["type"]) or {}).get("subscription")
    plans = acc.having("subscription", "customer", portal["customer"])
    body = f"<p class=bad role=alert id=problem>{html.escape(problem)}</p>" if problem else ""
    body += "".join(_plan(acc, sub, features, flow) for sub in plans if only in (None, sub["id"]))
    if features["payment_method_update"]["enabled"] is True or flow["type"] == "payment_method_update":
        body += _card(acc, plans)
    if features["invoice_history"]["enabled"] is True and not only:
        body += _invoices(acc, portal["customer"])
    if portal["return_url"]:
        host = html.escape(portal["return_url"].split("//")[-1].split("/")[0])
        body += f'<p><a id=back href="{html.escape(portal["return_url"])}">Back to {host}</a></p>'
    return pages.shell("Your plan – Stripe sandbox", body or "<section><h1>No plan yet</h1></section>")


def _plan(acc: Account, sub: Obj, features: Obj, flow: Obj) -> str:
    item = sub["items"]["data"][0]
    name = html.escape(acc.get("product", item["price"]["product"])["name"])
    each = pages.money(prices.unit(acc, item["price"], sub["currency"]), sub["currency"])
    cost = f"{item['quantity']} × {each}" if item["quantity"] > 1 else each
    may_cancel = features["subscription_cancel"]["enabled"] is True or flow["type"] == "subscription_cancel"
    words, action = _next(sub, may_cancel=may_cancel)
    label = {"renew": "Renew plan", "cancel": "Cancel plan"}.get(action, "")
    button = f"<button name=action value={action}>{label}</button>" if action else ""
    hidden = f'<input type=hidden name=subscription value="{sub["id"]}">'
    status = html.escape(sub["status"].replace("_", " "))
    return (
        f"<section><h1>{name}</h1><p>{cost} {pages.cycle(item['price'])}</p><p class=soft>{words} · {status}</p>"
        f"<form method=post>{hidden}{button}{_other(acc, sub, features, flow)}</form></section>"
    )


def _next(sub: Obj, *, may_cancel: bool) -> tuple[str, str]:
    """What happens next to the plan, and what the member may do about it."""
    if sub["status"] in lifecycle.OVER:
        return f"Ended on {pages.day(sub['ended_at'])}", ""
    if sub["cancel_at"] is not None:
        return f"Ends on {pages.day(sub['cancel_at'])}", "renew"
    words = "First payment on" if sub["status"] == "trialing" else "Renews on"
    return f"{words} {pages.day(billing.period_end(sub))}", "cancel" if may_cancel else ""


def _other(acc: Account, sub: Obj, features: Obj, flow: Obj) -> str:
    """The change that the member may choose, or is asked to confirm with its price."""
    if sub["status"] in lifecycle.OVER:
        return ""
    if flow["type"] == "subscription_update_confirm":
        return _confirm(acc, sub, features, flow["subscription_update_confirm"])
    update = features["subscription_update"]
    if update["enabled"] is not True:
        return ""
    item, shown = sub["items"]["data"][0], ""
    if "price" in update["default_allowed_updates"]:
        offered = [acc.get("price", one) for row in update["products"] for one in row["prices"]]
        shown += "<label for=price>Plan</label><select id=price name=price>"
        shown += "".join(_option(acc, sub, price, chosen=price["id"] == item["price"]["id"]) for price in offered)
        shown += "</select>"
    if "quantity" in update["default_allowed_updates"]:
        shown += "<label for=quantity>How many</label>"
        shown += f"<input type=number id=quantity name=quantity min=1 value={item['quantity']}>"
    return shown + "<button name=action value=update>Change plan</button>" if shown else ""


def _option(acc: Account, sub: Obj, price: Obj, *, chosen: bool) -> str:
    name = html.escape(acc.get("product", price["product"])["name"])
    cost = pages.money(prices.unit(acc, price, sub["currency"]), sub["currency"])
    selected = " selected" if chosen else ""
    return f'<option value="{price["id"]}"{selected}>{name}, {cost} {pages.cycle(price)}</option>'


def _confirm(acc: Account, sub: Obj, features: Obj, wanted: Obj) -> str:
    asked = {"subscription": sub["id"], "subscription_details": _wanted(features, wanted["items"])}
    invoice = change.preview(acc, asked)
    due = pages.money(invoice["amount_due"], invoice["currency"])
    return f"<p class=price id=due>{due}</p><button class=go name=action value=confirm>Confirm</button>"


def _card(acc: Account, plans: list[Obj]) -> str:
    held = next((acc.find(sub["default_payment_method"]) for sub in plans if sub["default_payment_method"]), None)
    known = "No card yet"
    if held:
        card = held["card"]
        known = f"{card['brand'].capitalize()} ending in {card['last4']}, until {card['exp_month']}/{card['exp_year']}"
    return (
        f"<section><h1>Card</h1><p id=card-held>{known}</p><form method=post>"
        f"<label for=card>Card number</label><input type=text id=card name=card value={cards.GOOD}>"
        "<label for=expiry>Month and year</label><input type=text id=expiry name=expiry value=12/2034>"
        "<button name=action value=card>Use this card</button></form></section>"
    )


def _invoices(acc: Account, customer: str) -> str:
    rows = acc.having("invoice", "customer", customer)
    shown = "".join(
        f"<p>{pages.day(row['created'])} · {pages.money(row['total'], row['currency'])}"
        f" <span class=soft>{row['status']}</span></p>"
        for row in rows[:12]
    )
    return f"<section><h1>Invoices</h1>{shown}</section>" if rows else ""


# --- what is done


def _act(acc: Account, portal: Obj, form: dict[str, str]) -> web.Response:
    try:
        if form.get("action") == "card":
            _use_card(acc, portal, form)
        else:
            _change_plan(acc, portal, form)
    except ApiError as error:
        return portal_page(acc, portal, str(error))
    after = (portal["flow"] or {}).get("after_completion") or {"type": ""}
    raise web.HTTPSeeOther(after["redirect"]["return_url"] if after["type"] == "redirect" else portal["url"])


def _change_plan(acc: Account, portal: Obj, form: dict[str, str]) -> None:
    sub, features = acc.tables.get("subscription", {}).get(form.get("subscription", "")), _features(acc, portal)
    if sub is None or sub["customer"] != portal["customer"] or sub["status"] in lifecycle.OVER:
        raise ApiError(400, "This plan cannot be changed.")
    action, ending = form.get("action"), features["subscription_cancel"]
    flow = portal["flow"] or {"type": ""}
    if action == "renew":
        lifecycle.plan_end(acc, sub, None, flag=False)
    elif action == "cancel" and (ending["enabled"] is True or flow["type"] == "subscription_cancel"):
        later = ending.get("mode", "at_period_end") == "at_period_end"
        lifecycle.cancel(acc, sub, at_period_end=later, as_cancel_at=acc.portal_cancel_field == "cancel_at")
    elif action == "confirm" and flow["type"] == "subscription_update_confirm":
        change.change(acc, sub, _wanted(features, flow["subscription_update_confirm"]["items"]))
    elif action == "update" and features["subscription_update"]["enabled"] is True:
        item = {"id": sub["items"]["data"][0]["id"]}
        item |= {name: form[name] for name in ("price", "quantity") if form.get(name)}
        change.change(acc, sub, _wanted(features, [item]))


def _wanted(features: Obj, items: list[Obj]) -> Obj:
    chosen = [{name: value for name, value in item.items() if value is not None} for item in items]
    behavior = features["subscription_update"]["proration_behavior"]
    return {"items": chosen, "proration_behavior": behavior, "payment_behavior": "error_if_incomplete"}


def _use_card(acc: Account, portal: Obj, form: dict[str, str]) -> None:
    month, _, year = form.get("expiry", "").partition("/")
    if not (month.strip().isdigit() and year.strip().isdigit()):
        raise ApiError(400, "Write the month and the year like 12/2034.")
    number = cards.number(form.get("card", cards.GOOD))
    if number in cards.DECLINED:
        raise ApiError(402, "Your card was declined. Try another card.")
    buyer = acc.get("customer", portal["customer"])
    method = cards.keep(acc, buyer["id"], number, (int(month), int(year)))
    with acc.changing(buyer, "customer.updated"):
        buyer["invoice_settings"]["default_payment_method"] = method["id"]
    for sub in acc.having("subscription", "customer", buyer["id"]):
        if sub["status"] not in lifecycle.OVER:
            with acc.changing(sub, lifecycle.UPDATED):
                billing.use_card(acc, sub, method["id"])
