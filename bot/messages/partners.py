"""What we say about partners: to operators who they brought, to members who brought them."""

from collections.abc import Sequence

from bot.messages import text
from core import models
from core.billing import partners

_MENU = text.Button("Operator's desk", data="/admin")
_USAGE = (
    text.line("A new one: ", text.Span("/partners add CODE NAME [discount PROMO]", "code")),
    text.line("No more with it: ", text.Span("/partners end CODE", "code")),
)


def listed(rows: Sequence[partners.Numbers]) -> text.Message:
    """Every partner with who came, and how codes are made and ended."""
    lines: list[str | text.Line] = [text.line(text.bold(one.partner.code), f" – {said(one)}") for one in rows]
    return text.message(
        text.line(text.bold("Partners")),
        *(lines or ["Nobody has a code yet."]),
        text.BLANK,
        *_USAGE,
        "“In free days” and “paying” are counted now; who came stays counted. A discount is a promotion code that you "
        "have made at the payment provider.",
        buttons=[[_MENU]],
    )


def said(one: partners.Numbers) -> str:
    """A partner in figures, on one line."""
    ended = ", ended" if one.partner.retired_at else ""
    less = f", discount {one.partner.promotion}" if one.partner.promotion else ""
    counts = f"came {one.came}, in free days {one.trial}, paying {one.paying}"
    return f"{one.partner.name}: {counts}{less}{ended}"


def added(partner: models.Partner, username: str) -> text.Message:
    """The code can be used, and how."""
    less = f" They pay less by {partner.promotion}, on the payment provider's page." if partner.promotion else ""
    link = f"https://t.me/{username}?start={partners.START}_{partner.code}" if username else ""
    shown = [text.line("Their link: ", text.Span(link, "code"))] if link else []
    return text.message(
        text.line(text.bold(f"{partner.name} has the code {partner.code}.")),
        *shown,
        f"New members can also enter the code on the checkout page.{less}",
        buttons=[[text.Button("Partners", data="/partners")]],
    )


def ended(partner: models.Partner) -> text.Message:
    """The code cannot be used any more."""
    return text.message(
        text.line(text.bold(f"The code {partner.code} has ended.")),
        f"Whoever came with it stays counted for {partner.name}; their subscriptions go on as they are.",
        buttons=[[text.Button("Partners", data="/partners")]],
    )


def welcome(name: str, shown: text.Message) -> text.Message:
    """The welcome of somebody who was invited."""
    return text.Message((text.line(f"{name} has invited you."), text.BLANK, *shown.lines), shown.buttons)


def not_known(shown: text.Message) -> text.Message:
    """The welcome of somebody whose link has a code that cannot be used."""
    words = "The invitation in this link is not valid any more; everything else is as for everybody."
    return text.Message((text.line(words), text.BLANK, *shown.lines), shown.buttons)
