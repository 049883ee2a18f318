"""Telegram's window of an invoice, for a browser: what is asked, and who of the people here taps "Pay".

On a phone the app opens such a link itself. Here it is a page of the stand-in, when `Stars.site` names its address.
"""

import html

from aiohttp import web

from tests.sandbox import telegram_stars, telegram_world

_STYLE = """
:root{color-scheme:light dark;--ink:#10202e;--soft:#546575;--back:#e9eff4;--card:#fff;--line:#d5dfe7;--go:#1f6fb2;
--flag:#fff4d6;--flagink:#6b4d00}
@media(prefers-color-scheme:dark){:root{--ink:#eaf1f7;--soft:#a2b3c1;--back:#0e1621;--card:#17212b;--line:#2b3a48;
--go:#6ab3f3;--flag:#3a300f;--flagink:#ffe08a}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
.flag{background:var(--flag);color:var(--flagink);text-align:center;padding:.6rem 1rem;font-weight:600}
main{max-width:24rem;margin:2rem auto;padding:0 1rem}section{background:var(--card);border:1px solid var(--line);
border-radius:16px;padding:1.5rem;text-align:center}h1{font-size:1.2rem;margin:0 0 .3rem}p{margin:.3rem 0}
.price{font-size:2rem;font-weight:700}.soft{color:var(--soft)}
button{width:100%;font:inherit;font-weight:600;padding:.8rem;border-radius:12px;border:0;background:var(--go);
color:#fff;margin-top:.7rem;cursor:pointer}
@media(prefers-color-scheme:dark){button{color:#0e1621}}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
"""


def add_to(app: web.Application, world: "telegram_world.World", stars: telegram_stars.Stars) -> None:
    """The stand-in's server has the window."""

    async def show(request: web.Request) -> web.Response:
        invoice = stars.invoices.get(f"{stars.site}/{request.match_info['slug']}")
        return _page("This invoice does not exist.", status=404) if invoice is None else _asked(world, invoice)

    async def pay(request: web.Request) -> web.Response:
        link, user = f"{stars.site}/{request.match_info['slug']}", str((await request.post()).get("user", ""))
        if not user.isdigit() or int(user) not in world.people:
            raise web.HTTPBadRequest
        said = await stars.pay(int(user), link)
        return _page("Paid. Have a look at your chat." if said == "paid" else said)

    app.router.add_get(r"/{slug:\$\w+}", show)
    app.router.add_post(r"/{slug:\$\w+}", pay)


def _asked(world: "telegram_world.World", invoice: telegram_stars.Invoice) -> web.Response:
    every = "every 30 days" if invoice.period else "once"
    people = "".join(
        f'<button name=user value="{one.id}">Pay ★ {invoice.amount:,} as {html.escape(one.first_name)}</button>'
        for one in world.people.values()
        if one.started and not one.is_bot
    )
    return _page(
        invoice.title,
        f"<p class=soft>{html.escape(invoice.description)}</p><p class=price>★ {invoice.amount:,}</p>"
        f"<p class=soft>{every}</p><form method=post>{people}</form>",
    )


def _page(title: str, body: str = "", *, status: int = 200) -> web.Response:
    text = (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        "<div class=flag role=note>Telegram sandbox – no real Stars</div>"
        f"<main><section><h1>{html.escape(title)}</h1>{body}</section></main></body></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status)
