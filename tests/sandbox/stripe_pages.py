"""The page on which a member pays at the stand-in, and what all of its pages look like."""

import html
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from tests.sandbox import stripe_cards as cards
from tests.sandbox import stripe_checkout as checkout
from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_paying as paying
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj

WHOLE_UNITS = {"jpy", "krw", "vnd", "clp", "xaf", "xof", "pyg", "isk", "ugx"}

_STYLE = """
:root{color-scheme:light dark;--ink:#1a1f36;--soft:#5b6275;--back:#f5f7fb;--card:#fff;--line:#dfe3ec;--go:#4f46e5;
--bad:#b42318;--flag:#fff4d6;--flagink:#6b4d00}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f6;--soft:#a3abbf;--back:#10131c;--card:#191d29;--line:#2e3445;
--go:#7c75ff;--bad:#ff8a7d;--flag:#3a300f;--flagink:#ffe08a}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
.flag{background:var(--flag);color:var(--flagink);text-align:center;padding:.6rem 1rem;font-weight:600}
main{max-width:27rem;margin:2rem auto;padding:0 1rem}section{background:var(--card);border:1px solid var(--line);
border-radius:14px;padding:1.5rem;margin-bottom:1rem}h1{font-size:1.15rem;margin:0 0 .3rem}p{margin:.3rem 0}
.price{font-size:2rem;font-weight:700;margin:.2rem 0}.soft{color:var(--soft)}.bad{color:var(--bad);font-weight:600}
label{display:block;margin:.9rem 0 .3rem;color:var(--soft);font-size:.9rem}label.tick{color:var(--ink);font-size:1rem}
input[type=text],input[type=email],input[type=number],select{width:100%;font:inherit;padding:.65rem .75rem;
border:1px solid var(--line);border-radius:9px;background:transparent;color:inherit}
button{width:100%;font:inherit;font-weight:600;padding:.8rem;border-radius:9px;border:1px solid var(--line);
background:transparent;color:inherit;margin-top:.8rem;cursor:pointer}button.go{background:var(--go);color:#fff;border:0}
@media(prefers-color-scheme:dark){button.go{color:#0d0f18}}
a{color:inherit}:focus-visible{outline:3px solid var(--go);outline-offset:2px}
"""


def shell(title: str, body: str, status: int = 200) -> web.Response:
    """A whole page under the banner that says what it is."""
    text = (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        "<div class=flag role=note>Stripe sandbox – no real money</div>"
        f"<main>{body}</main></body></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status)


def money(amount: int, currency: str) -> str:
    """`29.00 EUR` for 2900 eur."""
    shown = f"{amount:,}" if currency in WHOLE_UNITS else f"{amount / 100:,.2f}"
    return f"{shown} {currency.upper()}"


def cycle(price: Obj) -> str:
    """`every month`, `every 3 months`."""
    if not price["recurring"]:
        return "once"
    count, interval = price["recurring"]["interval_count"], price["recurring"]["interval"]
    return f"every {interval}" if count == 1 else f"every {count} {interval}s"


def day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d %B %Y}"


def gone(text: str, status: int = 404) -> web.Response:
    return shell("Stripe sandbox", f"<section><h1>{html.escape(text)}</h1></section>", status)


# --- paying


def pay_page(acc: Account, session: Obj, problem: str = "", form: dict[str, str] | None = None) -> web.Response:
    """The page that sells: what, how much, how often, and what may have gone wrong."""
    wrong = f"<p class=bad role=alert id=problem>{html.escape(problem)}</p>" if problem else ""
    back = session["cancel_url"]
    leave = f'<p><a id=back href="{html.escape(back)}">Back</a></p>' if back else ""
    body = (
        f"<section>{_goods(acc, session)}</section>"
        f"<section>{wrong}<form method=post>{_fields(acc, session, form or {})}{_buttons(session)}</form></section>"
        + leave
    )
    return shell("Pay – Stripe sandbox", body)


def _goods(acc: Account, session: Obj) -> str:
    lines = acc.secret(session["id"])["lines"]
    if not lines:
        return "<h1>Save a card for later</h1><p class=soft>Nothing is charged now.</p>"
    what = "".join(f"<h1>{html.escape(line['description'])}</h1>{_how_many(line)}" for line in lines)
    total = money(session["amount_total"], session["currency"])
    off = session["total_details"]["amount_discount"]
    saved = f"<p>Code applied: you save {money(off, session['currency'])}</p>" if off else ""
    tax = session["total_details"]["amount_tax"]
    taxed = f"<p class=soft>Includes {money(tax, session['currency'])} tax</p>" if tax else ""
    often = html.escape(", ".join(dict.fromkeys(cycle(line["price"]) for line in lines)))
    return f"{what}<p class=price id=total>{total}</p><p class=soft>{often}{_trial(acc, session)}</p>{saved}{taxed}"


