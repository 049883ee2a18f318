"""The page of one invoice at the stand-in: what is owed, and a way to pay or to confirm it."""

import html

from aiohttp import web

from tests.sandbox import stripe_billing as billing
from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_lifecycle as lifecycle
from tests.sandbox import stripe_pages as pages
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj


def routes(acc: Account) -> list[web.RouteDef]:
    """The hosted invoices of this account: `hosted_invoice_url` leads here."""

    async def see(request: web.Request) -> web.Response:
        acc.catch_up()
        try:
            return invoice_page(acc, acc.get("invoice", request.match_info["invoice"]))
        except ApiError:
            return pages.gone("There is no such invoice.")

    async def pay(request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        acc.catch_up()
        try:
            invoice = acc.get("invoice", request.match_info["invoice"])
        except ApiError:
            return pages.gone("There is no such invoice.")
        paid = invoice["status"] != "open" or settle(acc, invoice, form.get("card"))
        return invoice_page(acc, invoice, "" if paid else "Your card was declined. Nothing was charged.")

    return [web.get("/invoice/{invoice}", see), web.post("/invoice/{invoice}", pay)]


def settle(acc: Account, invoice: Obj, card: str | None) -> bool:
    """The open invoice is paid by its member: with this card from now on, or (None) by confirming the one on file."""
    sub = acc.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if card is not None:
        if cards.number(card) in cards.DECLINED:
            return False
        method = cards.keep(acc, sub["customer"], card)
        with acc.changing(sub, lifecycle.UPDATED):
            billing.use_card(acc, sub, method["id"])
    lifecycle.received(acc, sub, invoice)
    return True


def invoice_page(acc: Account, invoice: Obj, problem: str = "") -> web.Response:
    """What the invoice is for and what can be done about it."""
    lines = "".join(
        f"<p>{html.escape(line['description'])} · {pages.money(line['amount'], invoice['currency'])}</p>"
        for line in invoice["lines"]["data"]
    )
    body = f"<section><h1>Invoice {html.escape(invoice['number'] or '')}</h1>{lines}"
    body += f"<p class=price id=due>{pages.money(invoice['amount_due'], invoice['currency'])}</p>"
    body += f"<p class=soft id=status>{invoice['status']}</p></section>"
    if invoice["status"] == "open":
        wrong = f"<p class=bad role=alert id=problem>{html.escape(problem)}</p>" if problem else ""
        asked = billing.intent_of(acc, invoice)["status"] == "requires_action"
        confirm = "<button class=go>Confirm the payment</button>" if asked else ""
        body += (
            f"<section>{wrong}<form method=post>{confirm}</form><form method=post>"
            f"<button class=go name=card value={cards.GOOD}>Pay with a new card</button>"
            "<button name=card value=4000000000000002>Pay with a card that is declined</button></form></section>"
        )
    return pages.shell("Invoice – Stripe sandbox", body)
