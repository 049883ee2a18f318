"""What we answer about plans and paying."""

from collections.abc import Sequence

from bot.messages import text
from core import access, catalogue
from core.billing import plans

Buttons = Sequence[text.Button]
_PLANS = text.Button("Plans and prices", data="/plans")


def overview(
    offers: Sequence[plans.Offer], service: catalogue.Service, *, selling: bool, changes: Buttons = ()
) -> text.Message:
    """Every plan with its price and what it opens; `selling` says whether payments are on at all.

    `changes` lead to the pages on which plans that the member pays for are changed.
    """
    bought = [offer for offer in offers if selling and offer.price]
    lines = [row for offer in offers for row in _plan(offer)]
    closing = (
        text.line(
            "You can cancel at any time and keep access until the end of the paid period. ", text.command("/terms")
        )
        if bought
        else text.line("Subscriptions are not open at the moment; please come back later.")
    )
    return text.message(
        text.line(text.bold("Plans")),
        *lines,
        text.BLANK,
        closing,
        text.line(text.italic(service.risk)),
        buttons=[
            *([button] for button in changes),
            *([text.Button(f"Subscribe: {offer.plan.name}", data=f"/subscribe {offer.plan.key}")] for offer in bought),
            [text.Button("A gift for somebody else", data="/gift")] if any(one.plan.gift for one in bought) else [],
        ],
    )


def _plan(offer: plans.Offer) -> list[text.Line]:
    price = plans.summary(offer) or "no price at the moment"
    opens = ", ".join(sorted(offer.plan.symbols)) or "all markets"
    described = [text.line(offer.plan.description)] if offer.plan.description else []
    named = text.line(text.bold(offer.plan.name), f" – {price}")
    return [text.BLANK, named, text.line(f"Opens {opens}.{_more(offer.plan)}"), *described]


def _more(plan: catalogue.Plan) -> str:
    """What else there is to know before choosing: days for free, how many seats."""
    free = f" {plan.trial_days} {'day' if plan.trial_days == 1 else 'days'} free, once." if plan.trial_days else ""
    seats = f" For teams of {plan.seats.least} to {plan.seats.most}." if plan.seats else ""
    return free + seats


def pick(offers: Sequence[plans.Offer]) -> text.Message:
    """The choice between several plans."""
    rows = [[_choice(offer)] for offer in offers if offer.price]
    return text.message("Which plan would you like?", buttons=[*rows, [_PLANS]])


def _choice(offer: plans.Offer) -> text.Button:
    price = f" – {plans.words(offer.price)}" if offer.price else ""
    return text.Button(offer.plan.name + price, data=f"/subscribe {offer.plan.key}")


def checkout(offer: plans.Offer, url: str, service: catalogue.Service) -> text.Message:
    """The way to the page on which this member subscribes."""
    price = f" for {plans.summary(offer)}" if offer.price else ""
    return text.message(
        text.line("Subscribe to ", text.bold(offer.plan.name), f"{price}.{_more(offer.plan)}"),
        "The page shows plan, price and terms; you pay on our payment provider's own page. The link is yours alone "
        "and works for 24 hours. Access starts within seconds of your payment.",
        text.BLANK,
        text.line(text.italic(service.risk)),
        buttons=[[text.Button("Open the checkout page", url=url)]],
    )


def not_selling(service: catalogue.Service) -> text.Message:
    """Nothing can be bought now."""
    contact = [text.line("Questions? ", text.Span(service.support, live=True))] if service.support else []
    return text.message("Subscriptions are not open at the moment; please come back later.", *contact)


def already(holding: access.Holding) -> text.Message:
    """The member has this plan; a second one would be paid twice."""
    words = (
        "It renews by itself; there is nothing to do."
        if holding.renews
        else "You have cancelled it; in the billing portal you can let it go on."
    )
    buttons = [[text.Button("Status", data="/status"), text.Button("Billing", data="/billing")]]
    return text.message(text.line("You already have ", text.bold(holding.plan.name), "."), words, buttons=buttons)


def billing(url: str, changes: Buttons = ()) -> text.Message:
    """The way to invoices, card and cancellation, and to the pages on which plans are changed."""
    other = "Another plan, period or number of seats is chosen on a page of ours, which says what it costs before. "
    life = "The links are yours alone and work" if changes else "The link is yours alone and works"
    return text.message(
        f"Invoices, your card and cancelling are in the billing portal. {other if changes else ''}{life} for one hour.",
        buttons=[[text.Button("Open the billing portal", url=url)], *([button] for button in changes)],
    )


def change(plan: str, url: str, *, only: bool) -> text.Button:
    """The way to the page on which this plan is changed."""
    return text.Button("Change plan" if only else f"Change {plan}", url=url)


def cancellation(url: str) -> text.Message:
    """How to cancel, and what it means."""
    return text.message(
        "You cancel in the billing portal, with two taps. You keep access until the end of the period you have paid "
        "for, and nothing more is charged. Until then you can change your mind in the same place.",
        buttons=[[text.Button("Open the billing portal", url=url)]],
    )


def nothing_to_manage() -> text.Message:
    """No subscription was ever made by this member."""
    return text.message(
        "You have no subscription, so nothing is charged and nothing needs to be cancelled.", buttons=[[_PLANS]]
    )