def _how_many(line: Obj) -> str:
    if line["quantity"] == 1:
        return ""
    each = money(line["amount_total"] // line["quantity"], line["currency"])
    return f"<p class=soft>{line['quantity']} × {each}</p>"


def _trial(acc: Account, session: Obj) -> str:
    if session["mode"] != "subscription":
        return ""
    days = acc.secret(session["id"])["data"].get("trial_period_days")
    lines = acc.secret(session["id"])["lines"]
    then = money(sum(line["amount_total"] for line in lines), session["currency"])
    return f", {html.escape(str(days))} days free, then {then}" if days else ""


def _buttons(session: Obj) -> str:
    free = not session["amount_total"]
    label = "Save card" if session["mode"] == "setup" else "Start" if free else "Pay"
    buttons = f"<button class=go name=card value=4242424242424242>{label}</button>"
    if free and session["payment_method_collection"] == "if_required" and session["mode"] != "setup":
        buttons += "<button name=card value=none>Start without a card</button>"
    return buttons + "<button name=card value=4000000000000002>Pay with a card that is declined</button>"


def _fields(acc: Account, session: Obj, form: dict[str, str]) -> str:
    known = acc.get("customer", session["customer"])["email"] if session["customer"] else session["customer_email"]
    email, code = html.escape(form.get("email") or known or ""), html.escape(form.get("code", ""))
    parts = [f'<label for=email>E-mail</label><input type=email id=email name=email value="{email}">']
    parts += [_chooser(line) for line in acc.secret(session["id"])["lines"] if line["adjustable_quantity"]]
    if session["allow_promotion_codes"]:
        parts.append(
            f'<label for=code>Promo code</label><input type=text id=code name=code value="{code}">'
            "<button name=apply value=1 formnovalidate>Apply code</button>"
        )
    if (session["consent_collection"] or {}).get("terms_of_service") == "required":
        text = (session["custom_text"].get("terms_of_service_acceptance") or {}).get("message")
        said = html.escape(text or "I agree to the terms of service")
        ticked = " checked" if form.get("terms") else ""
        parts.append(f"<label class=tick><input type=checkbox name=terms value=1 required{ticked}> {said}</label>")
    text = (session["custom_text"].get("submit") or {}).get("message")
    parts.append(f"<p class=soft>{html.escape(text)}</p>" if text else "")
    return "".join(parts)


def _chooser(line: Obj) -> str:
    bounds = line["adjustable_quantity"]
    if not bounds["enabled"]:
        return ""
    return (
        f"<label for=quantity>How many</label><input type=number id=quantity name=quantity value={line['quantity']}"
        f" min={bounds['minimum']} max={bounds['maximum']}>"
        "<button name=change value=1 formnovalidate>Change number</button>"
    )


def paid_url(session: Obj) -> str:
    """Where the member goes after paying, with the session's id filled in."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", quote(session["id"]))


def _open_session(acc: Account, request: web.Request) -> Obj | web.Response:
    acc.catch_up()
    try:
        session = acc.get("checkout.session", request.match_info["session"])
    except ApiError:
        return gone("There is no such checkout.")
    if session["status"] == "expired":
        return gone("This checkout has expired. Ask for a new link.", 410)
    return session if session["status"] == "open" else gone("This checkout is already paid.", 410)


def routes(acc: Account) -> list[web.RouteDef]:
    """The hosted pages on which members pay."""

    async def see_pay(request: web.Request) -> web.Response:
        session = _open_session(acc, request)
        return session if isinstance(session, web.Response) else pay_page(acc, session)

    async def do_pay(request: web.Request) -> web.Response:
        session = _open_session(acc, request)
        if isinstance(session, web.Response):
            return session
        return _pay(acc, session, {key: str(value) for key, value in (await request.post()).items()})

    return [
        web.get("/pay/{session}", see_pay),
        web.post("/pay/{session}", do_pay),
    ]


def _pay(acc: Account, session: Obj, form: dict[str, str]) -> web.Response:
    typed = form.get("code", "").strip()
    try:
        if form.get("quantity", "").isdigit():
            checkout.set_quantity(acc, session, int(form["quantity"]))
        if typed and session["allow_promotion_codes"]:
            discounts.apply_code(acc, session, typed)
        if "change" in form:
            return pay_page(acc, session, "", form)
        if "apply" in form:
            return pay_page(acc, session, "" if typed else "Type a code first.", form)
        if (session["consent_collection"] or {}).get("terms_of_service") == "required" and not form.get("terms"):
            return pay_page(acc, session, "Please agree to the terms first.", form)
        card = form.get("card", cards.GOOD)
        made = paying.pay(acc, session["id"], None if card == "none" else card, form.get("email") or None)
    except ApiError as error:
        return pay_page(acc, session, str(error), form) if session["status"] == "open" else gone(str(error), 410)
    if made is None:
        return pay_page(acc, session, "Your card was declined. Nothing was charged; try another card.", form)
    raise web.HTTPSeeOther(paid_url(session))
